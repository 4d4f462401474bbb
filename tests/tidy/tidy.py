#!/usr/bin/env python3
"""The rules of the house as a test: a line `ok RULE` or `not ok RULE # how often` each, complaints before it."""

import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(__file__))
import built
import includes
import promises
import shape
import tree

RULES = {
    "includes-go-left": includes.leftward,
    "includes-of-ports": includes.ports_only,
    "includes-are-rooted": includes.rooted,
    "own-header-first": includes.own_header_first,
    "header-opening": includes.opening,
    "headers-alone": built.headers_alone,
    "every-source-built": built.every_source,
    "symbols": built.symbols,
    "mirrored-tests": promises.mirrored,
    "pages-are-current": promises.pages,
    "conformance": promises.conformance,
    "format": shape.formatted,
    "file-length": shape.file_length,
    "function-length": shape.function_length,
    "names": shape.names,
    "marks": shape.marks,
    "scripts": shape.scripts,
}


def applies(rule, build):
    """Two rules wait for what they inspect to exist."""
    if rule == "pages-are-current":
        return promises.pages_generator(build) is not None
    if rule == "conformance":
        return os.path.exists(promises.CONFORMANCE)
    return True


def main():
    parser = argparse.ArgumentParser(prog="./dev tidy")
    parser.add_argument("rules", nargs="*", metavar="RULE", help=", ".join(RULES))
    parser.add_argument("--build", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help=argparse.SUPPRESS)
    options = parser.parse_args()
    for rule in options.rules:
        if rule not in RULES:
            parser.error(f"no rule '{rule}'; there are {', '.join(RULES)}")
    source_tree = tree.Tree(options.build, options.jobs)
    broken = 0
    for rule in options.rules or RULES:
        if not applies(rule, options.build):
            continue
        complaints = list(RULES[rule](source_tree))
        for complaint in complaints:
            print(f"  {complaint}")
        print(f"not ok {rule} # {len(complaints)} complaints" if complaints else f"ok {rule}", flush=True)
        broken += bool(complaints)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
