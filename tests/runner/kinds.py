"""The kinds of test and where they are found. tests/README.md tells how to add one."""

import dataclasses
import glob
import json
import math
import os
import re
from collections.abc import Callable

import program

SEEDS = {"test": 200, "lto": 200}  # of the simulator; other builds run fewer
SEEDS_SANITIZED = 60
FUZZ_SECONDS = 45  # for all fuzzers of a build together


@dataclasses.dataclass
class Task:
    """A test program in a build: where it is listed, how it is run and read."""

    kind: str
    label: str
    command: list[str]
    timeout: int
    read: Callable = program.read_lines
    alone: bool = False  # no other task beside it: it measures, or opens ports


@dataclasses.dataclass
class Build:
    flavour: str
    folder: str
    built: bool
    only: bool  # the only build of this run: it runs every kind

    def program(self, path):
        return os.path.join(self.folder, path)

    @property
    def sanitized(self):
        return self.flavour not in ("test", "lto")


def stated_timeout(path, default):
    """A script may say `# timeout: SECONDS` in its first lines."""
    with open(path, encoding="utf-8") as script:
        match = re.search(r"^# timeout: (\d+)$", script.read(2000), re.M)
    return int(match.group(1)) if match else default


def unit(build, _):
    tasks = []
    for path in sorted(glob.glob(build.program("tests/unit/*/unit_*"))):
        if os.access(path, os.X_OK) and os.path.isfile(path):
            tasks.append(Task("unit", os.path.basename(path), [path, "--gtest_color=no"], 300, program.read_googletest))
    return tasks


def golden(build, _):
    return [Task("golden", "golden", [build.program("tests/golden/golden")], 300)]


def sim(build, jobs):
    seeds = SEEDS_SANITIZED if build.sanitized else SEEDS[build.flavour]
    share = math.ceil(seeds / jobs)
    return [Task("sim", f"sim seeds {first}..{min(first + share, seeds + 1) - 1}",
                 [build.program("tests/sim/sluice-sim"), "--seeds", str(min(share, seeds + 1 - first)), "--first",
                  str(first)], 400)
            for first in range(1, seeds + 1, share)]


def shim(build, _):
    """C programs over the shared object that outside runners load."""
    return [Task("shim", os.path.basename(path), [path], 120)
            for path in sorted(glob.glob(build.program("tests/tcp_shim/shim_*")))
            if os.access(path, os.X_OK) and os.path.isfile(path)]


def tcp_scripts(build, _):
    """Scripted conversations with our TCP in every build; the same with the kernel's, which takes real time, in one."""
    binary = build.program("tests/tcp_scripts/tcp-scripts")
    tasks = [Task("tcp scripts", "tcp-scripts", [binary], 120)]
    if build.only or not build.sanitized:
        tasks.append(Task("tcp scripts", "tcp-scripts against Linux", [binary, "--kernel"], 180, alone=True))
        tasks.append(Task("tcp scripts", "docs/tcp.md", ["python3", "tests/tcp_scripts/table.py", "--build", build.folder,
                                                         "--check"], 60))
    return tasks


def scripts(_build, _jobs):
    return [Task("scripts", os.path.basename(path), [path], stated_timeout(path, 120), alone=True)
            for path in found("tests/scripts/*.sh", "tests/scripts/*.py")]


def fuzz_names():
    return [os.path.basename(path)[len("fuzz_"):-len(".cc")] for path in found("tests/fuzz/fuzz_*.cc")]


