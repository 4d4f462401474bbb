"""Steps about policies in number and in size: a thousand applies, a hundred thousand routes."""

import json
import subprocess
import sys
import time

import scene
from ground import check
from scene import WEB4
from steps_operator import Wrk
from steps_traffic import curl, says

APPLIES, ROUTES = 1000, 100_000


def plain_policy(moved):
    """The tour's without what needs keys, which a node never tells."""
    policy = scene.policy(moved=moved)
    policy["listeners"] = [listener for listener in policy["listeners"] if "tls" not in listener]
    del policy["certificates"]
    return policy


def cluster_stats(tour, name):
    found = [cluster for cluster in tour.node.json("stats", "--kind", "cluster")["objects"] if cluster["name"] == name]
    check(len(found) == 1, f"{len(found)} clusters are called {name}")
    return found[0]


def thousand_applies(tour):
    """1,000 applies while a stream is open: nothing of an untouched cluster changes, and memory is flat"""
    ground, buffers = tour.ground, []
    for moved in ("b2", "b3"):
        tour.node.apply(plain_policy(moved), shown=lambda text: text.splitlines()[0])
        buffers.append(ground.path(f"{moved}.slpolicy"))
        tour.node.control("get", "--binary", "--output", buffers[-1])
    command = [sys.executable, scene.CROWD, "stall", WEB4, "80", "1", "get"]
    ground.say("client", [*command, "&"])
    stream = ground.start("client", command, log="stall.log", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    stream.stdout.readline()
    for i in range(10):
        says(tour, "b2", "-H", "x-canary: yes", f"http://{WEB4}/before/{i}")
    before, held = cluster_stats(tour, "b2"), cluster_stats(tour, "files")
    first = tour.node.json("status")["generation"]

    begun = time.monotonic()
    told = json.loads(ground.run(None, ["/usr/bin/python3", scene.APPLIER, tour.node.socket, str(APPLIES), *buffers],
                                 seconds=180).text)
    print(f"    {APPLIES} applies took {time.monotonic() - begun:.1f} s")
    check(told["generation"] == first + APPLIES, f"generation {told['generation']} runs")
    check(told["most_snapshots"] <= 4, f"{told['most_snapshots']} snapshots were alive at once")
    check(max(told["resident_kb"][1:]) <= told["resident_kb"][0] * 1.02 + 1024, f"memory grew: {told['resident_kb']}")

    after = cluster_stats(tour, "b2")
    check(after == before, f"the untouched cluster's figures went from {before} to {after}")
    check(cluster_stats(tour, "files") == held, "the figures of the open stream's cluster changed")
    says(tour, "b2", "-H", "x-canary: yes", f"http://{WEB4}/after")
    again = cluster_stats(tour, "b2")
    check(again["requests"] == before["requests"] + 1, f"{before['requests']} requests became {again['requests']}")
    check(again["connections"] == before["connections"], "the pooled connection did not live through the applies")
    check(stream.poll() is None and held["active_requests"] == 1, "the open stream ended")
    ground.end(stream)


def many_routes():
    policy = scene.policy()
    hosts = policy["route_tables"][0]["virtual_hosts"]
    hosts.append({"name": "many", "hosts": ["many.example.test"], "routes": [
        {"match": {"path": {"kind": "exact", "value": f"/r/{i}"}}, "clusters": [{"cluster": f"b{i % 3 + 1}"}]}
        for i in range(ROUTES)]})
    return policy


def hundred_thousand_routes(tour):
    """a policy of 100,000 routes is accepted under load: no request fails, each route leads where it should"""
    wrk = Wrk(tour, "/hello", 8)
    tour.node.apply(many_routes(), name="many.json", seconds=60, shown=lambda text: text.splitlines()[0])
    status = tour.node.json("status")
    wrk.check()
    check(status["routes"] >= ROUTES, f"{status['routes']} routes run")
    for i in (0, 1, 2, 33_333, 77_777, ROUTES - 1):
        says(tour, f"b{i % 3 + 1}", "-H", "Host: many.example.test", f"http://{WEB4}/r/{i}")
    missing = curl(tour, "-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: many.example.test",
                   f"http://{WEB4}/r/{ROUTES}").text
    check(missing == "404", f"the answer behind the last route is {missing}")
    tour.node.apply(scene.policy(), shown=lambda text: text.splitlines()[0])
