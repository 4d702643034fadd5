#!/usr/bin/env bash
# Counts anew: builds the program with counters, lets the load generator of `make bench-peers` drive it, and merges what was
# counted into counts.profdata. Takes a release build, that of the load generator, and two minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

host=$(rustc -vV | sed -n 's/^host: //p')
profdata=${LLVM_PROFDATA:-$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata}
if ! [ -x "$profdata" ]; then
  echo "$profdata is missing: rustup component add llvm-tools, or name the one of the compiler's LLVM in LLVM_PROFDATA" >&2
  exit 1
fi

built=$PWD/target/pgo
counts=$built/counts
rm -rf "$counts"
mkdir -p "$counts"
# Without the wrapper, because a build cannot have counters and counts. What it builds, and with which features of its
# dependencies, is exactly what is shipped: functions have the same names then, which depend neither on the directory nor on RUSTFLAGS.
# `cargo bench` would build another program, with what only tests need of tokio.
RUSTC_WRAPPER='' RUSTFLAGS="-Cprofile-generate=$counts" LLVM_PROFILE_FILE=/dev/null CARGO_TARGET_DIR=$built \
  cargo build --release --locked --bin tollgate
LLVM_PROFILE_FILE="$counts/%m.profraw" PEER_TOLLGATE=$built/release/tollgate \
  cargo bench --locked --bench peers -- compare --peer tollgate --rounds 1 --seconds 5
"$profdata" merge --sparse -o pgo/counts.profdata "$counts"/*.profraw
rustc -vV > pgo/compiler
echo 'counted; cargo does not notice, so run: cargo clean --release'
