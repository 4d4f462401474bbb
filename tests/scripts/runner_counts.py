#!/usr/bin/env python3
"""The test runner tells passing from failing: lines, GoogleTest's output, signals, time limits, silence, leftovers."""

import os
import re
import subprocess
import sys
import tempfile

RUNNER = os.path.abspath("tests/runner/main.py")
failed = False


def check(name, condition, why=""):
    global failed
    failed |= not condition
    print(f"ok {name}" if condition else f"not ok {name} # {why}")


def write(tree, path, text, executable=True):
    path = os.path.join(tree, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o755 if executable else 0o644)


def run(files, kind, flavour="test", state="built"):
    """Runs the runner over a tree of these files; gives exit code, passed, failed and all it printed."""
    with tempfile.TemporaryDirectory() as tree:
        os.mkdir(os.path.join(tree, "b"))
        for path, text in files.items():
            write(tree, path, text)
        done = subprocess.run([sys.executable, RUNNER, "--build", f"{flavour}=b={state}", "--kind", kind, "--jobs", "2"],
                              cwd=tree, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
    last = done.stdout.splitlines()[-1] if done.stdout else ""
    counts = re.fullmatch(r"(\d+) passed, (\d+) failed", last)
    return (done.returncode, *(map(int, counts.groups()) if counts else (None, None)), done.stdout)


def script(name, body, wanted, code=1):
    got = run({"tests/scripts/a.sh": "#!/bin/bash\n" + body}, "scripts")
    check(name, got[1:3] == wanted and got[0] == code, f"exit {got[0]}, counts {got[1:3]}, not {wanted}")
    return got


def unit(name, body, wanted, code=1):
    got = run({"tests/unit/x/a_test.cc": "", "b/tests/unit/x/unit_x": "#!/bin/bash\n" + body}, "unit")
    check(name, got[1:3] == wanted and got[0] == code, f"exit {got[0]}, counts {got[1:3]}, not {wanted}")


OK = "echo '[ RUN      ] S.a'; echo '[       OK ] S.a (0 ms)'\n"
script("lines are counted", "echo ok one; echo ok two", (2, 0), 0)
script("a failing line fails", "echo ok one; echo not ok two '#' why", (1, 1))
script("a skipped test failed", "echo ok one '# SKIP no root'", (0, 1))
script("an exit code alone fails", "echo ok one; exit 3", (1, 1))
script("a signal fails", "echo ok one; kill -SEGV $$", (1, 1))
script("silence fails", "true", (0, 1))
script("a time limit fails", "# timeout: 2\necho ok one; sleep 60", (1, 1))
script("a trap runs at the time limit", "# timeout: 4\ntrap 'echo not ok trapped; exit 1' TERM; sleep 60", (0, 1))
script("a process left behind fails", "echo ok one; sleep 60 & disown", (1, 1))
script("stdin is closed", "read -r line || echo ok closed", (1, 0), 0)
got = script("the folder for temporary files is removed", "touch $TMPDIR/x; echo not ok $TMPDIR", (0, 1))
check("TMPDIR is gone", not os.path.exists((re.findall(r"/\S*sluice-test-\w+", got[3]) or ["."])[-1]))
unit("GoogleTest is counted", OK, (1, 0), 0)
unit("GoogleTest's failure is counted once", "echo '[ RUN      ] S.a'; echo '[  FAILED  ] S.a (0 ms)';"
     "echo '[  FAILED  ] S.a'; exit 1", (0, 1))
unit("a parameterised failure is counted", "echo '[ RUN      ] P/S.a/0'; echo '[  FAILED  ] P/S.a/0, where GetParam() = 7 (0 ms)';"
     "exit 1", (0, 1))
unit("a crash is the test that began", OK + "echo '[ RUN      ] S.b'; kill -ABRT $$", (1, 1))
unit("a skipped unit test failed", "echo '[ RUN      ] S.a'; echo '[  SKIPPED ] S.a (0 ms)'", (0, 1))
unit("output before the verdict hides nothing", "echo '[ RUN      ] S.a'; printf 'text'; echo '[       OK ] S.a (0 ms)'", (1, 0), 0)
unit("a leak at the end fails", OK + "exit 23", (1, 1))
got = run({"tests/unit/x/a_test.cc": ""}, "unit")
check("a kind that exists and counts nothing fails", got[0] == 1 and got[1:3] == (0, 1), str(got[:3]))
got = run({"tests/golden/golden.cc": ""}, "golden")
check("a program that was not built fails", got[0] == 1 and got[1:3] == (0, 1), str(got[:3]))
got = run({"tests/fuzz/fuzz_a.cc": "", "b/tests/fuzz/fuzz_a": "#!/bin/bash\necho stat::number_of_executed_units: 12"},
          "fuzz", "address,undefined")
check("a fuzzer counts by its executions", got[0] == 0 and got[1:3] == (1, 0), str(got[:3]))
got = run({"tests/fuzz/fuzz_a.cc": "", "b/tests/fuzz/fuzz_a": "#!/bin/bash\necho stat::number_of_executed_units: 0"},
          "fuzz", "address,undefined")
check("a fuzzer that executes nothing fails", got[0] == 1 and got[1:3] == (0, 1), str(got[:3]))
BENCH = "#!/bin/bash\n[[ $1 == list ]] && { echo http; exit; }\necho '%s' >\"$4\"\n"
FIGURE = '{"figures": [{"name": "h1", "value": %s, "unit": "1/s"}], "missing": []}'
for value, wanted in (("5.0", (1, 0)), ("0", (0, 1)), ("NaN", (0, 1)), ('"x"', (0, 1))):
    got = run({"perf/bench.cc": "", "b/perf/sluice-bench": BENCH % (FIGURE % value)}, "bench")
    check(f"a figure of {value}", got[1:3] == wanted, str(got))
got = run({"tests/scripts/a.sh": "#!/bin/bash\necho ok one"}, "scripts", state="failed")
check("a failed build fails", got[0] == 1 and got[2] == 1, str(got[:3]))
sys.exit(failed)
