#!/usr/bin/env python3
"""Runs every kind of test in the builds it is given, counts them by kind, closes with `N passed, N failed`."""

import argparse
import collections
import concurrent.futures
import os
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
import kinds
import program

OUTPUT_LINES = 150  # of a failing program


class Report:
    """Counts by (kind, build), printing failures as they come."""

    def __init__(self):
        self.passed = collections.Counter()
        self.failed = collections.Counter()
        self.seconds = collections.Counter()
        self.slowest = []

    def add(self, row, results):
        for result in results:
            (self.passed if result.passed else self.failed)[row] += 1
            if not result.passed:
                print(f"FAILED {row}: {result.name}{': ' + result.why if result.why else ''}", flush=True)

    def close(self):
        rows = list(dict.fromkeys([*self.seconds, *self.passed, *self.failed]))
        print(f"\n{'kind':28} {'passed':>7} {'failed':>7} {'seconds':>8}")
        for row in rows:
            print(f"{row:28} {self.passed[row]:7} {self.failed[row]:7} {self.seconds[row]:8.1f}")
        print("slowest:", ", ".join(f"{label} {seconds:.0f} s" for seconds, label in sorted(self.slowest)[:-6:-1]))
        print(f"\n{self.passed.total()} passed, {self.failed.total()} failed", flush=True)
        return 1 if self.failed.total() or not self.passed.total() else 0


def environment(build):
    suppressions = os.path.abspath("tests/runner")
    return {
        "SLUICE_ROOT": os.getcwd(),
        "SLUICE_BUILD": os.path.abspath(build.folder),
        "SLUICE_FLAVOUR": build.flavour,
        "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
        "LSAN_OPTIONS": f"print_suppressions=0:suppressions={suppressions}/lsan.supp",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        "TSAN_OPTIONS": f"halt_on_error=0:die_after_fork=0:suppressions={suppressions}/tsan.supp",
    }


def execute(task, build):
    """Runs one task; anything that goes wrong while its output is read is its failure."""
    try:
        ended = program.run(task.command, task.timeout, environment(build))
        try:
            results = task.read(ended)
        except (KeyError, TypeError, ValueError) as error:
            results = [program.Result(task.label, False, f"its result cannot be read: {error!r}")]
        return ended, program.verdict(task.label, ended, results, task.timeout)
    except OSError as error:
        return program.Run(None, "", 0.0, []), [program.Result(task.label, False, f"cannot be run: {error.strerror}")]


def tell(report, row, task, ended, results):
    failed = sum(not result.passed for result in results)
    print(f"{row}: {task.label}: {len(results) - failed} passed, {failed} failed, {ended.seconds:.1f} s", flush=True)
    if failed:
        lines = ended.output.splitlines()
        if len(lines) > OUTPUT_LINES:
            print(f"  ... {len(lines) - OUTPUT_LINES} lines before")
        for line in lines[-OUTPUT_LINES:]:
            print("  |", line)
    report.slowest.append((ended.seconds, f"{row} {task.label}"))
    report.add(row, results)


def run_kind(kind, build, options, report):
    row = kind.name if build.flavour == "test" else f"{kind.name} ({build.flavour})"
    begun = time.monotonic()
    report.seconds[row] += 0
    tasks = kind.tasks(build, options.jobs)
    if options.match:
        tasks = [task for task in tasks if options.match in task.label]
        if not tasks:
            return
    before = report.passed[row] + report.failed[row]
    together = [task for task in tasks if not task.alone]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        running = {pool.submit(execute, task, build): task for task in together}
        for done in concurrent.futures.as_completed(running):
            tell(report, row, running[done], *done.result())
    for task in tasks:
        if task.alone:
            tell(report, row, task, *execute(task, build))
    if report.passed[row] + report.failed[row] == before:
        report.add(row, [program.Result(kind.name, False, "the kind exists and counts no test")])
    report.seconds[row] += time.monotonic() - begun


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", action="append", required=True, help="FLAVOUR=FOLDER=built|failed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--kind", default="", help="kinds to run, separated by commas")
    parser.add_argument("--match", default="", help="run only programs whose name contains this")
    options = parser.parse_args()
    names = [kind.name for kind in kinds.KINDS]
    options.kinds = options.kind.split(",") if options.kind else names
    for name in options.kinds:
        if name not in names:
            parser.error(f"no kind '{name}'; there are {', '.join(names)}")
    return options


def main():
    options = arguments()
    specs = [spec.split("=") for spec in options.build]
    builds = [kinds.Build(flavour, folder, state == "built", len(specs) == 1) for flavour, folder, state in specs]
    report = Report()
    for build in builds:
        if not build.built:
            report.add(f"build ({build.flavour})", [program.Result(build.folder, False, "does not build")])
    for kind in kinds.KINDS:
        if kind.name not in options.kinds:
            continue
        if not kind.exists():
            print(f"{kind.name}: not in this tree yet")
            continue
        for build in builds:
            if build.built and kinds.runs_in(kind, build):
                run_kind(kind, build, options, report)
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
