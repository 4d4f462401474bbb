"""What one part of the tree says of another: mirrored tests, generated pages, the conformance table."""

import os
import re
import subprocess
import tempfile

CONFORMANCE = "docs/conformance.md"


def mirrored(source_tree):
    """Each module has tests/unit/<path>_test.cc, or a line `// Tested in PATH.` (several: with commas)."""
    modules = {}
    for path in source_tree.layered():
        if not path.endswith(".list.h"):
            modules.setdefault(os.path.splitext(path)[0], []).append(path)
    for module, paths in sorted(modules.items()):
        if os.path.isfile(f"tests/unit/{module}_test.cc"):
            continue
        said = [name for path in paths for line in re.findall(r"^// Tested in (.*?)\.?$", source_tree.text(path), re.M)
                for name in re.split(r",\s*", line)]
        if not said:
            yield f"{' '.join(paths)}: no tests/unit/{module}_test.cc, and no line `// Tested in PATH.`"
        for name in said:
            if not os.path.isfile(name):
                yield f"{' '.join(paths)}: tested in {name}, which does not exist"


def pages_generator(build):
    """The command that writes the reference pages to the folder that follows it, when it is built."""
    generator = os.path.join(build, "mgmt/docs-gen")
    return [generator] if os.path.exists(generator) else None


def pages(source_tree):
    """The reference pages in docs/ are what the source generates."""
    command = pages_generator(source_tree.build)
    with tempfile.TemporaryDirectory(prefix="sluice-docs-") as fresh:
        done = subprocess.run([*command, fresh], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            yield f"{' '.join(command)} failed: {done.stdout.strip()[:300]}"
            return
        written = sorted(os.listdir(fresh))
        if not written:
            yield f"{' '.join(command)} wrote no page"
        for name in written:
            with open(os.path.join(fresh, name), encoding="utf-8") as page:
                wanted = page.read()
            kept = os.path.join("docs", name)
            if not os.path.isfile(kept) or source_tree.text(kept) != wanted:
                yield f"{kept} is stale: {' '.join(command)} docs"


def test_names(source_tree):
    names = set()
    for path in source_tree.cxx():
        if path.startswith("tests/"):
            names.update(f"{suite}.{test}" for suite, test in
                         re.findall(r"^(?:TYPED_)?TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)", source_tree.text(path), re.M))
    return names


def conformance(source_tree):
    """Each row of the conformance table names code that exists and a test that exists, in backquotes."""
    names = test_names(source_tree)
    columns = None
    for number, line in enumerate(source_tree.text(CONFORMANCE).splitlines(), 1):
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not line.startswith("|"):
            columns = None
        elif columns is None:
            columns = [cell.lower() for cell in cells]
            if "test" not in columns or "code" not in columns:
                yield f"{CONFORMANCE}:{number}: a table without the columns `code` and `test`"
        elif not all(re.fullmatch(r":?-+:?", cell) for cell in cells):
            if len(cells) != len(columns):
                yield f"{CONFORMANCE}:{number}: {len(cells)} cells where there are {len(columns)} columns"
                continue
            row = dict(zip(columns, cells))
            for column in ("code", "test"):
                said = re.findall(r"`([^`]+)`", row.get(column, ""))
                if column in row and not said:
                    yield f"{CONFORMANCE}:{number}: names no {column}"
                for name in said:
                    if name not in names and not os.path.exists(name.split(":")[0]):
                        yield f"{CONFORMANCE}:{number}: {column} {name} does not exist"
