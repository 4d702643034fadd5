#!/usr/bin/env bash
# Runs every suite, also after one has failed, and says at the end which did.
# Each suite's output is kept in target/test-logs/.
set -uo pipefail
cd "$(dirname "$0")/.."

logs=target/test-logs
mkdir -p "$logs"
failed=()

for suite in test-rust test-interop test-readers; do
  echo "==> make $suite"
  "${MAKE:-make}" --no-print-directory "$suite" 2>&1 | tee "$logs/$suite.log"
  [ "${PIPESTATUS[0]}" -eq 0 ] || failed+=("$suite")
done

# cargo closes each test binary with "test result: ok. N passed; M failed", Node's runner with "pass N" and "fail M",
# the readers' check with "N passed, M failed".
awk '
  /^test result:/                           { for (at = 1; at < NF; at++) { if ($(at + 1) ~ /^passed/) passed += $at; if ($(at + 1) ~ /^failed/) failed += $at } }
  FILENAME ~ /interop/ && $(NF - 1) == "pass" { passed += $NF }
  FILENAME ~ /interop/ && $(NF - 1) == "fail" { failed += $NF }
  FILENAME ~ /readers/ && / passed, .* failed/ { for (at = 1; at < NF; at++) { if ($(at + 1) ~ /^passed/) passed += $at; if ($(at + 1) ~ /^failed/) failed += $at } }
  END                                       { printf "\n%d passed, %d failed\n", passed, failed }
' "$logs"/*.log

if [ ${#failed[@]} -gt 0 ]; then
  echo "failed suites: ${failed[*]} (logs in $logs)" >&2
  exit 1
fi
