#!/usr/bin/env python3
"""Links that lose 1 % of the frames each way and overtake others: big bodies through HTTPS arrive whole.
    21_bad_links.py [MEGABYTES]"""
# timeout: 240

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "tour"))

import scene
import steps_traffic
from ground import check
from tour import run_test

BAD = {"loss_ppm": 10_000, "reorder_ppm": 10_000, "reorder_delay": "1ms"}
SEGMENT = 1448  # bytes of payload


def bad_links(seed):
    return {"impair_receive": BAD, "impair_transmit": BAD, "impair_seed": seed}


def lossy(tour, load):
    counters = tour.node.counters()
    load(tour)
    again = tour.node.counters()["tcp_retransmitted_segments"] - counters["tcp_retransmitted_segments"]
    print(f"    {again} segments were sent again")
    # The node sends the body once, on a link that loses one in a hundred.
    check(again >= tour.size / SEGMENT / 200, "hardly anything was lost: the links are not bad")


def download(tour):
    """200 MB, or as many as were asked for, down through HTTPS"""
    lossy(tour, steps_traffic.download)


def upload(tour):
    """as many up"""
    lossy(tour, steps_traffic.upload)


def requests(tour):
    """requests on connections of their own, by IPv4 and IPv6"""
    for address in (scene.WEB4, f"[{scene.WEB6}]"):
        steps_traffic.spread(steps_traffic.many(tour, f"http://{address}/all?[1-60]", "-H", "Connection: close"), 60)


def test(tour):
    tour.start({"front": bad_links(1), "back": bad_links(2)}, scene.policy())
    for step in (requests, download, upload):
        tour.attempt(f"{step.__name__} over bad links", step)


run_test(test, size=1_000_000 * (int(sys.argv[1]) if len(sys.argv) > 1 else 200), seconds=230)
