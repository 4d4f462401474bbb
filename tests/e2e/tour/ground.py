"""What a tour stands on: a folder, network namespaces, links and processes, all of which are gone afterwards."""

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

NO_PROXY = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
SERVER_PATIENCE = 30  # seconds until a process listens, on a machine that has much else to do
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM)


class StepFailed(Exception):
    """Something was not as it must be; the text says what."""


def check(condition, text):
    if not condition:
        raise StepFailed(text)


def wait_for(what, condition, seconds=20, every=0.05):
    """Until the condition holds."""
    until = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < until, f"waited {seconds:g} s in vain for {what}")
        time.sleep(every)


def interrupted(number, _frame):
    for again in ENDING:
        signal.signal(again, signal.SIG_IGN)  # cleaning is not to be cut short
    raise SystemExit("out of time" if number == signal.SIGALRM else f"ended by {signal.Signals(number).name}")


def leave_in_order(seconds):
    """What ends this process, the time limit among it, becomes SystemExit, so that everything is cleaned up."""
    for number in ENDING:
        signal.signal(number, interrupted)
    signal.alarm(seconds)


class Answer:
    """How a command ended and what it printed, standard error among it."""

    def __init__(self, code, text):
        self.code, self.text = code, text

    def __str__(self):
        return self.text


class Ground:
    """Namespaces are `demo-PID-NAME`; their links live inside them and go with them. Processes are ended by pid."""

    def __init__(self, lines_shown=24):
        self.folder = tempfile.mkdtemp(prefix="sluice-demo-")
        self.namespaces = {}
        self.processes = []
        self.lines_shown = lines_shown

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def write(self, name, text):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    # ---- namespaces and links

    def quiet(self, command):
        ended = subprocess.run(shlex.split(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, check=False)
        check(ended.returncode == 0, f"{command}: {ended.stdout.strip()}")

    def namespace(self, name):
        full = f"demo-{os.getpid()}-{name}"
        self.namespaces[name] = full
        self.quiet(f"ip netns add {full}")
        self.quiet(f"ip -n {full} link set lo up")
        return full

    def link(self, near, near_name, far, far_name):
        """A veth pair. Segments and checksums are made complete where they start: DPDK reads frames as they are."""
        near, far = self.namespaces[near], self.namespaces[far]
        self.quiet(f"ip -n {near} link add {near_name} type veth peer name {far_name} netns {far}")
        for space, name in ((near, near_name), (far, far_name)):
            self.quiet(f"ip netns exec {space} ethtool -K {name} tx off tso off gso off gro off")
            self.quiet(f"ip -n {space} link set {name} up")

    def address(self, name, device, *addresses):
        for address in addresses:
            nodad = " nodad" if ":" in address else ""
            self.quiet(f"ip -n {self.namespaces[name]} addr add {address} dev {device}{nodad}")

    # ---- processes

    def inside(self, name, command):
        return ["ip", "netns", "exec", self.namespaces[name], *command] if name else list(command)

    def start(self, name, command, log=None, stdin=subprocess.DEVNULL, stdout=None):
        """A process that goes on in a namespace (None: here)."""
        with open(self.path(log), "ab") if log else open(os.devnull, "wb") as out:
            process = subprocess.Popen(self.inside(name, command), stdin=stdin, stdout=stdout or out, stderr=out,
                                       env=NO_PROXY)
        self.processes.append(process)
        return process

    def listening(self, name, port, kind):
        """How many sockets of a namespace listen on a port (TCP) or are bound to it (UDP), whatever the address."""
        state = {"tcp": "0A", "udp": "07"}[kind]
        rows = subprocess.run(self.inside(name, ["cat", f"/proc/net/{kind}", f"/proc/net/{kind}6"]), text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        fields = [row.split() for row in rows.stdout.splitlines()]
        return sum(row[1].endswith(f":{port:04X}") and row[3] == state for row in fields if len(row) > 3)

    def wait_listening(self, process, name, port, log, kind="tcp", sockets=1):
        """A process needs time to become a server: until then, who asks it is refused."""
        def up():
            code = process.poll()
            check(code is None, f"{name}'s server of {kind} port {port} has left with exit code {code}")
            return self.listening(name, port, kind) >= sockets

        try:
            wait_for(f"{name} to listen on {kind} port {port}", up, SERVER_PATIENCE)
        except StepFailed as error:
            said = " | ".join(line.strip() for line in self.tail(log, 5).splitlines())
            raise StepFailed(f"{error}; its log: {said or 'empty'}") from None

    def serve(self, name, command, port, log, kind="tcp"):
        """A server, when it is one."""
        process = self.start(name, command, log=log)
        self.wait_listening(process, name, port, log, kind)
        return process

    def end(self, process, number=signal.SIGTERM, seconds=5):
        """Ends a process that this tour started; returns its exit code."""
        if process.poll() is None:
            process.send_signal(number)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()
        if process in self.processes:
            self.processes.remove(process)
        return process.returncode

    def finish(self, process, seconds):
        """Waits for a process that was started with a pipe and shows what it printed."""
        try:
            text, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.end(process)
            raise StepFailed(f"a command did not end within {seconds} s") from None
        self.processes.remove(process)
        answer = Answer(process.returncode, text.decode(errors="replace"))
        self.show(answer.text)
        return answer

    def run(self, name, command, seconds=20, code=0, shown=None, said=None):
        """Prints a command (or `said` for it), runs it, prints its answer. `code`: the exit code that is right; None:
        any."""
        self.say(name, said or command)
        try:
            ended = subprocess.run(self.inside(name, command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, timeout=seconds, check=False, env=NO_PROXY)
        except subprocess.TimeoutExpired:
            raise StepFailed(f"no answer within {seconds} s: {shlex.join(command)}") from None
        answer = Answer(ended.returncode, ended.stdout.decode(errors="replace"))
        self.show(answer.text if shown is None else shown(answer.text))
        check(code is None or answer.code == code, f"exit code {answer.code} instead of {code}: {shlex.join(command)}")
        return answer

    def bash(self, name, line, **more):
        return self.run(name, ["bash", "-o", "pipefail", "-c", line], **more)

    def say(self, name, command):
        line = command[-1] if command[:2] == ["bash", "-o"] else shlex.join(command)
        print(f"{name or 'node'}$ {line}", flush=True)

    def show(self, text):
        lines = text.rstrip("\n").split("\n") if text.strip() else []
        for line in lines[: self.lines_shown]:
            print(f"    {line}")
        if len(lines) > self.lines_shown:
            print(f"    ... {len(lines) - self.lines_shown} more lines")
        print(end="", flush=True)

    def tail(self, log, lines=20):
        if not os.path.exists(self.path(log)):
            return ""
        with open(self.path(log), encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-lines:])

    def leave(self):
        """The same whatever happened before."""
        for process in reversed(list(self.processes)):
            self.end(process, seconds=3)
        for name in self.namespaces.values():
            subprocess.run(["ip", "netns", "del", name], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           check=False)
        shutil.rmtree(self.folder, ignore_errors=True)
