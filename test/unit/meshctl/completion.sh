#!/usr/bin/env bash
# The completion scripts: bash offers every command, and for every command the options that its help tells of; zsh and
# fish take their scripts.
#   completion.sh MESHCTL
set -euo pipefail
PATH=$(dirname "$1"):$PATH
failed=0

expect() {
  [ "$2" = "$3" ] && return
  echo "$1: expected \"$2\", got \"$3\""
  failed=1
}

# What is offered behind these words, sorted.
offered() {
  COMP_WORDS=(meshctl "$@" "") COMP_CWORD=$(($# + 1)) COMPREPLY=()
  _meshctl
  printf '%s\n' "${COMPREPLY[@]}" | sort | tr '\n' ' '
}

helped() { meshctl "$@" --help | grep -oE '^  --[a-z-]+' | tr -d ' ' | sort | tr '\n' ' '; }

source <(meshctl completion bash)
commands=$(meshctl --help | sed -nE 's/^  ([a-z][a-z-]*).*/\1/p')
expect "no command" "$(printf '%s\n' $commands --socket --json --help | sort | tr '\n' ' ')" "$(offered)"
for command in $commands; do
  options=$(offered "$command" | tr ' ' '\n' | grep -- '^--' | tr '\n' ' ')
  expect "$command" "$(helped "$command")" "$options"
done
expect "an option in front" "$(offered status)" "$(offered --socket status status)"

for shell in zsh fish; do
  if command -v "$shell" >/dev/null; then
    meshctl completion "$shell" >"${TMPDIR:-/tmp}/meshctl.$$"
    "$shell" -n "${TMPDIR:-/tmp}/meshctl.$$" || failed=1
    rm "${TMPDIR:-/tmp}/meshctl.$$"
  else
    echo "completion for $shell not checked: it is not installed"
  fi
done
exit "$failed"
