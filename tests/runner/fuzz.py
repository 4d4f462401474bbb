#!/usr/bin/env python3
"""./dev fuzz: runs fuzzers for a while, then prints executions and the line coverage that the corpus in the tree gives."""

import argparse
import glob
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(__file__))
import kinds
import program

COVERAGE_WANTED = 85.0  # per cent of the lines of the code under test


def covered_sources(name):
    with open(f"tests/fuzz/fuzz_{name}.cc", encoding="utf-8") as source:
        said = [path for line in re.findall(r"^// covers: (.*)$", source.read(), re.M) for path in line.split()]
    return [path for name in said for path in (sorted(glob.glob(f"{name}/*.cc")) if os.path.isdir(name) else [name])]


def build(folder, names, jobs):
    targets = [f"tests/fuzz/fuzz_{name}" for name in names]
    print("fuzz: building", *targets, flush=True)
    made = subprocess.run(["ninja", "-C", folder, "-j", str(jobs), *targets], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if made.returncode:
        print(made.stdout[-8000:])
        sys.exit("fuzz: the build failed (above)")


def coverage(binary, corpus, sources):
    """Per cent of lines that the inputs of a corpus reach, with (source, per cent, lines) of each file."""
    with tempfile.TemporaryDirectory(prefix="sluice-coverage-") as scratch:
        raw, profile = os.path.join(scratch, "raw"), os.path.join(scratch, "profile")
        subprocess.run([binary, "-runs=0", *corpus], env={**os.environ, "LLVM_PROFILE_FILE": raw}, check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        subprocess.run(["llvm-profdata-19", "merge", "-o", profile, raw], check=True)
        exported = subprocess.run(["llvm-cov-19", "export", "-format=lcov", f"-instr-profile={profile}", binary],
                                  check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    lines = {}
    for record in exported.stdout.split("end_of_record"):
        match = re.search(r"^SF:(.*)$", record, re.M)
        path = os.path.relpath(match.group(1), os.getcwd()) if match else ""
        if path in sources:
            lines[path] = [int(count) > 0 for count in re.findall(r"^DA:\d+,(\d+)", record, re.M)]
    every = [hit for hits in lines.values() for hit in hits]
    files = [(path, 100 * sum(hits) / max(1, len(hits)), len(hits)) for path, hits in sorted(lines.items())]
    return 100 * sum(every) / max(1, len(every)), files


def fuzz(folder, name, seconds, keep):
    """Fuzzes one for some seconds; true when nothing was found and the corpus covers enough."""
    binary, kept = f"{folder}/tests/fuzz/fuzz_{name}", f"tests/fuzz/corpus/{name}"
    corpus = [kept] if os.path.isdir(kept) else []
    with tempfile.TemporaryDirectory(prefix="sluice-fuzz-") as found:
        ended = program.run([binary, f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=4096",
                             "-print_final_stats=1", f"-artifact_prefix={folder}/{name}-", found, *corpus],
                            seconds + 120, {"LLVM_PROFILE_FILE": "/dev/null"})
        done = re.search(r"stat::number_of_executed_units: *(\d+)", ended.output)
        if ended.code != 0:
            print(ended.output[-6000:])
            print(f"not ok {name} # {program.how_it_ended(ended, seconds + 120)}")
            return False
        if keep:
            os.makedirs(kept, exist_ok=True)
            subprocess.run([binary, "-merge=1", kept, found], check=True, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           env={**os.environ, "LLVM_PROFILE_FILE": "/dev/null"})
            corpus = [kept]
    sources = covered_sources(name)
    share, files = coverage(binary, corpus, sources)
    for path, per_cent, count in files:
        print(f"  {path}: {per_cent:.1f} % of {count} lines")
    missing = set(sources) - {path for path, _, _ in files}
    enough = bool(sources) and not missing and share >= COVERAGE_WANTED
    inputs = sum(len(glob.glob(f"{path}/*")) for path in corpus)
    print(f"{'ok' if enough else 'not ok'} {name}: {int(done.group(1)) if done else 0} executions in {seconds} s, "
          f"{inputs} inputs in the corpus cover {share:.1f} % of lines"
          + (f" # no code of {', '.join(sorted(missing))} in it" if missing else "")
          + ("" if sources else " # it does not say what it covers"), flush=True)
    return enough


def main():
    parser = argparse.ArgumentParser(prog="./dev fuzz")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--keep", action="store_true", help="add what was found to the corpus in the tree")
    parser.add_argument("--build", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--jobs", type=int, required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    there = kinds.fuzz_names()
    names = options.names or there
    for name in names:
        if name not in there:
            parser.error(f"no fuzzer '{name}'; there are: {' '.join(there) or 'none yet'}")
    if not names:
        sys.exit("fuzz: there is no fuzzer in this tree yet")
    build(options.build, names, options.jobs)
    results = [fuzz(options.build, name, options.seconds, options.keep) for name in names]
    print(f"\n{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
