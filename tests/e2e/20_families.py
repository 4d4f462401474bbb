#!/usr/bin/env python3
"""Every kind of traffic over IPv4 and IPv6: with one worker, with two that steer to each other, without hugepages, and
on packet sockets. With two workers the limits of a cluster hold over the node."""
# timeout: 240

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "tour"))

import scene
import steps_limits
import steps_traffic
from ground import check
from tour import run_test

TRAFFIC = {
    "ping": steps_traffic.ping,
    "HTTP": steps_traffic.plain,
    "HTTPS": steps_traffic.secure,
    "L4 TCP": steps_traffic.l4_tcp,
    "L4 UDP": steps_traffic.l4_udp,
    "download": steps_traffic.download,
    "upload": steps_traffic.upload,
    "the kernel's own": steps_traffic.exception,
}


def topology(tour, workers, driver="net_af_xdp"):
    """the node has the ports and workers that it was told"""
    report = tour.node.json("status")
    check(len(report["workers"]) == workers, f"workers: {report['workers']}")
    for port in report["ports"][:2]:
        check(port["driver"] == driver, f"port {port['name']} is a {port['driver']}")
        check(port["queues"] == 1, f"port {port['name']} has {port['queues']} queues: nothing would be steered")


def both_worked(tour):
    """both workers took connections and flows, and packets were steered from one to the other"""
    counters = {counter["name"]: counter["per_worker"] for counter in tour.node.json("stats", "--all")["counters"]}
    for name in ("tcp_accepted", "tcp_connected", "l4_flows_opened", "tls_handshakes", "handoff_sent"):
        print(f"    {name}: {counters[name]}")
    for name in ("tcp_accepted", "tcp_connected", "l4_flows_opened"):
        check(min(counters[name]) > 0, f"{name} is {counters[name]}: one worker had none")
    check(sum(counters["handoff_sent"]) > 0, "nothing was handed over")


def handshakes_elsewhere(tour):
    """there is a thread for handshakes, and handshakes there were: with such a thread no worker runs any itself"""
    tasks = f"/proc/{tour.node.process.pid}/task"
    names = [open(f"{tasks}/{task}/comm", encoding="ascii").read().strip() for task in os.listdir(tasks)]
    print(f"    threads: {' '.join(sorted(names))}")
    check(names.count("sluice-tls0") == 1, "no thread is called sluice-tls0")
    counters = {counter["name"]: counter["per_worker"] for counter in tour.node.json("stats", "--all")["counters"]}
    check(sum(counters["tls_handshakes"]) > 0, "no handshake took place")


def no_hugepage(tour):
    """the process holds no hugepage"""
    with open(f"/proc/{tour.node.process.pid}/smaps", encoding="ascii") as maps:
        held = sum(int(line.split()[1]) for line in maps if line.startswith(("Shared_Hugetlb", "Private_Hugetlb")))
    print(f"    {held} kB of hugepages")
    check(held == 0, f"it holds {held} kB of hugepages")


def test(tour):
    def every_kind(which, wanted=tuple(TRAFFIC)):
        for name in wanted:
            tour.attempt(f"{name} {which}", TRAFFIC[name])

    tour.start(policy=scene.policy())
    tour.attempt("one worker", topology, 1)
    every_kind("with one worker")
    tour.stop()

    tour.start({"node": {"workers": 2, "handshake_cores": 1}}, scene.policy())
    tour.attempt("two workers", topology, 2)
    every_kind("with two workers")
    tour.attempt("both workers work", both_worked)
    tour.attempt("handshakes on a thread of their own", handshakes_elsewhere)
    steps_limits.attempt_all(tour)
    tour.stop()

    tour.start({"node": {"hugepages": "never"}}, scene.policy())
    tour.attempt("no hugepage is held", no_hugepage)
    every_kind("without hugepages")
    tour.stop()

    tour.start(policy=scene.policy(), driver="af_packet")
    tour.attempt("packet sockets", topology, 1, "net_af_packet")
    every_kind("on packet sockets", ("ping", "HTTP", "HTTPS", "L4 TCP", "L4 UDP"))


run_test(test, size=20_000_000, seconds=230)
