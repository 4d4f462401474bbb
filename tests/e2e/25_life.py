#!/usr/bin/env python3
"""The life of sluiced: killed and started again, a second instance, the sockets it holds, two ways to be hurried."""
# timeout: 120

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "tour"))

import scene
import steps_life
from tour import run_test


def test(tour):
    tour.start(policy=scene.policy())
    for step in (steps_life.killed, steps_life.second_instance, steps_life.sockets, steps_life.second_signal):
        tour.attempt(step.__name__, step)
    tour.ground.end(tour.node.process)
    tour.start({"node": {"drain_timeout": "1s"}})
    tour.attempt("drain_timeout", steps_life.drain_timeout)


run_test(test, size=20_000_000)
