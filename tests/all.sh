#!/usr/bin/env bash
# Runs every suite, also after one has failed, and says at the end which did.
# Each suite's output is kept in target/test-logs/.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

logs=target/test-logs
mkdir -p "$logs"
failed=()

for suite in test-rust test-interop test-readers; do
  echo "==> make $suite"
  make --no-print-directory "$suite" 2>&1 | tee "$logs/$suite.log"
  [ "${PIPESTATUS[0]}" -eq 0 ] || failed+=("$suite")
done

# Closing lines: cargo "test result: ok. N passed; M failed; ..." for each test binary, Node's runner "pass N" and "fail M"
# after a sign, the readers' check "N passed, M failed" for each dataset.
awk '
  / [0-9]+ passed[;,] [0-9]+ failed/ || /^[0-9]+ passed, [0-9]+ failed/ {
    for (at = 2; at <= NF; at++) {
      if ($at ~ /^passed/) passed += $(at - 1)
      if ($at ~ /^failed/) failed += $(at - 1)
    }
  }
  NF == 3 && $2 == "pass" { passed += $3 }
  NF == 3 && $2 == "fail" { failed += $3 }
  END { printf "\n%d passed, %d failed\n", passed, failed }
' "$logs"/*.log

if [ ${#failed[@]} -gt 0 ]; then
  echo "failed suites: ${failed[*]} (logs in $logs)" >&2
  exit 1
fi
