#!/usr/bin/env python3
"""Peers in great number, each kind in one thread on epoll.

    serve PORT DELAY_MS
        HTTP server: answers after a delay; GET /figures tells connections and requests
    ask ADDRESS PORT COUNT ROUNDS [SOURCE..]
        COUNT connections open at once, then a GET on all of them, ROUNDS times, from these source addresses in turn;
        JSON tells what became of them, and the beginning of the first answer that was wrong
    stall ADDRESS PORT COUNT KIND [NAME CA]
        COUNT requests, by TLS if there is a CA: `get`, and nothing of /files/big is read; `put`, as much of a body as
        is taken; then idle until standard input ends
    tls ADDRESS PORT NAME CA COUNT
        COUNT TLS connections, one GET each, then idle until standard input ends
"""

import collections
import json
import re
import resource
import select
import socket
import ssl
import sys
import time

PATIENCE = 30  # seconds for a round of answers


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def answer_to(line, figures):
    body = json.dumps(figures) if line.split()[1] == b"/figures" else "served"
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def whole(answer):
    """Whether a head and as much of a body as it tells of are there."""
    head, end, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"^content-length: *(\d+)", head, re.M | re.I)
    return end != b"" and length is not None and len(body) >= int(length[1])


class Server:
    """Requests without bodies, one after another on a connection."""

    def __init__(self, port, delay):
        self.delay = delay
        self.listener = socket.socket(socket.AF_INET6)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.listener.bind(("::", port))
        self.listener.listen(16384)
        self.listener.setblocking(False)
        self.poll = select.epoll()
        self.poll.register(self.listener, select.EPOLLIN)
        self.open, self.unread, self.due = {}, {}, collections.deque()
        self.figures = collections.Counter(open=0, peak=0, accepted=0, requests=0)

    def run(self):
        while True:
            wait = max(0.0, self.due[0][0] - time.monotonic()) if self.due else -1
            if self.read_ready(wait):
                self.accept()
            while self.due and self.due[0][0] <= time.monotonic():
                _, peer, line = self.due.popleft()
                if peer.fileno() in self.open:
                    peer.send(answer_to(line, self.figures))

    def read_ready(self, wait):
        """Returns whether somebody is there to be accepted."""
        ready = [number for number, _ in self.poll.poll(wait)]
        for number in ready:
            if number in self.open:
                self.read(self.open[number])
        return self.listener.fileno() in ready

    def accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except BlockingIOError:
                break
            peer.setblocking(False)
            self.open[peer.fileno()] = peer
            self.unread[peer.fileno()] = b""
            self.poll.register(peer, select.EPOLLIN)
            self.figures["accepted"] += 1
        self.read_ready(0)  # who left before the last of them came is not counted beside them
        self.figures["open"] = len(self.open)
        self.figures["peak"] = max(self.figures["peak"], len(self.open))

    def read(self, peer):
        try:
            data = peer.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            del self.open[peer.fileno()], self.unread[peer.fileno()]
            self.poll.unregister(peer)
            peer.close()
            self.figures["open"] = len(self.open)
            return
        *heads, rest = (self.unread[peer.fileno()] + data).split(b"\r\n\r\n")
        self.unread[peer.fileno()] = rest
        for head in heads:
            line = head.split(b"\r\n")[0]
            self.figures["requests"] += 1
            wait = 0 if line.split()[1] == b"/figures" else self.delay
            self.due.append((time.monotonic() + wait, peer, line))


