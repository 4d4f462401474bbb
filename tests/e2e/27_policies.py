#!/usr/bin/env python3
"""Policies in number and in size, under traffic: 1,000 applies with a stream open, and one of 100,000 routes."""
# timeout: 240

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "tour"))

import scene
import steps_policies
from tour import run_test


def test(tour):
    tour.start(policy=scene.policy())
    tour.attempt("100,000 routes", steps_policies.hundred_thousand_routes)
    tour.attempt("1,000 applies", steps_policies.thousand_applies)


run_test(test, size=20_000_000, seconds=230)
