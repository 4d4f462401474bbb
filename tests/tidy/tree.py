"""The tree under inspection: its files, their text, what they include."""

import functools
import json
import os
import re
import shlex
import subprocess

LAYERS = ["dataplane", "crypto", "l4", "l7", "mgmt"]


class Tree:
    def __init__(self, build, jobs):
        self.build = build
        self.jobs = jobs
        listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], check=True, stdout=subprocess.PIPE,
                                text=True).stdout.splitlines()
        self.files = sorted(path for path in set(listed) if os.path.isfile(path))

    def cxx(self):
        return [path for path in self.files if path.endswith((".h", ".cc"))]

    def headers(self):
        return [path for path in self.files if path.endswith(".h")]

    def layered(self):
        """C++ files of the five layers."""
        return [path for path in self.cxx() if path.split("/")[0] in LAYERS]

    @functools.cache
    def text(self, path):
        with open(path, encoding="utf-8") as source:
            return source.read()

    @functools.cache
    def includes(self, path):
        """(line, name, whether in quotes) of each include, in order."""
        found = []
        for number, line in enumerate(self.text(path).splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+(["<])([^">]+)[">]', line)
            if match:
                found.append((number, match.group(2), match.group(1) == '"'))
        return found

    @functools.cache
    def commands(self):
        """Source -> compile command of the build, as a list of words without compiler launcher, input and outputs."""
        with open(os.path.join(self.build, "compile_commands.json"), encoding="utf-8") as database:
            entries = json.load(database)
        commands = {}
        for entry in entries:
            words = shlex.split(entry["command"])
            if words[0].endswith("ccache"):
                words = words[1:]
            kept, skip = [], False
            for word in words:
                if not skip and word not in ("-o", "-c", "-MD", "-MQ", "-MF"):
                    kept.append(word)
                skip = word in ("-o", "-c", "-MQ", "-MF")
            source = os.path.relpath(os.path.join(entry["directory"], entry["file"]))
            commands.setdefault(source, kept)
        return commands


def comments_and_strings_blanked(text):
    """The same text, line by line, without comments, string contents, character literals and preprocessor lines."""
    pattern = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"([^(\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-zA-Z_])\'(?:\\.|[^\'\\\n])+\'', re.S)
    text = pattern.sub(lambda match: "\n" * match.group(0).count("\n"), text)
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda match: "\n" * match.group(0).count("\n"), text, flags=re.M)
