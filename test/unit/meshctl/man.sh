#!/usr/bin/env bash
# The manual pages are well formed, and meshctl(1) tells of every command and option that the program's help tells of.
#   man.sh MESHCTL PAGE...
set -euo pipefail
meshctl=$1
shift
failed=0

if command -v mandoc >/dev/null; then
  mandoc -Tlint -Wwarning "$@" || failed=1
else
  echo "form of the manual pages not checked: mandoc is not installed"
fi

page=$(printf '%s\n' "$@" | grep 'meshctl\.1$')
commands=$("$meshctl" --help | sed -nE 's/^  ([a-z][a-z-]*).*/\1/p')
for command in $commands; do
  grep -qE "^\.It Cm $command( |\$)" "$page" || { echo "$page: nothing of the command $command"; failed=1; }
  for option in $("$meshctl" "$command" --help | sed -nE 's/^  --([a-z-]+).*/\1/p'); do
    grep -qE "Fl Fl $option( |\$)" "$page" || { echo "$page: nothing of $command --$option"; failed=1; }
  done
done
exit "$failed"
