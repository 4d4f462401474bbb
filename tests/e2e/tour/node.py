"""The node under tour: sluiced in its namespace, and sluicectl beside it."""

import glob
import json
import os
import shlex
import shutil
import signal
import subprocess

import scene
from ground import StepFailed, check, wait_for

DRIVERS = ("af_xdp", "af_packet")
EXIT_PORT = 5  # of sluiced: a port cannot be opened


class Node:
    def __init__(self, ground, build, changes=None):
        """`changes`: of the tour's node file."""
        self.ground, self.build, self.changes = ground, build, changes
        self.process = None
        self.driver = None
        self.socket = ground.path("sluice.sock")

    def program(self, name):
        return os.path.join(self.build, "mgmt", name)

    def start(self):
        """On AF_XDP, or on AF_PACKET where the kernel has no AF_XDP."""
        for driver in DRIVERS if self.driver is None else (self.driver,):
            file = scene.node_file(self.ground, driver, self.changes)
            command = [self.program("sluiced"), "--config", file]
            self.ground.say("node", command)
            self.process = self.ground.start("node", command, log="sluiced.log")
            try:
                wait_for("sluiced to answer", self.answers, 30)
            except StepFailed:
                code = self.process.poll()
                self.ground.show(self.ground.tail("sluiced.log"))
                if code == EXIT_PORT and driver != DRIVERS[-1]:
                    print(f"    {driver} ports cannot be opened here: trying the next kind")
                    continue
                raise StepFailed(f"sluiced did not start (exit code {code})") from None
            self.driver = driver
            if driver == "af_packet":
                self.hide_ports_from_kernel()
            self.give_kernel_its_address()
            return

    def answers(self):
        check(self.process.poll() is None, "sluiced has left")
        return os.path.exists(self.socket) and subprocess.run(
            [self.program("sluicectl"), "status", "--socket", self.socket], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0

    def hide_ports_from_kernel(self):
        """A packet socket gets a copy of what the kernel keeps; the kernel is to take frames of the exception port only:
        by reverse path it refuses those of the ports, and it answers no ARP there."""
        for port in ("front", "back"):
            for setting in (f"{port}.rp_filter", f"{port}.arp_ignore"):
                self.ground.quiet(f"ip netns exec {self.ground.namespaces['node']} sysctl -qw net.ipv4.conf.{setting}=1")

    def give_kernel_its_address(self):
        """If there is an exception port."""
        space = self.ground.namespaces["node"]
        if subprocess.run(["ip", "-n", space, "link", "show", "kernel0"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode:
            return
        self.ground.quiet(f"ip -n {space} addr replace {scene.NODE}/24 dev kernel0")
        self.ground.quiet(f"ip -n {space} link set kernel0 up")

    def control(self, *arguments, **more):
        """sluicectl, as an operator types it."""
        return self.ground.run(None, [self.program("sluicectl"), *arguments, "--socket", self.socket],
                               said=["sluicectl", *arguments], **more)

    def quiet_control(self, *arguments):
        command = [self.program("sluicectl"), *arguments, "--socket", self.socket]
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, timeout=20, check=False)
        check(ended.returncode == 0, f"sluicectl {shlex.join(arguments)}: {ended.stdout.strip()}")
        return ended.stdout

    def json(self, *arguments):
        return json.loads(self.quiet_control(*arguments, "--json"))

    def counters(self):
        return {counter["name"]: counter.get("value", 0) for counter in self.json("stats")["counters"]}

    def apply(self, policy, name="policy.json", **more):
        return self.control("apply", self.ground.write(name, json.dumps(policy, indent=1)), **more)

    def stop(self):
        """SIGTERM; returns the exit code."""
        return self.ground.end(self.process, signal.SIGTERM, 35)

    @staticmethod
    def clean_runtime():
        """What DPDK leaves when sluiced was killed; nothing else is called by this tour's prefix."""
        prefix = f"demo-{os.getpid()}"
        shutil.rmtree(f"/var/run/dpdk/{prefix}", ignore_errors=True)
        for path in glob.glob(f"/dev/hugepages/{prefix}map_*"):
            os.unlink(path)
