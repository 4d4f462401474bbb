#!/usr/bin/env python3
"""Many at once on one worker: 10,000 connections, each answered, and 1,000 TLS connections that are idle."""
# timeout: 120

import json
import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "tour"))

import scene
import steps_limits
from ground import check
from scene import HOSTS, WEB4
from tour import run_test

CONNECTIONS, UPSTREAM, TLS = 10_000, 400, 1000
SOURCES = [f"10.1.0.{last}" for last in range(11, 16)]


def ten_thousand(tour):
    """10,000 connections from several addresses are open at once; each of them is answered, twice"""
    before = tour.node.counters()
    steps_limits.crowd(tour, CONNECTIONS, 2, *SOURCES)
    after = tour.node.counters()
    seen = steps_limits.figures(tour)
    check(seen["requests"] == 2 * CONNECTIONS + 1, f"the server saw {seen}")
    check(seen["peak"] == UPSTREAM, f"the server saw {seen['peak']} connections at once; {UPSTREAM} are allowed")
    accepted = after["tcp_accepted"] - before["tcp_accepted"]
    check(accepted == CONNECTIONS, f"the worker accepted {accepted}")


def idle_tls(tour):
    """1,000 TLS connections are held without an SSL object among them"""
    command = [sys.executable, scene.CROWD, "tls", WEB4, "443", HOSTS[0], tour.ground.path("ca.pem"), str(TLS)]
    tour.ground.say("client", [*command, "&"])
    process = tour.ground.start("client", command, log="tls.log", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    line = process.stdout.readline().decode()
    tour.ground.show(line)
    check(line and json.loads(line) == {"connected": TLS, "answered": TLS}, tour.ground.tail("tls.log", 3))
    metrics = tour.ground.run("node", ["curl", "-sS", f"http://{scene.METRICS}/metrics"], shown=lambda text: "\n".join(
        line for line in text.splitlines() if line.startswith(("sluice_tls_ssl_objects", "sluice_tls_sessions{")))).text
    counters = tour.node.counters()
    check(counters["tls_sessions"] == TLS, f"{counters['tls_sessions']} TLS sessions are held")
    check(counters["tls_ssl_objects"] == 0, f"{counters['tls_ssl_objects']} SSL objects are alive")
    check('sluice_tls_ssl_objects{worker="0"} 0\n' in metrics, "Prometheus is told something else")
    tour.ground.end(process)


def test(tour):
    tour.ground.address("client", "c0", *(f"{source}/24" for source in SOURCES))
    tour.start({"limits": {"connections": 16_384, "exchanges": 12_000}}, steps_limits.policy(UPSTREAM))
    steps_limits.start_server(tour, 0)
    tour.attempt("10,000 connections", ten_thousand)
    tour.attempt("1,000 idle TLS connections", idle_tls)


run_test(test)
