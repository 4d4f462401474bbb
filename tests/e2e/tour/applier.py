#!/usr/bin/python3
"""Applies policies in turn, many times, on one connection; prints as JSON what the node said meanwhile.

    applier.py SOCKET COUNT FILE...     finished Policy buffers
"""

import json
import os
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "examples"))

import control_plane


def resident(pid):
    """kB of the process in memory, hugepages apart."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(next(line for line in file if line.startswith("VmRSS")).split()[1])


def main():
    socket, count, policies = sys.argv[1], int(sys.argv[2]), []
    for path in sys.argv[3:]:
        with open(path, "rb") as file:
            policies.append(file.read())
    seen = {"generation": 0, "most_snapshots": 0, "resident_kb": []}
    with tempfile.TemporaryDirectory(prefix="sluice-fb-") as folder:
        control_plane.generate(folder)
        node = control_plane.Node(socket)
        for i in range(count):
            seen["generation"] = control_plane.apply(node, policies[i % len(policies)]).Generation()
            status = control_plane.status(node)
            seen["most_snapshots"] = max(seen["most_snapshots"], status.SnapshotsAlive())
            if i % (count // 10) == count // 10 - 1:
                seen["resident_kb"].append(resident(status.Pid()))
    print(json.dumps(seen))


main()
