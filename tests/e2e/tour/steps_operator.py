"""Steps of the operator: policy changes, refusals, figures, logs, traces, a control plane, and leaving."""

import json
import os
import re
import signal
import subprocess
import time

import scene
from ground import check, wait_for
from scene import WEB4
from steps_traffic import curl, many, says, secure_url


CLOCK_NANOSLEEP = "230"  # of x86-64


def status(tour):
    """the node runs on DPDK ports and takes its first policy"""
    tour.node.apply(scene.policy(swapped=tour.broken == "swapped-route"))
    tour.node.control("status")
    report = tour.node.json("status")
    drivers = [port["driver"] for port in report["ports"]]
    check(drivers[:2] == [f"net_{tour.node.driver}"] * 2, f"the ports' drivers are {drivers}")
    check(report["generation"] >= 1, "no generation was applied")


class Wrk:
    """wrk in the client's namespace; no request may fail."""

    def __init__(self, tour, path, seconds):
        command = ["wrk", "-t1", "-c16", f"-d{seconds}s", "--timeout", "20s", f"http://{WEB4}{path}"]
        tour.ground.say("client", [*command, "&"])
        self.tour, self.seconds = tour, seconds
        before = tour.node.counters()["http_requests"]
        self.process = tour.ground.start("client", command, log="wrk.log", stdout=subprocess.PIPE)
        wait_for("wrk's requests", lambda: tour.node.counters()["http_requests"] >= before + 16)

    def check(self):
        print("client$ wait")
        text = self.tour.ground.finish(self.process, self.seconds + 30).text
        done = re.search(r"(\d+) requests in", text)
        check(done and int(done.group(1)) > 100, "wrk got hardly any answers")
        check("Socket errors" not in text and "Non-2xx" not in text, "requests failed (above)")


def policy_change(tour):
    """policy changes under load: no request fails"""
    wrk = Wrk(tour, "/move", 5)
    for round_ in range(8):
        tour.node.apply(scene.policy(moved="b2" if round_ % 2 == 0 else "b3"), shown=lambda text: text.splitlines()[0])
        time.sleep(0.3)
    wrk.check()
    says(tour, "b3", f"http://{WEB4}/move")


def bad_policy(tour):
    """a bad policy is refused with all its errors, and traffic goes on"""
    before = tour.node.json("status")["generation"]
    wrk = Wrk(tour, "/hello", 2)
    refusal = tour.node.apply(scene.bad_policy(), name="bad.json", code=1).text
    wrk.check()
    pattern = "route_tables[0].virtual_hosts[1].routes[1].match.headers[0].value"
    for path in ("listeners[0].routes", pattern, "endpoints[0].address"):
        check(path in refusal, f"the refusal does not name {path}")
    after = tour.node.json("status")["generation"]
    check(after == before, f"generation {after} runs instead of {before}")


def stats(tour):
    """the node's figures by sluicectl"""
    before = {o["name"]: o.get("requests", 0) for o in tour.node.json("stats", "--kind", "route").get("objects", [])}
    says(tour, "b2", "-H", "x-canary: yes", f"http://{WEB4}/hello")
    tour.node.control("stats")
    after = {o["name"]: o.get("requests", 0) for o in tour.node.json("stats", "--kind", "route")["objects"]}
    wanted = before.get("canary", 0) + 1
    check(after["canary"] == wanted, f"route canary counts {after['canary']} requests instead of {wanted}")


def metrics(tour):
    """Prometheus scrapes it"""
    picked = re.compile(r"^sluice_(http_requests|tls_sealed_bytes|l4_flows)(_total)?[{ ]")
    text = tour.ground.run("node", ["curl", "-sS", f"http://{scene.METRICS}/metrics"],
                           shown=lambda text: "\n".join(line for line in text.splitlines() if picked.match(line))).text
    counted = tour.node.counters()["http_requests"]
    values = [float(value) for value in re.findall(r"^sluice_http_requests_total\{[^}]*\} (\S+)$", text, re.M)]
    check(values and sum(values) == counted, f"http_requests is {values} to Prometheus and {counted} to sluicectl")
    check("# TYPE sluice_" in text and "# HELP sluice_" in text, "TYPE and HELP are missing")


