"""Steps about the life of the process: killed and started again, told to leave, what it holds and what it leaves."""

import glob
import os
import re
import shlex
import signal
import subprocess
import time

import scene
from ground import check, wait_for
from scene import WEB4
from steps_traffic import curl, says, secure, secure_url


def left_behind(tour):
    """Files of a node that is gone."""
    prefix = f"demo-{os.getpid()}"
    return [path for path in (tour.node.socket, f"/var/run/dpdk/{prefix}", *glob.glob(f"/dev/hugepages/*{prefix}*"))
            if os.path.exists(path)]


def load_slowly(tour, seconds):
    """A download that takes so long, under way."""
    command = ["curl", "-sS", "-o", os.devnull, "--limit-rate", str(tour.size // seconds),
               *shlex.split(secure_url(tour, "/files/big"))]
    tour.ground.say("client", [*command, "&"])
    sealed = tour.node.counters()["tls_sealed_bytes"] + 65536  # more than a handshake
    loading = tour.ground.start("client", command, log="loading.log")
    wait_for("the download to begin", lambda: tour.node.counters()["tls_sealed_bytes"] > sealed, 20)
    return loading


def told(tour, number=signal.SIGTERM):
    print(f"node$ kill -{signal.Signals(number).name[3:]} {tour.node.process.pid}")
    tour.node.process.send_signal(number)


def killed(tour):
    """killed and started again without a control plane, it serves the same policy"""
    tour.node.apply(scene.policy(moved="b3"), shown=lambda text: text.splitlines()[0])
    says(tour, "b3", f"http://{WEB4}/move")
    before = tour.node.json("status")
    told(tour, signal.SIGKILL)
    tour.node.process.wait(20)
    print(f"    left by the kill: {left_behind(tour)}")
    check(os.path.exists(tour.node.socket), "the kill left no socket: nothing is taken over")
    begun = time.monotonic()
    tour.node.start()
    print(f"    serves {time.monotonic() - begun:.1f} s after its start")
    says(tour, "b3", f"http://{WEB4}/move")
    secure(tour)
    after = tour.node.json("status")
    for what in ("listeners", "routes", "clusters", "endpoints", "services"):
        check(after[what] == before[what], f"{what}: {before[what]} became {after[what]}")
    check(curl(tour, f"http://{scene.L4_4}:{scene.HTTP_PORT}/").text.startswith("b"), "the L4 service is gone")


def second_instance(tour):
    """a second instance says that one runs, and harms nothing"""
    answer = tour.ground.run("node", [tour.node.program("sluiced"), "--config", tour.ground.path("node.toml")], code=6)
    check(len(answer.text.strip().splitlines()) == 1, "it is not one line")
    says(tour, "b1", f"http://{WEB4}/hello")


def sockets(tour):
    """its kernel sockets: one Unix listener, one TCP listener, and those of the drivers of its ports"""
    pid = tour.node.process.pid
    held = {match.group(1) for descriptor in os.listdir(f"/proc/{pid}/fd")
            if (match := re.match(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{descriptor}")))}
    families = {}
    for family in ("tcp", "tcp6", "udp", "udp6", "udplite", "raw", "raw6", "icmp", "packet", "unix", "netlink"):
        path = f"/proc/{pid}/net/{family}"
        if not os.path.exists(path):
            continue
        with open(path, encoding="ascii", errors="replace") as table:
            rows = [line.split() for line in table.readlines()[1:]]
        families[family] = [row for row in rows if held & set(row)]
        if families[family]:
            print(f"    {family}: {len(families[family])}")
    for family in ("tcp6", "udp", "udp6", "raw", "raw6", "packet"):
        check(not families.get(family), f"it has a socket of kind {family}: {families.get(family)}")
    listening = [row for row in families["tcp"] if row[3] == "0A" and row[1].endswith(f":{9090:04X}")]
    check(len(families["tcp"]) == 1 and listening, f"TCP sockets: {families['tcp']}")
    listening = [row for row in families["unix"] if row[-1] == tour.node.socket]
    check(len(listening) == 1, f"Unix sockets: {families['unix']}")


def check_cut(tour, loading):
    """The client has been told: its kernel knows of no connection any more. (curl looks when its rate lets it.)"""
    connections = ["ip", "netns", "exec", tour.ground.namespaces["client"], "ss", "-Htn", "state", "established"]
    wait_for("the client to hear that its download is cut", lambda: subprocess.run(
        connections, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True).stdout == b"", 10)
    tour.ground.end(loading)


def drain_timeout(tour):
    """SIGTERM during a long download: drain_timeout ends it, and nothing is left"""
    loading = load_slowly(tour, 60)
    begun = time.monotonic()
    told(tour)
    check(tour.node.process.wait(40) == 0, f"exit code {tour.node.process.returncode}")
    took = time.monotonic() - begun
    print(f"    it left after {took:.1f} s")
    check(0.9 <= took <= 15, f"it left after {took:.1f} s; drain_timeout is 1 s, and 30 s when nothing is said")
    check(not left_behind(tour), f"it left {left_behind(tour)}")
    check("drain timeout" in tour.ground.tail("sluiced.log", 3), "its log does not say why")
    check_cut(tour, loading)


def second_signal(tour):
    """a second SIGTERM during a long download ends it at once, and nothing is left"""
    loading = load_slowly(tour, 60)
    told(tour)
    wait_for("sluiced to drain", lambda: tour.ground.tail("sluiced.log", 1).find("draining") > 0)
    begun = time.monotonic()
    told(tour)
    tour.node.process.wait(40)
    took = time.monotonic() - begun
    print(f"    it left after {took:.1f} s with exit code {tour.node.process.returncode}")
    check(took < 15, f"it left after {took:.1f} s: that is no sooner than drain_timeout lets it")
    check(not left_behind(tour), f"it left {left_behind(tour)}")
    check_cut(tour, loading)
