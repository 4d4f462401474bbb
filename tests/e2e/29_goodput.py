#!/usr/bin/env python3
"""Goodput at 1 % loss and a round trip of 20 ms: Sluice to Linux over its impairing port, and Linux (CUBIC) to Linux over
the same port used as a wire, in turn. Every byte is checked always; which is faster is only printed in the short form,
since losses fall by chance and the machine has other work; from fifty megabytes on the node's must not be the lower one,
within the error that the rounds themselves show.
    29_goodput.py [MEGABYTES [ROUNDS]]
tests/sim/goodput.cc is the same in virtual time, without noise and without Linux."""
# timeout: 180

import math
import os
import statistics
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "tour"))

import scene
from ground import check, wait_for
from tour import BUILD, run_test

FILE_PORT = 8090
LOSS_PPM, DELAY_US = 10_000, 10_000  # each way
MEGABYTES = int(sys.argv[1]) if len(sys.argv) > 1 else 2
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 2
JUDGED = ROUNDS > 1 and MEGABYTES * ROUNDS >= 50
NOISE_MAX = 0.15  # standard error of the ratio with which nothing can be said


def load(tour, url, headers="/dev/null"):
    """Mbit/s of one body down."""
    begun = time.monotonic()
    got = tour.ground.bash("client", f"curl -sS -D {headers} {url} | sha256sum", seconds=60 + 20 * MEGABYTES)
    check(got.text.split()[0] == tour.big_hash, "SHA-256 differs")
    return tour.size * 8 / (time.monotonic() - begun) / 1e6


def kernels(tour):
    """Nothing is remembered from one connection for the next; the subnets are one link for the wire."""
    ground = tour.ground
    for name in ("client", "b1"):
        ground.quiet(f"ip netns exec {ground.namespaces[name]} sysctl -qw net.ipv4.tcp_no_metrics_save=1")
    ground.quiet(f"ip -n {ground.namespaces['client']} route add 10.2.0.0/24 dev c0")
    ground.quiet(f"ip -n {ground.namespaces['b1']} route add 10.1.0.0/24 dev b0")
    # The machine's own choice may be another, which a namespace cannot change: the socket can.
    ground.serve("b1", [sys.executable, scene.PEER, "file", str(FILE_PORT), tour.big, "cubic"], FILE_PORT, "file.log")


def over_wire(tour, seed):
    """Linux to Linux."""
    ground, driver = tour.ground, tour.node.driver
    devices = [f"net_{driver}{number},iface={name}" for number, name in enumerate(("front", "back"))]
    log = f"wire-{seed}.log"
    wire = ground.start("node", [os.path.join(BUILD, "tests", "e2e", "sluice-wire"), f"demo-{os.getpid()}", *devices,
                                 str(LOSS_PPM), str(DELAY_US), str(seed)], log=log)
    wait_for("the wire", lambda: wire.poll() is not None or "ready" in ground.tail(log), 30)
    check(wire.poll() is None, f"the wire has left: {ground.tail(log)}")
    headers = ground.path("headers")
    got = load(tour, f"http://{scene.ADDRESS4['b1']}:{FILE_PORT}/", headers)
    with open(headers, encoding="ascii") as file:
        check("X-Congestion: cubic" in file.read(), "Linux does not send by CUBIC")
    check(ground.end(wire) == 0, "the wire did not leave in order")
    return got


def through_node(tour, seed):
    """Linux to Sluice to Linux; the second leg is the bad one."""
    bad = {"loss_ppm": LOSS_PPM, "delay": f"{DELAY_US}us"}
    tour.start({"front": {"impair_receive": bad, "impair_transmit": bad, "impair_seed": seed}}, scene.policy())
    got = load(tour, f"http://{scene.WEB4}/files/big")
    tour.stop()
    return got


def compare(tour):
    """the ratio, round by round, in turn"""
    ours, theirs = [], []
    for seed in range(1, ROUNDS + 1):
        tour.stop()
        theirs.append(over_wire(tour, seed))
        ours.append(through_node(tour, seed))
        tour.start(policy=scene.policy())
    logs = [math.log(a / b) for a, b in zip(ours, theirs)]
    ratio = math.exp(statistics.mean(logs))
    error = ratio * statistics.stdev(logs) / math.sqrt(ROUNDS) if ROUNDS > 1 else math.nan
    print(f"    Mbit/s: Sluice {', '.join(f'{value:.1f}' for value in ours)}; Linux "
          f"{', '.join(f'{value:.1f}' for value in theirs)}; ratio {ratio:.2f} +- {error:.2f}")
    if not JUDGED:
        return
    check(error <= NOISE_MAX, f"+- {error:.2f}: the rounds differ too much to show anything; take more, or a quiet machine")
    check(ratio + error >= 1, f"Sluice's goodput is {ratio:.2f} +- {error:.2f} of Linux's")


def test(tour):
    tour.start(policy=scene.policy())
    kernels(tour)
    tour.attempt("goodput beside Linux", compare)


run_test(test, size=1_000_000 * MEGABYTES, seconds=170 if MEGABYTES * ROUNDS <= 10 else 3600)
