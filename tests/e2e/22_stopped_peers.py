#!/usr/bin/env python3
"""Clients that do not read and a backend that is stopped, in the middle of hundreds of large bodies, hold as many
packet buffers as they can: the node goes on for everyone else, and gets its buffers back."""
# timeout: 120

import os
import signal
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "tour"))

import scene
from ground import StepFailed, check, wait_for
from scene import HOSTS, WEB4, WEB6
from steps_traffic import curl
from tour import run_test

HELD = {"get": 200, "get by TLS": 100, "put": 100}


def free_buffers(tour):
    return tour.node.json("status")["workers"][0]["packet_buffers_free"]


def under_way(tour):
    """Requests."""
    clusters = tour.node.json("stats", "--kind", "cluster")["objects"]
    return sum(cluster.get("active_requests", 0) for cluster in clusters)


def stall(tour, what):
    """Clients in the middle of their bodies."""
    kind = what.split()[0]
    command = [sys.executable, scene.CROWD, "stall", WEB4, "443" if "TLS" in what else "80", str(HELD[what]), kind]
    if "TLS" in what:
        command += [HOSTS[0], tour.ground.path("ca.pem")]
    tour.ground.say("client", [*command, "&"])
    process = tour.ground.start("client", command, log="stall.log", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    line = process.stdout.readline().decode()
    tour.ground.show(line)
    check(line.startswith("stalled"), f"{tour.ground.tail('stall.log', 3)}")
    return process


def stop_everyone(tour):
    """hundreds of bodies stop half way"""
    for what in ("get", "get by TLS"):
        tour.stalled.append(stall(tour, what))
    print(f"b1$ kill -STOP {tour.backends['b1'].pid}")
    tour.backends["b1"].send_signal(signal.SIGSTOP)
    tour.stalled.append(stall(tour, "put"))
    wait_for("all requests to be under way", lambda: under_way(tour) == sum(HELD.values()), 20)
    print(f"    {sum(HELD.values())} requests under way; free packet buffers: {tour.idle_buffers}, now {free_buffers(tour)}")


def in_time(step, *arguments):
    """Whether it holds within its time limits; the best of three, since the machine may have been elsewhere."""
    for left in (2, 1, 0):
        try:
            step(*arguments)
            return
        except StepFailed as error:
            if not left:
                raise
            print(f"    again, after: {error}")


def answers_neighbours(tour):
    """ARP and ND are answered within 1 s"""
    def answers(address):
        tour.ground.run("client", ["ip", "neigh", "flush", "dev", "c0"])
        tour.ground.run("client", ["ping", "-c", "1", "-W", "1", address])
        text = tour.ground.run("client", ["ip", "neigh", "show", address, "dev", "c0"]).text
        check("lladdr" in text, f"{address} has no link-layer address")

    for address in (WEB4, WEB6):
        in_time(answers, address)


def serves(tour):
    """new requests are answered within 1 s, on connections of their own"""
    def answers(start, *arguments):
        text = curl(tour, "-H", "x-canary: yes", *arguments).text
        check(text.startswith(start), text)

    for _ in range(3):
        for address in (WEB4, f"[{WEB6}]"):
            in_time(answers, "b2 answers", "-m", "1", f"http://{address}/hello")
    host = HOSTS[0]
    trust = ["--cacert", tour.ground.path("ca.pem"), "--resolve", f"{host}:443:{WEB4}"]
    in_time(answers, "b2 answers", "-m", "1", *trust, f"https://{host}/hello")
    body = tour.ground.path("b1", "files", "big")
    in_time(answers, "b2 answers POST", "-m", "5", "--data-binary", f"@{body}", f"http://{WEB4}/hello")


def goes_on(tour):
    """the backend goes on, the clients leave: every buffer comes back"""
    tour.backends["b1"].send_signal(signal.SIGCONT)
    for process in tour.stalled:
        tour.ground.end(process)
    wait_for("the packet buffers", lambda: free_buffers(tour) >= tour.idle_buffers - 600, 20)
    wait_for("the end of all requests", lambda: under_way(tour) == 0, 20)
    print(f"    free packet buffers: {free_buffers(tour)}")
    check(curl(tour, f"http://{WEB4}/hello").text.startswith("b1 answers"), "b1 does not answer any more")


def test(tour):
    tour.start(policy=scene.policy())
    curl(tour, "-H", "x-canary: yes", f"http://{WEB4}/hello")
    tour.stalled, tour.idle_buffers = [], free_buffers(tour)
    tour.attempt("stop everyone", stop_everyone)
    tour.attempt("neighbours while everyone is stopped", answers_neighbours)
    tour.attempt("requests while everyone is stopped", serves)
    tour.attempt("after everyone was stopped", goes_on)


run_test(test, size=20_000_000)
