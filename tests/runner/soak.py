#!/usr/bin/env python3
"""./dev soak: what takes hours. Each part is a call of ./dev that can be repeated alone; one line tells how it ended."""

import argparse
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
import kinds

SEEDS = 10_000


def parts(minutes, first):
    """(name, command) of each part whose sources exist."""
    yield "all tests, optimised across files", ["./dev", "test", "--sanitize", "lto"]
    yield "all tests under TSan", ["./dev", "test", "--sanitize", "thread"]
    if kinds.found("tests/sim/*.cc"):
        yield f"sim, seeds from {first}", ["./dev", "sim", "--seeds", str(SEEDS), "--first", str(first)]
        yield "sim, planted bugs", ["./dev", "sim", "--mutants"]
    for name in kinds.fuzz_names():
        yield f"fuzz {name}", ["./dev", "fuzz", name, "--seconds", str(60 * minutes)]
    yield ("ten minutes of virtual time at full rate to one endpoint",
           ["env", "SLUICE_FULL_RATE_SECONDS=600", "./dev", "test", "--sanitize", "lto", "--match", "unit_l4"])
    yield "transfers of 100 MB over bad links", ["./dev", "e2e", "--full"]
    for script in kinds.found("tests/soak/*.sh", "tests/soak/*.py"):
        yield script, [script]
    yield "what every verb leaves behind", ["tests/scripts/leaves_nothing.sh", "--all"]


def main():
    parser = argparse.ArgumentParser(prog="./dev soak")
    parser.add_argument("--minutes", type=int, default=10, help="of fuzzing, for each fuzzer")
    parser.add_argument("--first", type=int, default=random.SystemRandom().randrange(1_000_000, 1 << 40),
                        help="first seed of the simulator")
    options = parser.parse_args()
    results = []
    for name, command in parts(options.minutes, options.first):
        print(f"soak: {name}: {' '.join(command)}", flush=True)
        begun = time.monotonic()
        passed = subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode == 0
        results.append(passed)
        print(f"{'ok' if passed else 'not ok'} {name} ({time.monotonic() - begun:.0f} s)", flush=True)
    print(f"\n{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
