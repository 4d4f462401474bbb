#!/usr/bin/env bash
# The simulator finds planted bugs: two of those that `./dev sim --mutants` plants, one in TCP and one in HTTP, prove the
# machinery in every run.
# timeout: 480
set -euo pipefail
cd "$(dirname "$0")/../.."
python3 tests/sim/mutants.py --build "$SLUICE_BUILD" --jobs 2 retransmission-of-wrong-bytes permit-leaked
