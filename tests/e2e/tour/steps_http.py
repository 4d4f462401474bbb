"""Steps about HTTP/1.1 on the wire: framing both ways, limits, what is refused, connections that are used again."""

import json
import os
import re
import subprocess
import sys

import scene
from ground import check, wait_for
from scene import WEB4
from steps_traffic import curl, says
from tour import file_hash

HOST = "Host: www.example.test\r\n"
HIDDEN = "GET /smuggled HTTP/1.1\r\n" + HOST + "\r\n"  # what must never become a request of its own

# Requests that break the framing or syntax of RFC 9112 or RFC 9110 5.5; with what could be smuggled behind them.
POST = "POST / HTTP/1.1\r\n" + HOST
REFUSED = {
    "both framings": [POST + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
                      "0\r\n\r\n" + HIDDEN],
    "two lengths": [POST + "Content-Length: 0\r\nContent-Length: 5\r\n\r\n" + HIDDEN],
    "a list of lengths": [POST + "Content-Length: 0, 5\r\n\r\n" + HIDDEN],
    "a signed length": [POST + "Content-Length: +0\r\n\r\n" + HIDDEN],
    "a length beyond 64 bits": [POST + "Content-Length: 18446744073709551616\r\n\r\n" + HIDDEN],
    "chunked is not last": [POST + "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n" + HIDDEN],
    "chunked twice": [POST + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"
                      "0\r\n\r\n" + HIDDEN],
    "chunked with a tail": [POST + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + HIDDEN],
    "chunked in HTTP/1.0": ["POST / HTTP/1.0\r\n" + HOST + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN],
    "a folded field": ["GET / HTTP/1.1\r\n" + HOST + "X-A: b\r\n Transfer-Encoding: chunked\r\n\r\n"],
    "a space before the colon": [POST + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + HIDDEN],
    "a bare CR in a value": ["GET / HTTP/1.1\r\n" + HOST + "X-A: b\rTransfer-Encoding: chunked\r\n\r\n"],
    "a NUL in a value": ["GET / HTTP/1.1\r\n" + HOST + "X-A: b\0c\r\n\r\n"],
    "a bare LF in the head": ["GET / HTTP/1.1\n" + HOST + "\n"],
    "a bare LF in a field": [POST + "X-A: b\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN],
    "no Host": ["GET / HTTP/1.1\r\n\r\n"],
    "two Hosts": ["GET / HTTP/1.1\r\n" + HOST + "Host: other\r\n\r\n"],
    "no method": [" / HTTP/1.1\r\n" + HOST + "\r\n"],
    "two spaces": ["GET  / HTTP/1.1\r\n" + HOST + "\r\n"],
    "no field name": ["GET / HTTP/1.1\r\n" + HOST + ": x\r\n\r\n"],
}
# The same in a body that is under way, to a backend that waits for the end of it.
CHUNKED = "PUT /upload/broken HTTP/1.1\r\n" + HOST + "Transfer-Encoding: chunked\r\n\r\n"
BAD_CHUNKS = {
    "a size that is no number": "zz\r\n",
    "a size beyond 64 bits": "10000000000000000\r\n",
    "a signed size": "-1\r\n",
    "no line end behind the data": "3\r\nabcd\r\n0\r\n\r\n",
    "a bare LF behind the size": "3\nabc\r\n0\r\n\r\n",
}


class Raw:
    """Connections on which bytes are sent as they are."""

    def __init__(self, tour):
        self.tour = tour
        self.process = tour.ground.start("client", [sys.executable, scene.PEER, "raw", WEB4, "80"], log="raw.log",
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, *texts, until=None):
        """Until it is closed; or until there is silence, when what came matches `until`."""
        self.process.stdin.write(json.dumps({"texts": texts, "until": until}).encode() + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        check(line, self.tour.ground.tail("raw.log", 3))
        answer = json.loads(line)
        return re.findall(r"^HTTP/1\.1 (\d+)", answer["answer"], re.M), answer["answer"], answer["closed"]

    def end(self):
        self.tour.ground.end(self.process)


def refused(tour):
    """what breaks the framing is refused, the connection closed, and nothing behind it is heard"""
    raw = Raw(tour)
    wrong = []
    for name, texts in {**REFUSED, **{name: [CHUNKED, chunk + HIDDEN] for name, chunk in BAD_CHUNKS.items()}}.items():
        statuses, _, closed = raw.ask(*texts)
        print(f"    {name}: {' '.join(statuses)}{', closed' if closed else ''}")
        if statuses != ["400"] or not closed:
            wrong.append(name)
    raw.end()
    check(not wrong, f"not refused by 400: {'; '.join(wrong)}")
    for name in scene.BACKENDS:
        check("smuggled" not in log_of(tour, name), f"{name} got a smuggled request")


def limits(tour):
    """a head that is too large, has too many fields or too long a line is refused"""
    raw = Raw(tour)
    for name, text, wanted in (("large", HOST + f"X-A: {'a' * 61_440}\r\n", "431"),
                               ("many", HOST + "".join(f"X-{i}: a\r\n" for i in range(110)), "431")):
        statuses, _, closed = raw.ask(f"GET / HTTP/1.1\r\n{text}\r\n")
        check(statuses == [wanted] and closed, f"{name} fields: {statuses}")
    statuses, _, closed = raw.ask(f"GET /{'a' * 9000} HTTP/1.1\r\n{HOST}\r\n")
    check(statuses in (["414"], ["431"]) and closed, f"a long line: {statuses}")
    statuses, _, _ = raw.ask(f"GET / HTTP/1.1\r\n{HOST}X-A: {'a' * 30_000}\r\n\r\n", until="^HTTP/")
    check(statuses == ["400"], f"30 kB are within the node's limit and beyond nginx's: {statuses}")
    raw.end()


def pipelining(tour):
    """requests that come together are answered in order; one that comes in pieces is answered once"""
    raw = Raw(tour)
    three = "".join(f"{method} {path} HTTP/1.1\r\n{HOST}\r\n" for method, path in
                    (("GET", "/api/one"), ("HEAD", "/two"), ("GET", "/three")))
    statuses, text, closed = raw.ask(three, until="answers .*/three\n")
    bodies = re.findall(r"^b\d answers .*$", text, re.M)
    check(statuses == ["200"] * 3 and not closed, f"three requests: {statuses}")
    check(bodies == ["b3 answers GET www.example.test/api/one", "b1 answers GET www.example.test/three"],
          f"bodies: {bodies}")
    statuses, text, _ = raw.ask(*f"GET /pieces HTTP/1.1\r\n{HOST}\r\n", until="answers .*/pieces\n")
    check(statuses == ["200"] and "b1 answers GET www.example.test/pieces" in text, f"in pieces: {statuses}")
    put = f"PUT /upload/pieces HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n"
    second = f"GET /second HTTP/1.1\r\n{HOST}\r\n"
    statuses, text, _ = raw.ask(put, f"0\r\nX-Trailer: 1\r\n\r\n{second}", until="answers .*/second\n")
    check(statuses == ["201", "200"] and "/second" in text, f"behind a chunked body: {statuses}")
    # nginx answers this one before its body has come.
    early = f"POST /early HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    statuses, text, closed = raw.ask(early, f"0\r\n\r\n{second}", until="answers .*/second\n")
    check(statuses[:1] == ["200"] and (closed or "/second" in text), f"answered early: {statuses}, closed: {closed}")
    raw.end()


def detail(tour):
    """sluicectl connections --detail tells of a connection what ss -ti tells at its other end"""
    tour.ground.quiet(f"ip netns exec {tour.ground.namespaces['client']} sysctl -qw net.ipv4.tcp_ecn=1")
    request = f"GET /a HTTP/1.1\\r\\n{HOST.strip()}\\r\\n\\r\\n"
    client = tour.ground.start("client", ["bash", "-c", f"exec 3<>/dev/tcp/{WEB4}/80; printf '{request}' >&3; "
                                          "head -n 1 <&3; exec sleep 30"], stdout=subprocess.PIPE)
    check(b"200" in client.stdout.readline(), "no answer")
    theirs = tour.ground.run("client", ["ss", "-tin", "dst", WEB4]).text
    port, = re.findall(rf"{re.escape(scene.CLIENT)}:(\d+)", theirs)
    sent, received = (int(re.search(rf"{word}:(\d+)", theirs).group(1)) for word in ("bytes_sent", "bytes_received"))

    def of_client():
        listed = tour.node.json("connections", "--detail", "--listener", "web")["connections"]
        return next(c for c in listed if c["remote"] == f"{scene.CLIENT}:{port}")

    # The client's last ACK is delayed.
    wait_for("the client's ACK", lambda: of_client()["detail"]["bytes_acknowledged"] >= received)
    tour.node.control("connections", "--detail", "--listener", "web")
    ours = of_client()
    tour.ground.end(client)
    told = ours["detail"]
    out, back = map(int, re.search(r"wscale:(\d+),(\d+)", theirs).groups())
    check((told["send_scale"], told["receive_scale"]) == (back, out), f"window scales: {told}")
    check(told["mss"] - 12 * told["timestamps"] == int(re.search(r" mss:(\d+)", theirs).group(1)), f"MSS: {told}")
    check((ours["bytes_in"], told["bytes_acknowledged"]) == (sent, received), f"bytes: {ours}")
    check(told["ecn"], f"the client asked for ECN and the node did not take it: {told}")
    check(ours["state"] == "established" and told["sack"] and ours["smoothed_rtt_us"] < 5_000_000, f"{ours}")
    check(10 <= told["cwnd_segments"] <= 100 and told["limited_by"] == "application", f"idle: {told}")
    busy(tour)


def busy(tour):
    """One whose client reads nothing."""
    request = f"GET /files/big HTTP/1.1\\r\\nHost: {WEB4}\\r\\n\\r\\n"
    reader = tour.ground.start("client", ["bash", "-c", f"exec 3<>/dev/tcp/{WEB4}/80; printf '{request}' >&3; "
                                          "exec sleep 60"])

    def held_back():
        listed = tour.node.json("connections", "--detail", "--listener", "web")["connections"]
        return next((c for c in listed if c["detail"]["limited_by"] == "peer-window"), None)

    wait_for("a connection that its peer's window holds back", held_back, 20)
    tour.node.control("connections", "--detail", "--listener", "web")
    ours = held_back()
    tour.ground.end(reader)
    told = ours["detail"]
    check(told["send_queue"] > 0 and told["delivery_rate"] > 0 and told["cwnd_segments"] >= 10, f"{told}")
    check(ours["bytes_out"] >= told["bytes_acknowledged"] > 50_000, f"bytes: {ours}")


def framing(tour):
    """HEAD, chunked bodies both ways, and 100-continue"""
    ground = tour.ground
    head = curl(tour, "-I", f"http://{WEB4}/files/big").text
    check(re.search(rf"^content-length: {tour.size}\r?$", head, re.M | re.I), "HEAD does not tell the length")
    loaded = ground.path("loaded")
    verbose = curl(tour, "-v", "--compressed", "-o", loaded, f"http://{WEB4}/chunked/big",
                   shown=lambda text: "\n".join(line for line in text.splitlines() if line.startswith("<"))).text
    check(re.search(r"^< transfer-encoding: chunked", verbose, re.M | re.I), "the answer was not chunked")
    check(file_hash(loaded) == tour.big_hash, "the chunked answer came wrong")
    os.unlink(loaded)
    def shown(text):
        return "\n".join(line for line in text.splitlines() if line.startswith(("<", ">")))

    chunked, expect = ["-H", "Transfer-Encoding: chunked", "-H", "Expect:"], ["-H", "Expect: 100-continue"]
    for name, more, sign in (("chunked", chunked, "> Transfer-Encoding: chunked"),
                             ("continued", expect, "< HTTP/1.1 100 Continue")):
        verbose = curl(tour, "-v", "--expect100-timeout", "20", "-T", tour.big, *more, f"http://{WEB4}/upload/{name}",
                       shown=shown).text
        check(sign in verbose and "< HTTP/1.1 201" in verbose, f"{name}: {sign} is missing, or 201 is")
        arrived = ground.path("b1", "upload", name)
        check(file_hash(arrived) == tour.big_hash, f"the {name} body came wrong")
        os.unlink(arrived)


def log_of(tour, name):
    with open(tour.ground.path(name, "access.log"), encoding="utf-8", errors="replace") as file:
        return file.read()


def reuse(tour):
    """requests on many client connections share few connections to the backend"""
    for i in range(20):
        says(tour, "b2", "-H", "x-canary: yes", f"http://{WEB4}/reused/{i}")
    used = {line.split()[0] for line in log_of(tour, "b2").splitlines() if "/reused/" in line}
    print(f"    nginx counts {len(used)} connection(s) for 20 requests")
    check(len(used) == 1, f"20 requests came on connections {sorted(used)}")
    raw = Raw(tour)
    statuses, _, closed = raw.ask(f"GET /a HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n")
    check(statuses == ["200"] and closed, f"Connection: close: {statuses}, closed: {closed}")
    statuses, _, closed = raw.ask(f"GET /a HTTP/1.0\r\n{HOST}\r\n")
    check(statuses == ["200"] and closed, f"HTTP/1.0: {statuses}, closed: {closed}")
    raw.end()