class Asker:
    """Many connections, each with at most one request under way."""

    def __init__(self, address, port, count, sources):
        self.poll = select.epoll()
        self.address, self.port = address, port
        self.peers, self.first_wrong = {}, ""
        self.figures = collections.Counter(connected=0, answered=0, wrong=0, lost=0)
        begun = time.monotonic()
        for i in range(count):
            self.connect(sources[i % len(sources)] if sources else None)
            if i % 100 == 99:
                self.wait_connected(i + 1 - 500)  # no more than that many at a time
        self.wait_connected(count)
        self.figures["connect_ms"] = int(1000 * (time.monotonic() - begun))

    def connect(self, source):
        peer = socket.socket(family_of(self.address))
        peer.setblocking(False)
        if source:
            peer.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
            peer.bind((source, 0))
        peer.connect_ex((self.address, self.port))
        self.peers[peer.fileno()] = [peer, b"", False]
        self.poll.register(peer, select.EPOLLOUT)

    def wait_connected(self, wanted):
        until = time.monotonic() + PATIENCE
        while self.figures["connected"] + self.figures["lost"] < wanted and time.monotonic() < until:
            for number, _ in self.poll.poll(1):
                peer = self.peers[number][0]
                if peer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    self.lose(number)
                    continue
                self.figures["connected"] += 1
                self.poll.modify(peer, select.EPOLLIN)

    def lose(self, number):
        self.poll.unregister(number)
        self.peers.pop(number)[0].close()
        self.figures["lost"] += 1

    def ask(self):
        """A request on every connection; all are answered before it returns, or not at all."""
        waiting = 0
        for peer, _, _ in self.peers.values():
            waiting += peer.send(b"GET /asked HTTP/1.1\r\nHost: crowd\r\n\r\n") > 0
        until = time.monotonic() + PATIENCE
        while waiting > 0 and time.monotonic() < until:
            for number, _ in self.poll.poll(1):
                state = self.peers[number]
                try:
                    data = state[0].recv(65536)
                except ConnectionError:
                    data = b""
                if not data:
                    self.lose(number)
                    waiting -= 1
                    continue
                state[1] += data
                if whole(state[1]):
                    right = state[1].startswith(b"HTTP/1.1 200 ")
                    self.figures["answered" if right else "wrong"] += 1
                    if not right and not self.first_wrong:
                        self.first_wrong = state[1][:200].decode(errors="replace")
                    state[1] = b""
                    waiting -= 1
        self.figures["unanswered"] += waiting


def ask(address, port, count, rounds, *sources):
    asker = Asker(address, int(port), int(count), sources)
    begun = time.monotonic()
    for _ in range(int(rounds)):
        asker.ask()
    asker.figures["ask_ms"] = int(1000 * (time.monotonic() - begun))
    asker.figures["open"] = len(asker.peers)
    print(json.dumps({**asker.figures, "first_wrong": asker.first_wrong} if asker.first_wrong else asker.figures))


def connected(address, port, name, authority):
    peer = socket.create_connection((address, int(port)), timeout=PATIENCE)
    return ssl.create_default_context(cafile=authority).wrap_socket(peer, server_hostname=name) if authority else peer


def fill(peers):
    """Sends until none of them has taken anything for half a second, for 4 s at most."""
    block, sent, last = b"x" * 65536, 0, time.monotonic()
    until = last + 4
    while time.monotonic() < min(last + 0.5, until):
        for peer in peers:
            try:
                sent += peer.send(block)
                last = time.monotonic()
            except BlockingIOError:
                pass
        time.sleep(0.01)
    return sent


def stall(address, port, count, kind, name="crowd", authority=""):
    peers = []
    for i in range(int(count)):
        peers.append(connected(address, port, name, authority))
        head = "GET /files/big HTTP/1.1" if kind == "get" else f"PUT /upload/{i} HTTP/1.1\r\nContent-Length: 500000000"
        peers[-1].send(f"{head}\r\nHost: {name}\r\n\r\n".encode())
        peers[-1].setblocking(False)
    sent = fill(peers) if kind == "put" else time.sleep(0.5)
    print(f"stalled: {count} x {kind}, {sent or 0} bytes of bodies taken", flush=True)
    sys.stdin.read()


def tls(address, port, name, authority, count):
    held = []
    for _ in range(int(count)):
        peer = connected(address, port, name, authority)
        peer.send(f"GET /held HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
        held.append(peer)
    answered = sum(peer.recv(4096).startswith(b"HTTP/1.1 200 ") for peer in held)
    print(json.dumps({"connected": len(held), "answered": answered}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if sys.argv[1] == "serve":
        Server(int(sys.argv[2]), float(sys.argv[3]) / 1000).run()
    else:
        {"ask": ask, "stall": stall, "tls": tls}[sys.argv[1]](*sys.argv[2:])
