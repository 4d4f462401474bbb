#!/usr/bin/env python3
"""HTTP/1.1 as it is on the wire: framing, limits, what is refused, connections that are used again."""
# timeout: 120

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "tour"))

import scene
import steps_http
from tour import run_test


def test(tour):
    tour.start(policy=scene.policy())
    for step in (steps_http.framing, steps_http.pipelining, steps_http.reuse, steps_http.detail, steps_http.limits,
                 steps_http.refused):
        tour.attempt(step.__name__, step)


run_test(test, size=3_000_000)
