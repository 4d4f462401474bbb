#!/usr/bin/env python3
"""./dev sim --mutants: plants the bugs of planted.py in the simulator, one at a time, and sees each of them found.

One source is compiled with the bug, outside the tree and with the build's own command, and linked in front of the
libraries: the linker takes it instead of the right one. Nothing in the product knows of this."""

import argparse
import concurrent.futures
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(__file__))
import planted

PROGRAM = "tests/sim/sluice-sim"
SECONDS = 600  # for all seeds of one bug


def commands(build):
    """The commands that make the simulator, from the build itself."""
    listed = subprocess.run(["ninja", "-C", build, "-t", "commands", PROGRAM], check=True, stdout=subprocess.PIPE,
                            stdin=subprocess.DEVNULL, text=True)
    return [shlex.split(line) for line in listed.stdout.splitlines()]


def value_at(command, option):
    return command.index(option) + 1


def places(bug):
    """The source, and how often the right text is in it: once, or the bug is stale."""
    with open(bug.source, encoding="utf-8") as source:
        text = source.read()
    return text, text.count(bug.right)


def plant(bug, scratch):
    """The source with the bug in it."""
    text, count = places(bug)
    if count != 1:
        raise ValueError(f"stale: {bug.source} has {count} places for it")
    path = os.path.join(scratch, bug.source)
    os.makedirs(os.path.dirname(path))
    with open(path, "w", encoding="utf-8") as out:
        out.write(text.replace(bug.right, bug.wrong))
    return path


def make(bug, build, recipe, scratch):
    """The simulator with the bug."""
    source = plant(bug, scratch)
    compile_one = next(list(each) for each in recipe if "-c" in each
                       and os.path.normpath(os.path.join(build, each[value_at(each, "-c")])) == bug.source)
    compile_one[value_at(compile_one, "-c")] = source
    compile_one[value_at(compile_one, "-o")] = source + ".o"
    compile_one[value_at(compile_one, "-MF")] = source + ".d"
    link = list(recipe[-1])
    program = os.path.join(scratch, "sluice-sim")
    link[value_at(link, "-o")] = program
    link.insert(next(at for at, word in enumerate(link) if word.endswith(".a")), source + ".o")
    for command in (compile_one, link):
        made = subprocess.run(command, cwd=build, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        if made.returncode:
            raise ValueError(f"does not build: {made.stdout[-800:]}")
    return program


def hunt(program, seeds):
    """Runs seeds until one fails: (that seed or None, what it said)."""
    try:
        ended = subprocess.run([program, "--seeds", str(seeds), "--stop"], stdin=subprocess.DEVNULL, text=True,
                               errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                               timeout=SECONDS)
        output, code = ended.stdout, ended.returncode
    except subprocess.TimeoutExpired as late:
        output, code = (late.stdout or b"").decode(errors="replace"), 0
    said = re.search(r"^not ok seed (\d+) # (.*?)(; replay.*)?$", output, re.M)
    if said:
        return int(said.group(1)), said.group(2)
    passed = output.count("ok seed ")
    if code == 0:
        return None, f"{passed} seeds passed"
    check = re.search(r"CHECK failed.*", output)
    return passed + 1, check.group(0) if check else f"ended with {code}"


def judge(bug, build, recipe):
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sluice-mutant-") as scratch:
        try:
            seed, said = hunt(make(bug, build, recipe, scratch), planted.SEEDS)
        except ValueError as error:
            seed, said = None, str(error)
    verdict = f"ok {bug.name} # seed {seed}: " if seed else f"not ok {bug.name} # "
    print(f"{verdict}{said[:160]} ({time.monotonic() - begun:.0f} s)", flush=True)
    return seed


def main():
    parser = argparse.ArgumentParser(prog="./dev sim --mutants")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these bugs")
    parser.add_argument("--build", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help=argparse.SUPPRESS)
    options = parser.parse_args()
    bugs = [bug for bug in planted.PLANTED if not options.names or bug.name in options.names]
    unknown = set(options.names) - {bug.name for bug in bugs}
    if unknown:
        parser.error(f"no such bug: {', '.join(sorted(unknown))}")
    stale = [f"{bug.name} ({bug.source})" for bug in planted.PLANTED if places(bug)[1] != 1]
    print(f"not ok every planted bug has one place # not: {', '.join(stale)}" if stale
          else f"ok every planted bug has one place # {len(planted.PLANTED)}")
    build = os.path.relpath(options.build)
    recipe = commands(build)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        seeds = list(pool.map(lambda bug: judge(bug, build, recipe), bugs))
    # What found them finds nothing where there is nothing.
    enough = max((seed for seed in seeds if seed), default=1)
    seed, said = hunt(os.path.join(build, PROGRAM), enough)
    print(f"not ok without any of them # seed {seed}: {said}" if seed else f"ok without any of them # {enough} seeds")
    found = sum(seed is not None for seed in seeds)
    print(f"{found} of {len(bugs)} planted bugs found")
    return 0 if found == len(bugs) and not seed and not stale else 1


if __name__ == "__main__":
    sys.exit(main())
