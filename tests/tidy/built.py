"""What the build shows: headers that compile alone, sources that are built, symbols that do not belong."""

import concurrent.futures
import hashlib
import os
import subprocess

ARCHIVES = ["dataplane", "l4", "l7"]  # what a worker's turn runs
BANNED = ("pthread_mutex_", "__cxa_throw", "std::regex", "std::__cxx11::regex", "basic_regex")


def every_source(source_tree):
    """Every source stands in a meson.build (fuzzers: of the sanitizer build)."""
    for path in source_tree.cxx():
        if path.endswith(".cc") and path not in source_tree.commands() and not path.startswith("tests/fuzz/"):
            yield f"{path}: no meson.build names it"


def closure(source_tree, path):
    """The header and every header of the tree that it brings along."""
    seen, waiting = set(), [path]
    while waiting:
        path = waiting.pop()
        if path not in seen and os.path.isfile(path):
            seen.add(path)
            waiting += [name for _, name, quoted in source_tree.includes(path) if quoted]
    return sorted(seen)


def flags_for(source_tree, path):
    """How a source of the header's folder is compiled: the nearest one."""
    commands = source_tree.commands()
    nearest = max(commands, key=lambda source: len(os.path.commonpath([source, path])), default=None)
    return commands[nearest] if nearest else None


def compile_alone(source_tree, path):
    """What the compiler says of a header that is compiled alone. Kept by a hash of all that matters."""
    flags = flags_for(source_tree, path)
    if flags is None:
        return f"{path}: nothing is built that could tell how to compile it"
    key = hashlib.sha256(" ".join(flags).encode())
    for part in closure(source_tree, path):
        key.update(source_tree.text(part).encode())
    kept = os.path.join(source_tree.build, "tidy", key.hexdigest())
    if os.path.exists(kept):
        return ""
    # As the only include of a source: a main file may not say `#pragma once`.
    done = subprocess.run([*flags, "-fsyntax-only", "-x", "c++", "-"], input=f'#include "{os.path.abspath(path)}"\n',
                          cwd=source_tree.build, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    if done.returncode:
        errors = [line for line in done.stdout.splitlines() if "error" in line]
        return f"{path}: does not compile alone: {errors[0] if errors else done.stdout[:300]}"
    os.makedirs(os.path.dirname(kept), exist_ok=True)
    with open(kept, "w", encoding="utf-8"):
        pass
    return ""


def headers_alone(source_tree):
    """Every header compiles alone. One that is the first include of a built source has shown it already."""
    shown = set()
    for source in source_tree.commands():
        if os.path.isfile(source) and source_tree.includes(source):
            shown.add(source_tree.includes(source)[0][1])
    others = [path for path in source_tree.headers() if path not in shown]
    with concurrent.futures.ThreadPoolExecutor(source_tree.jobs) as pool:
        yield from filter(None, pool.map(lambda path: compile_alone(source_tree, path), others))


def symbols(source_tree):
    """The archives of dataplane, l4 and l7 refer to no mutex, no throw and no std::regex."""
    for name in ARCHIVES:
        archive = os.path.join(source_tree.build, name, f"lib{name}.a")
        done = subprocess.run(["nm", "-C", "-u", "-A", archive], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            yield f"{archive}: {done.stderr.strip()[:300]}"
        for line in done.stdout.splitlines():
            if any(banned in line for banned in BANNED):
                yield line
