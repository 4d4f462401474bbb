"""The scene of the tour: a client, the node, a switch with three backends; certificates; what the node is told.

    client c0 -- front [node] back -- switch -- b1, b2, b3
"""

import json
import os
import sys

PEER, CROWD, APPLIER = (os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
                        for name in ("peer.py", "crowd.py", "applier.py"))

BACKENDS = ("b1", "b2", "b3")
ADDRESS4 = {"b1": "10.2.0.11", "b2": "10.2.0.12", "b3": "10.2.0.13"}
ADDRESS6 = {"b1": "fd02::11", "b2": "fd02::12", "b3": "fd02::13"}
CLIENT = "10.1.0.2"
NODE, NODE6 = "10.1.0.1", "fd01::1"  # the node's own addresses: what Sluice does not take there is the kernel's
WEB4, WEB6 = "10.1.0.80", "fd01::80"  # where clients meet HTTP and HTTPS
L4_4, L4_6 = "10.1.0.100", "fd01::100"  # where they meet the L4 services
HTTP_PORT, UDP_PORT, SILENT_PORT, GONE_PORT, KERNEL_PORT = 8080, 9000, 8081, 8082, 179
METRICS = "127.0.0.1:9090"
HOSTS = ("www.example.test", "api.example.test")  # a certificate each


def lay_out(ground):
    for name in ("client", "node", "switch", *BACKENDS):
        ground.namespace(name)
    # The kernel of the node's namespace speaks no IPv6 of its own on the ports that DPDK has.
    for key in ("all", "default"):
        ground.quiet(f"ip netns exec {ground.namespaces['node']} sysctl -qw net.ipv6.conf.{key}.disable_ipv6=1")
        ground.quiet(f"ip netns exec {ground.namespaces['switch']} sysctl -qw net.ipv6.conf.{key}.disable_ipv6=1")
    ground.link("client", "c0", "node", "front")
    ground.address("client", "c0", f"{CLIENT}/24", "fd01::2/64")
    switch = ground.namespaces["switch"]
    ground.quiet(f"ip -n {switch} link add br0 type bridge mcast_snooping 0")
    ground.quiet(f"ip -n {switch} link set br0 up")
    ground.link("switch", "uplink", "node", "back")
    ground.quiet(f"ip -n {switch} link set uplink master br0")
    for name in BACKENDS:
        ground.link("switch", name, name, "b0")
        ground.quiet(f"ip -n {switch} link set {name} master br0")
        ground.address(name, "b0", f"{ADDRESS4[name]}/24", f"{ADDRESS6[name]}/64")


def certificates(ground):
    """An authority and a certificate for each host."""
    ec = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    ca, ca_key = ground.path("ca.pem"), ground.path("ca.key")
    ground.quiet(f"openssl req -x509 {ec} -days 2 -subj '/CN=Tour CA' -keyout {ca_key} -out {ca}")
    for host in HOSTS:
        base = ground.path(host)
        ground.quiet(f"openssl req {ec} -subj /CN={host} -addext subjectAltName=DNS:{host} -keyout {base}.key "
                     f"-out {base}.csr")
        ground.quiet(f"openssl x509 -req -in {base}.csr -CA {ca} -CAkey {ca_key} -CAcreateserial -days 2 "
                     f"-copy_extensions copy -out {base}.pem")


def start_backend(ground, name):
    """nginx with a body that says who it is; b1 has files and takes uploads. It does not listen yet."""
    folder = ground.path(name)
    os.makedirs(os.path.join(folder, "files"), exist_ok=True)
    os.makedirs(os.path.join(folder, "upload"), exist_ok=True)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"    {kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    config = ground.write(f"{name}/nginx.conf", f"""
user root;
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    log_format tour '$connection "$request" $status';
    access_log {folder}/access.log tour;
{places}    client_max_body_size 1g;
    default_type text/plain;
    server {{
        listen {ADDRESS4[name]}:{HTTP_PORT};
        listen [{ADDRESS6[name]}]:{HTTP_PORT};
        location / {{ return 200 "{name} answers $request_method $host$uri\\n"; }}
        location /files/ {{ root {folder}; }}
        location /chunked/ {{
            alias {folder}/files/;
            gzip on;
            gzip_min_length 1;
            gzip_comp_level 1;
            gzip_types text/plain;
        }}
        location /upload/ {{ root {folder}; dav_methods PUT; }}
    }}
}}
""")
    return ground.start(name, ["nginx", "-p", folder, "-e", f"{folder}/error.log", "-c", config], log=f"{name}.log")


def start_peers(ground):
    """Every server of the backends; returns each one's nginx. All start at once, and all listen afterwards."""
    backends = {name: start_backend(ground, name) for name in BACKENDS}
    echoes = {name: ground.start(name, [sys.executable, PEER, "udp-echo", name, str(UDP_PORT)], log=f"{name}-udp.log")
              for name in BACKENDS}
    silent = ground.start("b1", [sys.executable, PEER, "silent", str(SILENT_PORT)], log="silent.log")
    for name in BACKENDS:
        ground.wait_listening(backends[name], name, HTTP_PORT, f"{name}.log", sockets=2)  # IPv4 and IPv6
        ground.wait_listening(echoes[name], name, UDP_PORT, f"{name}-udp.log", kind="udp")
    ground.wait_listening(silent, "b1", SILENT_PORT, "silent.log")
    return backends


