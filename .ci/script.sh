# shellcheck shell=bash
# Begins a script, which sources this: it goes on at the root of the checkout, and its messages
# begin with its own path there.
set -euo pipefail
script=$(realpath "$0")
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
readonly script=${script#"$PWD/"}

say() { printf '%s: %s\n' "$script" "$*"; }

fail() {
  say "$@" >&2
  exit 1
}

# Runs a command and shows what it printed only if it fails.
quietly() {
  local printed
  printed=$("$@" 2>&1) && return
  printf '%s\n' "$printed" >&2
  fail "failed: $*"
}
