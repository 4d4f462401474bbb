"""Names, lengths, format, and marks of unfinished work."""

import ast
import os
import re
import subprocess

import tree

FILE_LINES = 400
FUNCTION_LINES = 70
WHOLE = re.compile(r"(//|#) Whole: \S+")  # says why something long reads better in one piece
FORBIDDEN = re.compile(r"(^|[/_.-])(utils?|common|misc|helpers?|tools?|managers?)([/_.-]|$)")
MARKS = re.compile(r"\b(TODO|FIXME|XXX|HACK|GTEST_SKIP|DISABLED_\w*)\b")
CODE = (".h", ".cc", ".py", ".sh", ".fbs")


def names(source_tree):
    """No file or folder is called util, common, misc, helper, tool or manager."""
    for path in source_tree.files:
        if FORBIDDEN.search(path):
            yield f"{path}: says nothing about what it holds"


def marks(source_tree):
    """Nothing is left for later, no test is switched off."""
    for path in source_tree.files:
        if path.endswith(CODE) and not path.startswith("tests/tidy/"):
            for number, line in enumerate(source_tree.text(path).splitlines(), 1):
                if MARKS.search(line):
                    yield f"{path}:{number}: {line.strip()[:80]}"


def file_length(source_tree):
    """A file has at most 400 lines, or a line `Whole: why` near its top."""
    for path in source_tree.files:
        if path.endswith(CODE):
            lines = source_tree.text(path).splitlines()
            if len(lines) > FILE_LINES and not any(WHOLE.search(line) for line in lines[:25]):
                yield f"{path}: {len(lines)} lines"


def cxx_functions(text):
    """(first line, last line) of each function, counted from 1. Leans on clang-format: a body's brace follows a space."""
    code = tree.comments_and_strings_blanked(text)
    stack, head, line, head_line = [], "", 1, 1
    for index, char in enumerate(code):
        if char == "\n":
            line += 1
        if char == "{":
            inside = any(kind == "function" for kind, _, _ in stack)
            before = code[index - 1] if index else "\n"
            head = re.sub(r"\balignas\([^()]*\)", "", head)
            if inside:
                kind = "block"
            elif not before.isspace() or head.rstrip().endswith(("=", "return")):
                kind = "value"
            elif re.search(r"\b(namespace|class|struct|union|enum|extern)\b[^()]*$", head):
                kind = "scope"
            else:
                kind = "function" if "(" in head else "scope"
            stack.append((kind, head_line, head))
            if kind != "value":
                head = ""
        elif char == "}" and stack:
            kind, first, opened_by = stack.pop()
            if kind == "function":
                yield first, line
            head = opened_by if kind == "value" else ""
        elif char == ";" and not (stack and stack[-1][0] == "value"):
            head = ""
        elif not (stack and stack[-1][0] == "value"):
            if not head.strip() and not char.isspace():
                head_line = line
            head += char


def python_functions(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno, node.end_lineno


def function_length(source_tree):
    """A function has at most 70 lines, or a line `Whole: why` in it or just before it."""
    for path in source_tree.files:
        if path.endswith((".h", ".cc", ".py")):
            text = source_tree.text(path)
            lines = text.splitlines()
            for first, last in python_functions(text) if path.endswith(".py") else cxx_functions(text):
                if last - first + 1 > FUNCTION_LINES:
                    if not any(WHOLE.search(line) for line in lines[max(0, first - 6):last]):
                        yield f"{path}:{first}: a function of {last - first + 1} lines"


def formatted(source_tree):
    """C++ is formatted as ./dev fmt does it."""
    paths = source_tree.cxx()
    if not paths:
        return
    done = subprocess.run(["xargs", "-P", str(source_tree.jobs), "-n", "8", "clang-format-19", "--dry-run"],
                          input="\n".join(paths), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    wrong = sorted(set(re.findall(r"^(\S+?):\d+:\d+: warning: ", done.stdout, re.M)))
    if done.returncode and not wrong:
        yield f"clang-format-19 failed: {done.stdout.strip()[:500]}"
    for path in wrong:
        yield f"{path}: ./dev fmt changes it"


def scripts(source_tree):
    """Shell scripts pass shellcheck, Python files compile."""
    shell = [path for path in source_tree.files
             if path.endswith(".sh") or (not os.path.splitext(path)[1] or path == ".ci/run") and is_shell(path)]
    done = subprocess.run(["shellcheck", "-x", "-S", "warning", "-f", "gcc", *shell], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    yield from done.stdout.splitlines()
    for path in source_tree.files:
        if path.endswith(".py"):
            try:
                ast.parse(source_tree.text(path))
            except SyntaxError as error:
                yield f"{path}:{error.lineno}: {error.msg}"


def is_shell(path):
    with open(path, "rb") as script:
        return re.match(rb"#!.*\b(ba|da)?sh\b", script.readline()) is not None