def fuzz(build, jobs):
    """A few seconds each, from the corpus; new inputs are thrown away, a crashing one stays in the build folder."""
    tasks = []
    names = fuzz_names()
    seconds = max(2, FUZZ_SECONDS * jobs // max(1, len(names)))
    for name in names:
        command = [build.program(f"tests/fuzz/fuzz_{name}"), f"-max_total_time={min(seconds, 15)}", "-timeout=10",
                   "-rss_limit_mb=4096", "-print_funcs=0", "-print_final_stats=1", f"-artifact_prefix={build.folder}/{name}-",
                   "{scratch}/found"]
        kept = f"tests/fuzz/corpus/{name}"
        if os.path.isdir(kept):
            command.append(kept)

        def read(ended, name=name):
            match = re.search(r"stat::number_of_executed_units: *(\d+)", ended.output)
            done = int(match.group(1)) if match else 0
            return [program.Result(f"{name} ({done} executions)", ended.code == 0 and done > 0,
                                   "" if done else "nothing executed")]

        tasks.append(Task("fuzz", f"fuzz {name}", command, 90, read))
    return tasks


def e2e(_build, _jobs):
    return [Task("e2e", os.path.basename(path), [path], stated_timeout(path, 120), alone=True)
            for path in found("tests/e2e/[0-9][0-9]_*.sh", "tests/e2e/[0-9][0-9]_*.py")]


def is_figure(figure):
    """Nothing at all is one only where less is better: of 200 MB no byte was copied."""
    value = figure["value"]
    return math.isfinite(value) and (value > 0 or (value == 0 and figure["better"] == "lower"))


def bench(build, _):
    """Every scenario, as short as it can be: each figure that is built is there, is a number and is not nothing."""
    binary = build.program("perf/sluice-bench")
    listing = program.run([binary, "list"], 60)
    tasks = []
    for scenario in listing.output.split() if listing.code == 0 else []:
        def read(ended, scenario=scenario):
            document = json.loads(ended.document)
            results = [program.Result(f"{scenario} {figure['name']} = {figure['value']:.4g} {figure['unit']}",
                                      is_figure(figure))
                       for figure in document["figures"]]
            return results + [program.Result(f"{scenario} {gap['name']}", False, gap["why"])
                              for gap in document.get("missing", []) if gap.get("built", True)]

        tasks.append(Task("bench", f"bench {scenario}", [binary, scenario, "--smoke", "--json", "{scratch}/result.json"],
                          240, read, alone=True))
    return tasks


def tidy(build, jobs):
    return [Task("tidy", "tidy", ["python3", "tests/tidy/tidy.py", "--build", build.folder, "--jobs", str(jobs)], 300,
                 alone=True)]


def found(*patterns):
    return sorted(path for pattern in patterns for path in glob.glob(pattern))


@dataclasses.dataclass
class Kind:
    """A kind exists when its sources do; `where` says in which builds it runs when there are two."""

    name: str
    exists: Callable[[], bool]
    tasks: Callable[[Build, int], list[Task]]
    where: str  # both | plain | fuzzers


def any_of(*patterns):
    return lambda: bool(found(*patterns))


KINDS = [
    Kind("unit", lambda: bool(glob.glob("tests/unit/**/*_test.cc", recursive=True)), unit, "both"),
    Kind("golden", any_of("tests/golden/*.cc"), golden, "both"),
    Kind("sim", any_of("tests/sim/*.cc"), sim, "both"),
    Kind("shim", any_of("tests/tcp_shim/*_test.c"), shim, "both"),
    Kind("tcp scripts", any_of("tests/tcp_scripts/*.cc"), tcp_scripts, "both"),
    Kind("scripts", any_of("tests/scripts/*.sh", "tests/scripts/*.py"), scripts, "plain"),
    Kind("fuzz", any_of("tests/fuzz/fuzz_*.cc"), fuzz, "fuzzers"),
    Kind("e2e", any_of("tests/e2e/[0-9][0-9]_*"), e2e, "plain"),
    Kind("bench", any_of("perf/*/*.cc", "perf/*.cc"), bench, "plain"),
    Kind("tidy", lambda: True, tidy, "plain"),
]


def runs_in(kind, build):
    if kind.where == "fuzzers":
        return "address" in build.flavour
    if kind.where == "plain":
        # House rules and scripts do not change with the build, but `--sanitize` runs the same tests.
        return build.only or not build.sanitized
    return True
