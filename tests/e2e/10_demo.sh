#!/usr/bin/env bash
# The tour that ./dev demo gives, on the build under test: every step is a test. Nothing is left behind.
# timeout: 300
set -uo pipefail
namespaces() { ip netns list | grep -c '^demo-' || true; }
before=$(namespaces)
"$SLUICE_ROOT/tests/e2e/demo"
code=$?
if [[ $(namespaces) == "$before" ]]; then echo "ok the demo leaves no namespace"; else echo "not ok the demo leaves no namespace"; fi
exit "$code"
