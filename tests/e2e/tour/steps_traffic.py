"""Steps with traffic: HTTP, TLS, routes, the split, L4 services, big bodies, faults of backends, the kernel's own."""

import collections
import os
import re
import subprocess
import sys

import scene
from ground import check
from scene import HOSTS, WEB4, WEB6
from tour import file_hash


def curl(tour, *arguments, **more):
    return tour.ground.run("client", ["curl", "-sS", *arguments], **more)


def says(tour, who, *arguments):
    """One request, answered by this backend."""
    text = curl(tour, *arguments).text
    check(text.startswith(f"{who} answers"), f"{who} should have answered; the answer: {text.strip() or 'none'}")


def tallied(text):
    """How many lines begin with each word."""
    return collections.Counter(line.split()[0] for line in text.splitlines() if line.strip())


def shown_tally(text):
    return ", ".join(f"{who}: {count}" for who, count in sorted(tallied(text).items()))


def plain(tour):
    """HTTP by IPv4 and by IPv6"""
    says(tour, "b1", f"http://{WEB4}/hello")
    says(tour, "b1", f"http://[{WEB6}]/hello")
    status = curl(tour, "-I", f"http://{WEB4}/hello").text.splitlines()[0]
    check(status.split()[:2] == ["HTTP/1.1", "200"], f"HEAD was answered by: {status}")


def shown_handshake(text):
    wanted = re.compile(r"^(\*  subject:|\* SSL connection|< HTTP|b\d)")
    return "\n".join(line for line in text.splitlines() if wanted.match(line))


def secure(tour):
    """HTTPS: the certificate is checked, and chosen by SNI"""
    ca = tour.ground.path("ca.pem")
    for host in HOSTS:
        for address in (WEB4, f"[{WEB6}]"):
            text = curl(tour, "-v", "--tlsv1.3", "--cacert", ca, "--resolve", f"{host}:443:{address}",
                        f"https://{host}/hello", shown=shown_handshake).text
            check(f"subject: CN={host}" in text, f"the certificate is not that of {host}")
            check("SSL connection using TLSv1.3" in text, "it is not TLS 1.3")
            check(f"b1 answers GET {host}/hello" in text, "the answer is wrong")
    curl(tour, "--cacert", ca, "--resolve", f"other.example.test:443:{WEB4}", "https://other.example.test/", code=35)
    counters = tour.node.counters()
    check(counters["tls_handshakes"] >= 4, f"{counters['tls_handshakes']} handshakes were counted")
    check(counters["tls_ssl_objects"] == 0, f"{counters['tls_ssl_objects']} SSL objects are alive")


def routes(tour):
    """a header, a header's regular expression, a path prefix and a host reach their own backends"""
    url = f"http://{WEB4}"
    says(tour, "b1", f"{url}/hello")
    says(tour, "b2", "-H", "x-canary: yes", f"{url}/hello")
    says(tour, "b1", "-H", "x-canary: no", f"{url}/hello")
    says(tour, "b3", "-H", "x-device: tablet-7", f"{url}/hello")
    says(tour, "b1", "-H", "x-device: tablet-7b", f"{url}/hello")
    says(tour, "b3", f"{url}/api/orders")
    says(tour, "b1", f"{url}/apis")
    says(tour, "b2", "-H", "Host: shop.example.test", f"{url}/hello")


def split(tour):
    """a 90/10 split, counted"""
    requests, share = 1000, 0.1
    counts = many(tour, f"http://{WEB4}/split?[1-{requests}]")
    deviation = (requests * share * (1 - share)) ** 0.5
    low, high = requests * share - 4.5 * deviation, requests * share + 4.5 * deviation
    check(sum(counts.values()) == requests and set(counts) <= {"b1", "b2"}, f"answers: {dict(counts)}")
    check(low <= counts["b2"] <= high, f"b2 answered {counts['b2']} of {requests}; a tenth is {low:.0f} to {high:.0f}")


def spread(counts, asked):
    """Three equal backends: none is 5 standard deviations off."""
    check(sum(counts[name] for name in scene.BACKENDS) == asked, f"{asked} were asked; answers: {dict(counts)}")
    expected, deviation = asked / 3, (asked * 2 / 9) ** 0.5
    for name in scene.BACKENDS:
        check(abs(counts[name] - expected) <= 5 * deviation, f"{name} got {counts[name]} of {asked}: not a third")


def many(tour, *arguments):
    """Who answered how many of several requests."""
    return tallied(curl(tour, *arguments, shown=shown_tally, seconds=60).text)


def l4_tcp(tour):
    """an L4 TCP service over three backends, IPv4 and IPv6"""
    for address in (scene.L4_4, f"[{scene.L4_6}]"):
        spread(many(tour, f"http://{address}:{scene.HTTP_PORT}/?[1-90]", "-H", "Connection: close"), 90)


def l4_udp(tour):
    """an L4 UDP service over three backends, IPv4 and IPv6"""
    for address in (scene.L4_4, scene.L4_6):
        command = [sys.executable, scene.PEER, "udp-ask", address, str(scene.UDP_PORT), "90"]
        spread(tallied(tour.ground.run("client", command, shown=shown_tally).text), 90)
    tour.node.control("services")


