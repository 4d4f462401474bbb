#!/usr/bin/env bash
# The tour notices what is wrong: with a backend stopped, and with a route swapped, it names the step and fails.
set -uo pipefail
failed=0
# with BROKEN STEP...: exactly these steps are named.
with() {
  local broken=$1 named=$2 output code
  output=$("$SLUICE_ROOT/tests/e2e/demo" --quick --break "$broken" --only status,plain,routes 2>&1)
  code=$?
  if [[ $code -ne 0 && $(tail -n 1 <<<"$output") == "demo: FAILED at $named" ]]; then
    echo "ok with $broken the demo fails and names: $named"
  else
    echo "not ok with $broken the demo fails and names: $named # exit code $code, last line: $(tail -n 1 <<<"$output")"
    grep -v "^ok " <<<"$output"
    failed=1
  fi
}
with stopped-backend routes
with swapped-route plain,\ routes
exit "$failed"
