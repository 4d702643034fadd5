#!/usr/bin/env bash
# Names every tool that is missing or too old, with the remedy, before anything is built.
# Usage: tests/prerequisites.sh rust|node|python ...
set -euo pipefail
cd "$(dirname "$0")/.."

problems=()

has() { command -v "$1" >/dev/null 2>&1; }

# at_least HAVE WANT: compares dotted versions.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

need_rust() {
  local want have
  want=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
  if ! has cargo; then
    problems+=("cargo is missing: install Rust $want or newer, see https://rustup.rs")
  else
    have=$(rustc --version | cut -d ' ' -f 2)
    at_least "$have" "$want" || problems+=("rustc is $have, $want or newer is needed: rustup update stable")
  fi
  has openssl || problems+=("openssl is missing: the tests of deploy/anchors need it (Debian: apt install openssl)")
  has curl || problems+=("curl is missing: the tests of deploy/anchors need it (Debian: apt install curl)")
  has make || problems+=("make is missing: building jemalloc needs it (Debian: apt install make; Fedora: dnf install make)")
  has "${CC:-cc}" || problems+=("${CC:-cc} is missing: install a C compiler (Debian: apt install gcc libc6-dev; Fedora: dnf install gcc)")
}

need_node() {
  local want=20.18.1 have
  if ! has node; then
    problems+=("node is missing: install Node.js $want or newer, see https://nodejs.org")
  else
    have=$(node --version)
    at_least "${have#v}" "$want" || problems+=("node is $have, $want or newer is needed, see https://nodejs.org")
  fi
  has npm || problems+=("npm is missing: it comes with Node.js (Debian: apt install npm)")
}

need_python() {
  local python=${PYTHON:-python3}
  if ! has "$python"; then
    problems+=("$python is missing: install Python 3.11 or newer, or name it: make PYTHON=/path/to/python3")
  elif ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    problems+=("$("$python" --version) is too old, 3.11 or newer is needed: make PYTHON=/path/to/newer/python3")
  elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    problems+=("$python cannot make virtual environments: install its venv module (Debian: apt install python3-venv)")
  fi
}

for group in "$@"; do "need_$group"; done

if [ ${#problems[@]} -gt 0 ]; then
  printf 'missing: %s\n' "${problems[@]}" >&2
  exit 1
fi
