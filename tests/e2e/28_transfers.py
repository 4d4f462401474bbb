#!/usr/bin/env python3
"""Bodies between Linux and Sluice through the impairing port, down and up: they arrive whole whatever the link does.
    28_transfers.py [MEGABYTES]     100: the form of ./dev e2e --full"""
# timeout: 180

import os
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "tour"))

import scene
from ground import check
from tour import file_hash, run_test

# Each way, on the client's link: what the link does, and what the node must have met.
LINKS = {
    "no loss": ({}, None),
    "0.1 % loss": ({"loss_ppm": 1_000}, None),
    "1 % loss": ({"loss_ppm": 10_000}, "tcp_retransmitted_segments"),
    "5 % loss": ({"loss_ppm": 50_000}, "tcp_retransmitted_segments"),
    "3 % reordering": ({"reorder_ppm": 30_000, "reorder_delay": "1ms"}, None),
    "1 % duplication": ({"duplicate_ppm": 10_000}, None),
    "0.1 % corruption": ({"corrupt_ppm": 1_000}, None),
    "100 ms round trip": ({"delay": "50ms", "queue_frames": 4000}, None),
    "10 Mbit/s, queue of 20": ({"rate_bps": 10_000_000, "queue_frames": 20}, "tcp_retransmitted_segments"),
}
RATE = 10_000_000 / 8  # of the slowest, bytes a second


def transfer(tour, met):
    """a body down, and one up"""
    before = tour.node.counters()
    patience = 30 + int(tour.size / RATE * 2)
    took = []
    begun = time.monotonic()
    got = tour.ground.bash("client", f"curl -sS http://{scene.WEB4}/files/big | sha256sum", seconds=patience)
    took.append(time.monotonic() - begun)
    check(got.text.split()[0] == tour.big_hash, f"SHA-256 of what came down differs: it should be {tour.big_hash}")
    begun = time.monotonic()
    put = tour.ground.bash("client", f"curl -sS -o /dev/null -w '%{{http_code}}' -T {tour.big} "
                                     f"http://{scene.WEB4}/upload/big", seconds=patience)
    took.append(time.monotonic() - begun)
    arrived = tour.ground.path("b1", "upload", "big")
    check(put.text.strip() == "201", f"the answer to PUT is {put.text.strip()}")
    check(file_hash(arrived) == tour.big_hash, f"SHA-256 of what went up differs: it should be {tour.big_hash}")
    os.unlink(arrived)
    after = tour.node.counters()
    again = after["tcp_retransmitted_segments"] - before["tcp_retransmitted_segments"]
    print(f"    down {took[0]:.2f} s, {tour.size * 8 / took[0] / 1e6:.1f} Mbit/s; "
          f"up {took[1]:.2f} s, {tour.size * 8 / took[1] / 1e6:.1f} Mbit/s; {again} segments sent again")
    check(met is None or after[met] > before[met], f"{met} did not move: the link is not bad")


def test(tour):
    for number, (name, (link, met)) in enumerate(LINKS.items()):
        impaired = {"impair_receive": link, "impair_transmit": link, "impair_seed": number + 1} if link else {}
        tour.start({"front": impaired}, scene.policy())
        tour.attempt(name, transfer, met)
        tour.stop()


MEGABYTES = int(sys.argv[1]) if len(sys.argv) > 1 else 4
run_test(test, size=1_000_000 * MEGABYTES, seconds=170 if MEGABYTES <= 10 else 60 * MEGABYTES)
