#!/bin/sh
# symbols.sh LIBRARY HEADER: the functions that a shared library exports are those that its header declares.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
nm -D --defined-only "$1" | awk '$2 == "T" {sub(/@.*/, "", $3); print $3}' | sort >"$folder/exported"
sed 's/\/\*.*//; /^ \*/d' "$2" | grep -oE '\battestmesh_[a-z_]+\(' | tr -d '(' | sort -u >"$folder/declared"
diff "$folder/declared" "$folder/exported"
