#!/usr/bin/env python3
"""A worker under load on ports that live in memory makes no system call: frames of a recording come without end, an L4
service rewrites them, and strace looks at the thread for 5 s."""
# timeout: 120

import os
import struct
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "tour"))

import scene
from ground import check, wait_for
from tour import run_test

OURS, BACKEND_MAC = bytes.fromhex("027063617000"), bytes.fromhex("020000000011")
SERVICE, BACKEND, PORT, FLOWS, SECONDS = "10.1.0.100", "10.1.0.11", 9000, 256, 5


def address(text):
    return bytes(int(part) for part in text.split("."))


def sum16(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def datagram(source_port):
    """From the client to the service, UDP without a checksum."""
    payload = b"x" * 32
    udp = struct.pack("!HHHH", source_port, PORT, 8 + len(payload), 0) + payload
    ends = address(scene.CLIENT) + address(SERVICE)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + ends
    head = head[:10] + struct.pack("!H", sum16(head)) + head[12:]
    return OURS + bytes.fromhex("020000000002") + b"\x08\x00" + head + udp


def arp():
    """The backend asks for the node's address, and so tells its own."""
    return (b"\xff" * 6 + BACKEND_MAC + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + BACKEND_MAC
            + address(BACKEND) + bytes(6) + address(scene.NODE)).ljust(60, b"\0")


def recording(tour):
    frames = [arp(), *(datagram(20000 + i) for i in range(FLOWS))]
    path = tour.ground.path("frames.pcap")
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for frame in frames:
            file.write(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)
    return path


def policy():
    return {"clusters": [{"name": "udp"}],
            "endpoints": [{"cluster": "udp", "name": "one", "address": f"{BACKEND}:{PORT}"}],
            "services": [{"name": "udp", "address": SERVICE, "port": PORT, "protocol": "udp", "cluster": "udp"}]}


def threads(tour):
    """Thread ids by name."""
    found = {}
    for thread in os.listdir(f"/proc/{tour.node.process.pid}/task"):
        with open(f"/proc/{tour.node.process.pid}/task/{thread}/comm", encoding="utf-8") as name:
            found.setdefault(name.read().strip(), []).append(thread)
    return found


def watch(tour, thread, name):
    """strace's table of system calls for some seconds, of this thread alone: -f would add its neighbours."""
    command = ["timeout", "-s", "INT", str(SECONDS), "strace", "-c", "-p", thread]
    tour.ground.say(None, command)
    return tour.ground.start(None, command, log=f"strace-{name}.log")


def called(tour, process, name):
    process.wait(SECONDS + 30)
    text = tour.ground.tail(f"strace-{name}.log", 100)
    tour.ground.show(f"{name}:\n{text}")
    check("attached" in text, f"strace did not attach to {name}")
    return [line.split()[-1] for line in text.splitlines() if line.strip()[:1].isdigit()]


def no_system_call(tour):
    """under load the worker makes none in 5 s; the management thread, which is watched as well, makes some"""
    wait_for("forwarded packets", lambda: tour.node.counters()["l4_packets"] > 100_000, 30)
    by_name = threads(tour)
    print(f"    threads: {by_name}")
    workers = [thread for name, found in by_name.items() if name.startswith("sluice-w") for thread in found]
    check(len(workers) == 1, f"the threads are {by_name}")
    before = tour.node.counters()
    watched = {"worker": watch(tour, workers[0], "worker"),
               "management": watch(tour, str(tour.node.process.pid), "management")}
    calls = {name: called(tour, process, name) for name, process in watched.items()}
    packets = tour.node.counters()["l4_packets"] - before["l4_packets"]
    print(f"    {packets} packets were forwarded meanwhile")
    check(packets > 100_000, f"only {packets} packets were forwarded: that is no load")
    check(len(calls["management"]) > 0, "strace sees nothing at all")
    check(not calls["worker"], f"the worker called {calls['worker']}")


def drivers(tour):
    """status names the drivers and queues of ports that live in memory"""
    ports = tour.node.json("status")["ports"]
    print(f"    {[(port['name'], port['driver'], port['queues'], port['mac']) for port in ports]}")
    check([port["driver"] for port in ports] == ["net_pcap", "net_ring"], "these are other drivers")
    check(all(port["queues"] == 1 for port in ports), "these are other numbers of queues")
    check(ports[0]["mac"].replace(":", "") == OURS.hex(), f"the port's MAC is {ports[0]['mac']}")


def test(tour):
    tour.start({"node": {"idle": "poll"}, "log": {"access": "none"},
                "front": {"device": f"net_pcap0,rx_pcap={recording(tour)},infinite_rx=1", "exception": ""},
                "back": {"device": "net_ring0"}}, policy())
    tour.attempt("drivers", drivers)
    tour.attempt("no system call", no_system_call)


run_test(test)
