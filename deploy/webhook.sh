#!/usr/bin/env bash
# Puts the sponsorship Worker on Cloudflare and makes sure that its address leads to it, and to no older one:
#   deploy/webhook.sh [--dry-run] deploy|route|verify
# deploy   uploads the Worker with its configuration and its custom domain, then does route and verify
# route    asks Cloudflare whether the domain belongs to this Worker and no other route takes its requests
# verify   asks the Worker itself: this release, and the right answers to no, a wrong and the right token
# --dry-run needs no account: it bundles the Worker and says what would be asked.
#
#   WEBHOOK_HOST           the custom domain, e.g. sponsor.example.org
#   WEBHOOK_CONFIG         file of NAME=value lines, see worker/README.md; default /etc/attestmesh/webhook.env
#   WEBHOOK_URL            where verify asks, default https://$WEBHOOK_HOST
#   WEBHOOK_RELEASE        name of what is deployed, default the last commit that changed it
#   CLOUDFLARE_ACCOUNT_ID, CLOUDFLARE_API_TOKEN            for deploy and route
set -euo pipefail
cd "$(dirname "$0")/.."

config=${WEBHOOK_CONFIG:-/etc/attestmesh/webhook.env}
url=${WEBHOOK_URL:-https://${WEBHOOK_HOST:-}}
api=${CLOUDFLARE_API_BASE_URL:-https://api.cloudflare.com/client/v4}
name=$(sed -n 's/^  "name": "\(.*\)",$/\1/p' worker/wrangler.jsonc)
release=${WEBHOOK_RELEASE:-$(git log -1 --format=%h -- worker contracts/src)}
any_address=0x0000000000000000000000000000000000000001
dry_run=
problems=0

say() { printf 'webhook: %s\n' "$*"; }

# Arguments: what is wrong, how to mend it.
problem() {
  printf 'webhook: WRONG: %s\n         mend: %s\n' "$1" "$2" >&2
  problems=$((problems + 1))
}

stop() {
  problem "$@"
  exit 1
}

need() {
  [ -n "${!1:-}" ] || stop "$1 is not set" "see the head of deploy/webhook.sh"
}

need_config() {
  [ -r "$config" ] || stop "$config can not be read" "write it as worker/README.md says, or set WEBHOOK_CONFIG"
}

# The value of a name in the configuration file.
configured() { sed -n "s/^$1=//p" "$config" | tail -1; }

# GET, with a bearer token if it is not empty: the body goes to $answer, the status is printed, 000 for no answer.
# The token goes through a file descriptor, as arguments are for everybody to see.
get() {
  curl --silent --max-time 20 --output "$answer" --write-out '%{http_code}' \
    --header @<([ -z "$2" ] || printf 'Authorization: Bearer %s\n' "$2") "$1" || true
}

cloudflare() {
  local status
  status=$(get "$api$1" "$CLOUDFLARE_API_TOKEN")
  [ "$status" = 200 ] ||
    stop "Cloudflare answers $status to GET $1: $(jq -r '.errors[0].message?' "$answer" 2>/dev/null)" \
    "check CLOUDFLARE_ACCOUNT_ID, and that the token may read Workers scripts and routes"
}

do_deploy() {
  need WEBHOOK_HOST
  need_config
  local arguments=(deploy --domain "$WEBHOOK_HOST" --var "RELEASE:$release")
  arguments+=(--secrets-file "$(realpath "$config")")
  [ -z "$dry_run" ] || arguments+=(--dry-run --outdir "$(dirname "$answer")/bundle")
  say "deploying $name, release $release, to $WEBHOOK_HOST"
  (cd worker && WRANGLER_SEND_METRICS=false node_modules/.bin/wrangler "${arguments[@]}") ||
    stop "wrangler did not deploy" "its message above says why"
  do_route
  do_verify
}

do_route() {
  need WEBHOOK_HOST
  local domains="/accounts/${CLOUDFLARE_ACCOUNT_ID:-ACCOUNT}/workers/domains?hostname=$WEBHOOK_HOST"
  if [ -n "$dry_run" ]; then
    say "would ask GET $domains, and for routes that take its requests"
    return
  fi
  need CLOUDFLARE_ACCOUNT_ID
  need CLOUDFLARE_API_TOKEN
  cloudflare "$domains"
  local service zone route
  service=$(jq -r '.result[0].service // ""' "$answer")
  zone=$(jq -r '.result[0].zone_id // ""' "$answer")
  if [ -z "$service" ]; then
    stop "$WEBHOOK_HOST is no Worker's custom domain" "deploy/webhook.sh deploy"
  elif [ "$service" != "$name" ]; then
    stop "$WEBHOOK_HOST belongs to the Worker $service" \
      "remove the domain from $service (its Settings, Domains & Routes), then deploy/webhook.sh deploy"
  fi
  say "$WEBHOOK_HOST belongs to $name"
  cloudflare "/zones/$zone/workers/routes"
  while IFS=$'\t' read -r route service; do
    # A pattern is a host, perhaps with stars, and a path.
    # shellcheck disable=SC2053
    [[ $WEBHOOK_HOST == ${route%%/*} && $service != "$name" ]] || continue
    problem "the route $route sends requests for $WEBHOOK_HOST to ${service:-no Worker}" \
      "delete that route (dashboard: the zone, Workers Routes)"
  done < <(jq -r '.result[] | [.pattern, .script // ""] | @tsv' "$answer")
}

# Arguments: what is asked, the token, the status that is right, how to mend another one.
expect() {
  local status
  status=$(get "$url/check?cluster=$any_address" "$2")
  if [ "$status" = "$3" ]; then
    say "$1: $status, as it should be"
  else
    problem "$1: $status instead of $3" "$4"
  fi
}

do_verify() {
  [ -n "${WEBHOOK_URL:-}" ] || need WEBHOOK_HOST
  if [ -n "$dry_run" ]; then
    say "would ask $url for release $release and the answers to no, a wrong and the right token"
    return
  fi
  need_config
  local status running
  status=$(get "$url/healthz" "")
  if [ "$(jq -r '.error?' "$answer" 2>/dev/null)" = misconfigured ]; then
    stop "$url/healthz answers $status: misconfigured" \
      "wrangler tail $name names the variable; mend it in $config"
  fi
  [ "$status" = 200 ] ||
    stop "$url/healthz answers $status" "deploy/webhook.sh route says where the address leads"
  running=$(jq -r '.release?' "$answer")
  if [ "$running" = "$release" ]; then
    say "release $release is running"
  else
    problem "release $running is running, this checkout is $release" \
      "deploy/webhook.sh route finds a stale Worker at the address; if there is none, deploy again"
  fi
  local elsewhere="something else answers at $url: deploy/webhook.sh route"
  expect "without a token" "" 401 "$elsewhere"
  expect "with a wrong token" "wrong-$RANDOM$RANDOM" 403 "$elsewhere"
  expect "with the right token" "$(configured TOKEN)" 200 "$config has another TOKEN: deploy again"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
answer=$work/answer
if [ "${1:-}" = --dry-run ]; then
  dry_run=yes
  shift
fi
case ${1:-} in
deploy | route | verify) "do_$1" ;;
*)
  sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0" >&2
  exit 2
  ;;
esac
[ "$problems" = 0 ] || exit 1
