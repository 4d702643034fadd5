#!/usr/bin/env bash
# Counts anew: builds the program with counters, lets the load generator of `make bench-peers` drive it, and merges what was
# counted into counts.profdata. Takes as long as a release build, and two minutes.
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
# Only the proxy counts: neither the load generator, which is built with counters too, nor what runs while they are built.
cat > "$built/tollgate" <<END
#!/bin/sh
LLVM_PROFILE_FILE='$counts/%m.profraw' exec '$built/release/tollgate' "\$@"
END
chmod +x "$built/tollgate"

# Without the wrapper, because a build cannot have counters and counts. Functions have the same names in both builds: those depend
# neither on the directory nor on RUSTFLAGS.
RUSTC_WRAPPER='' RUSTFLAGS="-Cprofile-generate=$counts" LLVM_PROFILE_FILE=/dev/null CARGO_TARGET_DIR=$built PEER_TOLLGATE=$built/tollgate \
  cargo bench --locked --bench peers -- compare --peer tollgate --rounds 1 --seconds 5
"$profdata" merge --sparse -o pgo/counts.profdata "$counts"/*.profraw
rustc -vV > pgo/compiler
ls -l pgo/counts.profdata