def node_file(ground, driver, changes=None):
    """The node file of the tour. `changes`: keys of its tables, by the table's or the port's name."""
    vdev = f"net_{driver}"
    ports = {
        "front": {"device": f"{vdev}0,iface=front", "addresses": [f"{NODE}/24", f"{NODE6}/64"],
                  "exception": "net_tap0,iface=kernel0"},
        "back": {"device": f"{vdev}1,iface=back", "addresses": ["10.2.0.1/24", "fd02::1/64"]},
    }
    tables = {
        "node": {"name": "demo", "prefix": f"demo-{os.getpid()}", "workers": 1, "memory_mib": 256,
                 "drain_timeout": "30s"},
        "control": {"socket": ground.path("sluice.sock"), "state_directory": ground.path("state")},
        "metrics": {"listen": METRICS},
        "log": {"access": "json", "access_path": ground.path("access.log")},
    }
    for name, keys in (changes or {}).items():
        (ports if name in ports else tables).setdefault(name, {}).update(keys)
    text = "".join(f"[{name}]\n{toml(keys)}\n" for name, keys in tables.items())
    text += "".join(f"[[port]]\n{toml({'name': name, **keys})}\n" for name, keys in ports.items())
    return ground.write("node.toml", text)


def toml(keys):
    return "".join(f"{key} = {toml_value(value)}\n" for key, value in keys.items())


def toml_value(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml_value(inner)}" for key, inner in value.items()) + "}"
    return json.dumps(value)  # text, numbers, truth and lists of them look the same in both


def route(name, cluster, prefix=None, headers=None):
    match = {}
    if prefix:
        match["path"] = {"kind": "prefix", "value": prefix}
    if headers:
        match["headers"] = headers
    clusters = [{"cluster": cluster}] if isinstance(cluster, str) else cluster
    return {"name": name, "match": match, "clusters": clusters}


def policy(moved="b1", swapped=False):
    """The worked policy of the tour. `moved`: where /move leads; `swapped`: two routes lead to the wrong backends."""
    canary, plain = ("b1", "b2") if swapped else ("b2", "b1")
    any_host = [
        route("canary", canary, headers=[{"name": "x-canary", "kind": "exact", "value": "yes"}]),
        route("device", "b3", headers=[{"name": "x-device", "kind": "regex", "value": "(phone|tablet)-[0-9]+"}]),
        route("api", "b3", prefix="/api"),
        route("split", [{"cluster": "b1", "weight": 90}, {"cluster": "b2", "weight": 10}], prefix="/split"),
        route("move", moved, prefix="/move"),
        route("all", "all", prefix="/all"),
        route("files", "files", prefix="/files"),
        route("upload", "files", prefix="/upload"),
        route("silent", "silent", prefix="/silent"),
        route("gone", "gone", prefix="/gone"),
        route("plain", plain, prefix="/"),
    ]
    tls = {"certificates": list(HOSTS), "alpn": ["http/1.1"], "require_known_server_name": True}
    endpoints = [{"cluster": name, "name": name, "address": f"{ADDRESS4[name]}:{HTTP_PORT}"} for name in BACKENDS]
    for name in BACKENDS:
        four, six = ADDRESS4[name], f"[{ADDRESS6[name]}]"
        endpoints += [{"cluster": "all", "name": name, "address": f"{six}:{HTTP_PORT}"},
                      {"cluster": "tcp4", "name": name, "address": f"{four}:{HTTP_PORT}"},
                      {"cluster": "tcp6", "name": name, "address": f"{six}:{HTTP_PORT}"},
                      {"cluster": "udp4", "name": name, "address": f"{four}:{UDP_PORT}"},
                      {"cluster": "udp6", "name": name, "address": f"{six}:{UDP_PORT}"}]
    endpoints += [{"cluster": "files", "name": "b1", "address": f"{ADDRESS4['b1']}:{HTTP_PORT}"},
                  {"cluster": "silent", "name": "b1", "address": f"{ADDRESS4['b1']}:{SILENT_PORT}"},
                  {"cluster": "gone", "name": "b1", "address": f"{ADDRESS4['b1']}:{GONE_PORT}"}]
    clusters = [{"name": name} for name in (*BACKENDS, "all", "gone", "tcp4", "tcp6", "udp4", "udp6")]
    clusters += [{"name": "files", "request_timeout_ms": 60000}, {"name": "silent", "request_timeout_ms": 1000}]
    return {
        "listeners": [
            {"name": "web", "port": 80, "addresses": [WEB4, WEB6], "routes": "main"},
            {"name": "websec", "port": 443, "addresses": [WEB4, WEB6], "routes": "main", "protocol": "https",
             "tls": tls},
        ],
        "certificates": [{"name": host, "chain_pem": f"@{host}.pem", "key_pem": f"@{host}.key"} for host in HOSTS],
        "route_tables": [{"name": "main", "virtual_hosts": [
            {"name": "shop", "hosts": ["shop.example.test"], "routes": [route("shop", "b2", prefix="/")]},
            {"name": "any", "hosts": ["*"], "routes": any_host},
        ]}],
        "clusters": clusters,
        "endpoints": endpoints,
        "services": [
            {"name": f"{kind}{family}", "address": address, "port": port, "protocol": kind,
             "cluster": f"{kind}{family}"}
            for kind, port in (("tcp", HTTP_PORT), ("udp", UDP_PORT)) for family, address in ((4, L4_4), (6, L4_6))
        ],
    }


def bad_policy():
    """Three faults in three places."""
    bad = policy()
    bad["listeners"][0]["routes"] = "nowhere"
    bad["route_tables"][0]["virtual_hosts"][1]["routes"][1]["match"]["headers"][0]["value"] = "(phone|tablet"
    bad["endpoints"][0]["address"] = "10.2.0.999:8080"
    return bad
