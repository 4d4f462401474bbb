"""Steps about what a policy limits: connections to the endpoints of a cluster, counted over all workers."""

import json
import sys

import scene
from ground import check
from scene import WEB4
from steps_traffic import curl

PORT, LIMIT = 8090, 5  # of the server that counts, at b1
DELAY_MS = 4


def policy(limit=LIMIT):
    """The tour's, with a cluster that may open so many connections."""
    limited = scene.policy()
    limited["clusters"].append({"name": "few", "max_connections": limit, "max_pending": 0, "max_requests": 0})
    limited["endpoints"].append({"cluster": "few", "name": "b1", "address": f"{scene.ADDRESS4['b1']}:{PORT}"})
    limited["route_tables"][0]["virtual_hosts"].append(
        {"name": "crowd", "hosts": ["crowd"], "routes": [scene.route("few", "few", prefix="/")]})
    return limited


def figures(tour):
    """What the server counted."""
    return json.loads(curl(tour, "-H", "Host: crowd", f"http://{WEB4}/figures").text)


def crowd(tour, count, rounds, *sources):
    """Connections that are all open at once, each of whose requests is answered."""
    command = [sys.executable, scene.CROWD, "ask", WEB4, "80", str(count), str(rounds), *sources]
    told = json.loads(tour.ground.run("client", command, seconds=60).text)
    check(told["answered"] == count * rounds and told["open"] == count, f"of {count * rounds} requests: {told}")


def max_connections(tour):
    """max_connections of a cluster is exact over both workers: reached, never passed, and everyone is answered"""
    crowd(tour, 60, 20)
    seen = figures(tour)
    check(seen["peak"] == LIMIT, f"the server saw {seen['peak']} connections at once; {LIMIT} are allowed")
    workers = {connection["worker"] for connection in tour.node.json("connections")["connections"]
               if connection["side"] == "endpoint" and connection["remote"].endswith(f":{PORT}")}
    print(f"    connections to it are on worker(s) {sorted(workers)}")


def idle_slots(tour):
    """idle connections of one worker leave their slots to requests of the other"""
    for _ in range(12):
        crowd(tour, 1, 1)
    seen = figures(tour)
    check(seen["peak"] == LIMIT, f"the server saw {seen['peak']} connections at once; {LIMIT} are allowed")


def start_server(tour, delay_ms=DELAY_MS):
    return tour.ground.serve("b1", [sys.executable, scene.CROWD, "serve", str(PORT), str(delay_ms)], PORT, "serve.log")


def attempt_all(tour):
    server = start_server(tour)
    tour.node.apply(policy(), shown=lambda text: text.splitlines()[0])
    tour.attempt("max_connections over two workers", max_connections)
    tour.attempt("idle connections of the other worker", idle_slots)
    tour.ground.end(server)