def access_log(tour):
    """a JSON line for a request"""
    mark = f"demo-{os.getpid()}"
    says(tour, "b2", "-H", f"x-request-id: {mark}", "-H", "x-canary: yes", f"http://{WEB4}/logged?q=1")
    log = tour.ground.path("access.log")
    found = []

    def written():
        with open(log, encoding="utf-8") as file:
            found[:] = [line for line in file if "/logged" in line]
        return bool(found)

    wait_for("the line in the access log", written)
    print(f"node$ grep /logged {log}")
    tour.ground.show(found[-1])
    line = json.loads(found[-1])
    wanted = {"method": "GET", "path": "/logged?q=1", "status": 200, "route": "canary", "cluster": "b2",
              "endpoint": "b2", "listener": "web", "tls": False, "flags": "-"}
    for key, value in wanted.items():
        check(line[key] == value, f"{key} is {line[key]!r} instead of {value!r}")
    check(line["client"].startswith(scene.CLIENT), f"client is {line['client']}")
    check(line["generation"] == tour.node.json("status")["generation"], "the generation is another one")


def system_call(pid):
    """The number of the one that a process is in, if it is in one."""
    with open(f"/proc/{pid}/syscall", encoding="ascii") as file:
        return file.read().split()[0]


def trace(tour):
    """the story of one request"""
    node, ground = tour.node, tour.ground
    port = "41234"
    command = [node.program("sluicectl"), "trace", "-n", "4", "--address", scene.CLIENT, "--port", port, "--wait", "20"]
    ground.say(None, ["sluicectl", *command[1:], "&"])
    tracing = ground.start(None, [*command, "--socket", node.socket], log="trace.log", stdout=subprocess.PIPE)
    # It sleeps between its questions, when the node has been told what to look for.
    wait_for("sluicectl to wait", lambda: system_call(tracing.pid) == CLOCK_NANOSLEEP)
    says(tour, "b2", "--local-port", port, "-H", "x-canary: yes", f"http://{WEB4}/traced")
    text = ground.finish(tracing, 40).text
    for stage, words in (("receive", scene.CLIENT), ("steer", "local (TCP)"), ("http", "GET /traced"),
                         ("route", "canary"), ("upstream", scene.ADDRESS4["b2"])):
        check(re.search(rf"\b{stage}\b.*{re.escape(words)}", text), f"stage {stage} does not tell of {words}")


def control_plane(tour):
    """a control plane in Python, without sluicectl: a policy, a delta of endpoints, the status"""
    program = os.path.join(tour.root, "examples", "control_plane.py")
    before = tour.node.json("status")["generation"]
    backends = [f"--backend={scene.ADDRESS4[name]}:{scene.HTTP_PORT}" for name in ("b2", "b3")]
    # Debian's Python has python3-flatbuffers.
    command = ["/usr/bin/python3", program, f"--socket={tour.node.socket}", f"--listen={WEB4}:80", *backends]
    tour.ground.run(None, command, seconds=60)
    after = tour.node.json("status")["generation"]
    check(after == before + 2, f"generation {before} became {after}: a policy and a delta make two more")
    counts = many(tour, f"http://{WEB4}/hello?[1-30]")
    check(set(counts) == {"b2", "b3"} and sum(counts.values()) == 30, f"answers under its policy: {dict(counts)}")
    check(counts["b2"] == 2 * counts["b3"], f"b2 has twice the weight by the delta; answers: {dict(counts)}")
    tour.node.apply(scene.policy(), shown=lambda text: text.splitlines()[0])
    says(tour, "b2", "-H", "x-canary: yes", f"http://{WEB4}/hello")


def sigterm(tour):
    """SIGTERM during a download lets it end"""
    ground = tour.ground
    # It stands still until a line is read from standard input.
    line = f"exec 3<&0; curl -sS {secure_url(tour, '/files/big')} | {{ read -ru 3; sha256sum; }}"
    ground.say("client", ["bash", "-o", f"{line} &"])
    sealed = tour.node.counters()["tls_sealed_bytes"] + 65536  # more than a handshake
    loading = ground.start("client", ["bash", "-o", "pipefail", "-c", line], log="loading.log", stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE)
    wait_for("the download to begin", lambda: tour.node.counters()["tls_sealed_bytes"] > sealed, 20)
    process = tour.node.process
    print(f"node$ kill -TERM {process.pid}")
    process.send_signal(signal.SIGTERM)
    wait_for("sluiced to say that it drains", lambda: "draining" in ground.tail("sluiced.log"))
    time.sleep(0.3)  # until its workers have heard of it
    check(process.poll() is None, f"sluiced left at once, with exit code {process.returncode}")
    refused = curl(tour, "--connect-timeout", "2", f"http://{WEB4}/hello", code=None)
    check(refused.code != 0, "a new connection was taken while draining")
    loading.stdin.write(b"go on\n")
    answer = ground.finish(loading, 60)
    check(answer.code == 0 and answer.text.split()[0] == tour.big_hash, "the download was cut or came wrong")
    process.wait(40)
    ground.show(ground.tail("sluiced.log", 3))
    check(ground.end(process) == 0, f"sluiced left with exit code {process.returncode}")
    check(not os.path.exists(tour.node.socket), "the socket is still there")
