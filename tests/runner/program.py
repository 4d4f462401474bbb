"""One test program: run with a time limit, nothing left running, its output read as test results."""

import dataclasses
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time


@dataclasses.dataclass
class Result:
    name: str
    passed: bool
    why: str = ""


@dataclasses.dataclass
class Run:
    """How a program ended: exit code (None: out of time), what it printed, seconds, processes it left behind."""

    code: int | None
    output: str
    seconds: float
    left: list[str]
    document: str = ""  # what it wrote to {scratch}/result.json


def session_members(session):
    """(pid, name) of every process of a session."""
    members = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
                head, tail = stat.read().rsplit(")", 1)
        except OSError:
            continue
        state, _, _, its_session = tail.split()[:4]
        if int(its_session) == session and state != "Z":
            members.append((int(pid), head.split("(", 1)[1]))
    return members


def signal_quietly(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


GRACE = 5.0  # seconds in which a helper process may follow the program that it served (a symboliser at the end of a pipe)


def end_session(session):
    """Ends what still runs in a session after a moment: politely, then not. Returns what was there."""
    until = time.monotonic() + GRACE
    while (members := session_members(session)) and time.monotonic() < until:
        time.sleep(0.02)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid, _ in session_members(session):
            signal_quietly(pid, number)
        until = time.monotonic() + 5
        while session_members(session) and time.monotonic() < until:
            time.sleep(0.02)
    return [f"{name} ({pid})" for pid, name in members]


def run(command, timeout, environment=None, folder=None):
    """Runs a command in a session of its own, stdin closed. `{scratch}` in an argument and TMPDIR are a folder that is
    removed afterwards; there is an empty folder `found` in it."""
    scratch = tempfile.mkdtemp(prefix="sluice-test-")
    os.chmod(scratch, 0o711)  # a test may go on as another user
    os.mkdir(os.path.join(scratch, "found"))
    command = [argument.replace("{scratch}", scratch) for argument in command]
    begun = time.monotonic()
    code, left, document = None, [], ""
    try:
        with open(os.path.join(scratch, "output"), "w+b") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=folder,
                start_new_session=True, env={**os.environ, **(environment or {}), "TMPDIR": scratch})
            try:
                code = process.wait(timeout)
            except subprocess.TimeoutExpired:
                # Its children go too, or a shell would wait for them before it runs the trap that takes namespaces down.
                for pid, _ in session_members(process.pid):
                    signal_quietly(pid, signal.SIGTERM)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            except BaseException:
                process.terminate()
                process.wait(10)
                end_session(process.pid)
                raise
            left = end_session(process.pid)
            output.seek(0)
            text = output.read().decode("utf-8", errors="replace")
        written = os.path.join(scratch, "result.json")
        if os.path.exists(written):
            with open(written, encoding="utf-8", errors="replace") as result:
                document = result.read()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Run(code, text, time.monotonic() - begun, left, document)


def how_it_ended(ended, timeout):
    if ended.code is None:
        return f"still running after {timeout} s"
    if ended.code < 0:
        return f"killed by {signal.Signals(-ended.code).name}"
    return f"exit code {ended.code}"


def read_lines(ended):
    """`ok NAME` and `not ok NAME # why` lines, as scripts print them."""
    results = []
    for line in ended.output.splitlines():
        match = re.match(r"(not )?ok (?:\d+ )?(?:- )?(.+?)(?: # (.*))?$", line)
        if match:
            failed, name, why = match.groups()
            skipped = (why or "").lower().startswith(("skip", "todo"))
            results.append(Result(name, not failed and not skipped, why or ""))
    return results


def read_googletest(ended):
    """What GoogleTest prints. A test that began and did not end is the one that crashed; a skipped one failed."""
    results = {}
    for line in ended.output.splitlines():
        match = re.match(r"\[ (RUN     |      OK|  FAILED |  SKIPPED) \] (\S+?)(?:, where .*)?(?: \(\d+ ms\))?$", line)
        if not match:
            # A test that prints without a line end has its verdict behind its text.
            match = re.match(r".*\[ (      OK|  FAILED |  SKIPPED) \] (\S+?)(?:, where .*)? \(\d+ ms\)$", line)
        if not match:
            continue
        state, name = match.group(1).strip(), match.group(2)
        if state == "RUN":
            results[name] = Result(name, False, "did not end")
        elif name in results and results[name].why == "did not end":
            results[name] = Result(name, state == "OK", "" if state == "OK" else state.lower())
    return list(results.values())


def verdict(label, ended, results, timeout):
    """The results of a program, and one more failure for what no line of it tells."""
    results = list(results)
    if ended.code != 0 and all(result.passed for result in results):
        results.append(Result(label, False, how_it_ended(ended, timeout)))
    elif not results:
        results.append(Result(label, False, "printed no result"))
    if ended.left and ended.code is not None:
        results.append(Result(label, False, "left processes behind: " + ", ".join(ended.left)))
    return results
