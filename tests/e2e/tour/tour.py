"""What a tour or a test goes on with: the ground with its peers, a node, bodies to load, and the steps."""

import hashlib
import os
import subprocess
import sys
import time

import scene
from ground import Ground, StepFailed, check, leave_in_order
from node import Node

ROOT = os.environ.get("SLUICE_ROOT") or os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
BUILD = os.environ.get("SLUICE_BUILD") or os.path.join(ROOT, "build")

FAULTS = (StepFailed, OSError, LookupError, ValueError, subprocess.SubprocessError)  # of a step; others are the test's


def file_hash(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Tour:
    """What the steps work with."""

    def __init__(self, ground, size, broken=None):
        self.ground, self.root, self.broken, self.size = ground, ROOT, broken, size
        self.node = Node(ground, BUILD)
        self.big, self.big_hash, self.backends = "", "", {}
        self.at = "set-up"  # the step under way
        self.failed = []  # names of steps

    def prepare(self):
        """Everything but the node."""
        scene.lay_out(self.ground)
        scene.certificates(self.ground)
        self.backends = scene.start_peers(self.ground)
        self.big = self.ground.path("b1", "files", "big")
        with open(self.big, "wb") as file:
            for _ in range(self.size // 1_000_000):
                file.write(os.urandom(1_000_000))
        self.big_hash = file_hash(self.big)

    def start(self, changes=None, policy=None, driver=None):
        """Another node, with these changes of the node file, and its policy."""
        self.node = Node(self.ground, BUILD, changes)
        self.node.driver = driver
        self.node.start()
        if policy is not None:
            self.node.apply(policy, shown=lambda text: text.splitlines()[0])

    def attempt(self, name, step, *arguments):
        """A step, whatever became of those before; what is wrong is told and remembered."""
        self.at = name
        print(f"\n== {name}: {step.__doc__}", flush=True)
        begun = time.monotonic()
        try:
            if self.node.process.poll() is not None:
                raise StepFailed(f"sluiced is gone, with exit code {self.node.process.returncode}")
            step(self, *arguments)
        except FAULTS as error:
            self.failed.append(name)
            print(f"not ok {name} # {error if isinstance(error, StepFailed) else repr(error)}", flush=True)
            self.explain()
        else:
            print(f"ok {name}", f"    ({time.monotonic() - begun:.1f} s)", sep="\n", flush=True)

    def explain(self):
        """What the node says when something was wrong."""
        for line in self.ground.tail("sluiced.log", 5).splitlines():
            print(f"    sluiced: {line}")
        try:
            dropped = {name: value for name, value in self.node.counters().items() if "drop" in name and value}
            print(f"    dropped: {dropped}; free buffers:",
                  [worker["packet_buffers_free"] for worker in self.node.json("status")["workers"]], flush=True)
        except FAULTS as error:
            print(f"    its counters cannot be read: {error}", flush=True)

    def stop(self):
        """The node leaves by SIGTERM, as it should."""
        code = self.node.stop()
        check(code == 0, f"sluiced left with exit code {code}")

    def leave(self):
        self.ground.leave()
        self.node.clean_runtime()


def run_test(test, size=1_000_000, seconds=115):
    """The whole of a test file: `test(tour)` on a ground of its own, of which nothing is left. Ends the process."""
    if os.geteuid() != 0:
        sys.exit("it makes network namespaces and opens ports: it needs root")
    leave_in_order(seconds)
    tour = Tour(Ground(), size)
    try:
        tour.prepare()
        test(tour)
        if tour.node.process.poll() is None:
            tour.stop()
    except (StepFailed, SystemExit) as error:
        print(f"not ok {tour.at} # {error}", flush=True)
        tour.failed.append(tour.at)
    finally:
        tour.leave()
    sys.exit(1 if tour.failed else 0)