def secure_url(tour, path):
    return f"--cacert {tour.ground.path('ca.pem')} --resolve {HOSTS[0]}:443:{WEB4} https://{HOSTS[0]}{path}"


def megabytes(tour):
    return f"{tour.size // 1_000_000} MB"


def download(tour):
    """a big body down through HTTPS, sealed by IPsec-MB"""
    before = tour.node.counters()["tls_sealed_bytes"]
    answer = tour.ground.bash("client", f"curl -sS {secure_url(tour, '/files/big')} | sha256sum", seconds=100)
    check(answer.text.split()[0] == tour.big_hash, f"SHA-256 differs: it should be {tour.big_hash}")
    sealed = tour.node.counters()["tls_sealed_bytes"] - before
    print(f"    {megabytes(tour)} arrived whole; tls_sealed_bytes grew by {sealed}")
    check(sealed >= tour.size, f"IPsec-MB sealed only {sealed} of {tour.size} bytes")


def upload(tour):
    """a big body up through HTTPS, opened by IPsec-MB"""
    before = tour.node.counters()["tls_opened_bytes"]
    curl_line = f"curl -sS -o /dev/null -w '%{{http_code}}' -T {tour.big} {secure_url(tour, '/upload/big')}"
    answer = tour.ground.bash("client", curl_line, seconds=100)
    check(answer.text.strip() == "201", f"the answer to PUT is {answer.text.strip()}")
    arrived = file_hash(tour.ground.path("b1", "upload", "big"))
    check(arrived == tour.big_hash, f"SHA-256 differs: {arrived} instead of {tour.big_hash}")
    os.unlink(tour.ground.path("b1", "upload", "big"))
    opened = tour.node.counters()["tls_opened_bytes"] - before
    print(f"    {arrived} of {megabytes(tour)} at the backend; tls_opened_bytes grew by {opened}")
    check(opened >= tour.size, f"IPsec-MB opened only {opened} of {tour.size} bytes")


def status_of(tour, path):
    form = "%{http_code} after %{time_total} s"
    return curl(tour, "-o", "/dev/null", "-w", form, f"http://{WEB4}{path}").text.split()[0]


def silent(tour):
    """504 from a backend that does not answer"""
    status = status_of(tour, "/silent")
    check(status == "504", f"the answer is {status}")


def gone(tour):
    """502 from a backend that is gone"""
    status = status_of(tour, "/gone")
    check(status == "502", f"the answer is {status}")


def drain(tour):
    """drain by weight 0: nothing new goes there, what is there goes on"""
    node, ground = tour.node, tour.ground
    command = [sys.executable, scene.PEER, "hold", scene.L4_4, str(scene.HTTP_PORT)]
    ground.say("client", command)
    held = ground.start("client", command, log="hold.log", stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask():
        held.stdin.write(b"/held\n")
        held.stdin.flush()
        line = held.stdout.readline().decode()
        ground.show(line)
        return line.split()[0] if line else "nobody"

    drained = ask()
    check(drained in scene.BACKENDS, f"{drained} answered")
    node.control("endpoints", "--weight", f"tcp4/{drained}=0", "--weight", f"all/{drained}=0")
    counts = many(tour, f"http://{scene.L4_4}:{scene.HTTP_PORT}/?[1-60]", "-H", "Connection: close")
    check(counts[drained] == 0 and sum(counts.values()) == 60, f"new connections after the drain: {dict(counts)}")
    counts = many(tour, f"http://{WEB4}/all?[1-60]")
    check(counts[drained] == 0 and sum(counts.values()) == 60, f"requests after the drain: {dict(counts)}")
    print(f"    the connection that was there before, to {drained}:")
    check(ask() == drained, "the old connection did not go on")
    ground.end(held)
    node.control("endpoints", "--weight", f"tcp4/{drained}=1", "--weight", f"all/{drained}=1")
    counts = many(tour, f"http://{WEB4}/all?[1-60]")
    check(counts[drained] > 0, f"nothing came back to {drained}")


def ping(tour):
    """the node answers echo requests by IPv4 and by IPv6"""
    before = tour.node.counters()["icmp_echo_replies"]
    for address in (scene.NODE, scene.NODE6) * 2:
        # One at a time: when ping has had one answer, it waits for another no longer than two round trips.
        tour.ground.run("client", ["ping", "-c", "1", "-W", "10", address])
    answered = tour.node.counters()["icmp_echo_replies"] - before
    check(answered == 4, f"the node itself answered {answered} of 4")


def exception(tour):
    """a TCP server of the node's kernel, reached through the exception port"""
    ground = tour.ground
    text, port = "the kernel of the node", scene.KERNEL_PORT
    server = ground.serve("node", [sys.executable, scene.PEER, "greet", str(port), text], port, "greet.log")
    answer = ground.run("client", ["socat", "-t", "10", "-", f"TCP4:{scene.NODE}:{port},connect-timeout=10"])
    check(answer.text.strip() == text, f"the answer is: {answer.text.strip() or 'nothing'}")
    ground.end(server)
