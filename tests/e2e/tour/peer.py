#!/usr/bin/env python3
"""Small peers of the tour.

    udp-echo NAME PORT          answers a datagram with NAME and what it got, IPv4 and IPv6
    udp-ask ADDRESS PORT COUNT  a datagram each from COUNT sockets; prints the answers
    silent PORT                 accepts TCP connections and never answers
    greet PORT TEXT             sends TEXT to whoever connects
    raw ADDRESS PORT            a connection for each line of standard input, JSON: `texts` are sent as they are; prints as
                                JSON what came back until it was closed, or, from what matches `until` on, until silence,
                                and whether it was closed
    file PORT PATH CONGESTION   a file as the answer to whatever is asked, sent by this congestion control of the kernel
    hold ADDRESS PORT           one HTTP connection; a GET for each line of standard input, the body printed
"""

import http.client
import json
import os
import re
import socket
import socketserver
import sys
import threading
import time


PATIENCE = 10  # seconds for an answer: a crowded machine is late with it


def both_families(kind, port):
    server = socket.socket(socket.AF_INET6, kind)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    server.bind(("::", int(port)))
    return server


def udp_echo(name, port):
    server = both_families(socket.SOCK_DGRAM, port)
    while True:
        data, client = server.recvfrom(65535)
        server.sendto(name.encode() + b" " + data, client)


def udp_ask(address, port, count):
    failed = 0
    for i in range(int(count)):
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.settimeout(PATIENCE)
            asker.connect((address, int(port)))
            asker.send(f"hello-{i}".encode())
            try:
                name, text = asker.recv(65535).decode().split(" ")
            except OSError:
                name, text = "nobody", ""
            failed += text != f"hello-{i}"
            print(name)
    sys.exit(failed > 0)


def silent(port):
    server = both_families(socket.SOCK_STREAM, port)
    server.listen(128)
    held = []
    while True:
        held.append(server.accept())


def greet(port, text):
    class Greeter(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.sendall(text.encode() + b"\n")

    server = socketserver.ThreadingTCPServer(("0.0.0.0", int(port)), Greeter, bind_and_activate=False)
    server.allow_reuse_address = True
    server.server_bind()
    server.server_activate()
    threading.Thread(target=server.serve_forever).run()


def file(port, path, congestion):
    server = both_families(socket.SOCK_STREAM, port)
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion.encode())
    server.listen(16)
    while True:
        peer, _ = server.accept()
        with peer, open(path, "rb") as body:
            used = peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()
            peer.recv(65536)
            size = os.fstat(body.fileno()).st_size
            peer.sendall(f"HTTP/1.1 200 OK\r\nX-Congestion: {used}\r\nContent-Length: {size}\r\n\r\n".encode())
            peer.sendfile(body)


def hold(address, port):
    connection = http.client.HTTPConnection(address, int(port), timeout=PATIENCE)
    connection.connect()
    connection.auto_open = 0  # the same connection or none
    for line in sys.stdin:
        connection.request("GET", line.strip())
        print(connection.getresponse().read().decode().strip(), flush=True)


def raw(address, port):
    for line in sys.stdin:
        asked = json.loads(line)
        with socket.create_connection((address, int(port)), timeout=PATIENCE) as peer:
            answer, closed = b"", False
            try:
                for text in asked["texts"]:
                    peer.sendall(text.encode("latin-1"))
                    time.sleep(0.02)
                while not closed:
                    said = asked["until"] and re.search(asked["until"], answer.decode("latin-1"))
                    peer.settimeout(0.4 if said else PATIENCE)
                    data = peer.recv(65536)
                    answer, closed = answer + data, not data
            except TimeoutError:
                pass
            except ConnectionError:
                closed = True
            print(json.dumps({"answer": answer.decode("latin-1"), "closed": closed}), flush=True)


if __name__ == "__main__":
    peers = {"udp-echo": udp_echo, "udp-ask": udp_ask, "silent": silent, "greet": greet, "file": file, "hold": hold, "raw": raw}
    peers[sys.argv[1]](*sys.argv[2:])
