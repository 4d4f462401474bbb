#!/usr/bin/python3
"""A control plane in one file: applies a policy, sends an endpoint delta, reads the status of a node.

It speaks the socket protocol itself (mgmt/schema/control.fbs): size-prefixed FlatBuffers, a Request out, a Reply back. It
needs flatc (Debian: flatbuffers-compiler) and python3-flatbuffers; the code for the schema is generated when it starts.

    control_plane.py --socket /run/sluice/sluice.sock --listen 192.0.2.1:80 --backend 10.0.0.11:8080 --backend 10.0.0.12:8080
"""

import argparse
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile

SCHEMA = pathlib.Path(__file__).resolve().parent.parent / "mgmt" / "schema"


def generate(folder):
    """Python modules of the schema, in `folder`, which joins the search path."""
    subprocess.run(["flatc", "--python", "-o", folder, SCHEMA / "policy.fbs", SCHEMA / "control.fbs"], check=True)
    sys.path.insert(0, folder)


class Node:
    """One connection to a node."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(path)  # waits for its turn, which a socket with a time limit does not
        self.socket.settimeout(60)
        self.last_id = 0

    def ask(self, command_type, compose):
        """Sends the command that `compose(builder)` puts into a builder; returns the Reply."""
        import flatbuffers
        from sluice.fb import Request, Reply

        builder = flatbuffers.Builder(1024)
        command = compose(builder)
        self.last_id += 1
        Request.RequestStart(builder)
        Request.RequestAddId(builder, self.last_id)
        Request.RequestAddCommandType(builder, command_type)
        Request.RequestAddCommand(builder, command)
        builder.FinishSizePrefixed(Request.RequestEnd(builder))
        self.socket.sendall(builder.Output())
        (size,) = struct.unpack("<I", self.receive(4))
        reply = Reply.Reply.GetRootAs(self.receive(size), 0)
        assert reply.Id() == self.last_id, "an answer to another request"
        return reply

    def receive(self, size):
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise ConnectionError("the node closed the connection")
            data += part
        return data


def vector(builder, start, offsets):
    start(builder, len(offsets))
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def endpoint(builder, cluster, name, address, weight=1):
    from sluice.fb import Endpoint

    cluster, name, address = (builder.CreateString(text) for text in (cluster, name, address))
    Endpoint.EndpointStart(builder)
    Endpoint.EndpointAddCluster(builder, cluster)
    Endpoint.EndpointAddName(builder, name)
    Endpoint.EndpointAddAddress(builder, address)
    Endpoint.EndpointAddWeight(builder, weight)
    return Endpoint.EndpointEnd(builder)


def policy(listen, backends):
    """A finished Policy buffer: one listener, every request to one cluster."""
    import flatbuffers
    from sluice.fb import Cluster, Listener, Policy, Route, RouteTable, VirtualHost, WeightedCluster

    host, port = listen.rsplit(":", 1)
    builder = flatbuffers.Builder(4096)
    web, main, anything, pool = (builder.CreateString(text) for text in ("web", "main", "anything", "pool"))

    WeightedCluster.WeightedClusterStart(builder)
    WeightedCluster.WeightedClusterAddCluster(builder, pool)
    weighted = WeightedCluster.WeightedClusterEnd(builder)
    weighted = vector(builder, Route.RouteStartClustersVector, [weighted])
    Route.RouteStart(builder)
    Route.RouteAddName(builder, anything)
    Route.RouteAddClusters(builder, weighted)
    route = Route.RouteEnd(builder)
    routes = vector(builder, VirtualHost.VirtualHostStartRoutesVector, [route])
    VirtualHost.VirtualHostStart(builder)
    VirtualHost.VirtualHostAddName(builder, anything)
    VirtualHost.VirtualHostAddRoutes(builder, routes)
    virtual_host = VirtualHost.VirtualHostEnd(builder)
    virtual_hosts = vector(builder, RouteTable.RouteTableStartVirtualHostsVector, [virtual_host])
    RouteTable.RouteTableStart(builder)
    RouteTable.RouteTableAddName(builder, main)
    RouteTable.RouteTableAddVirtualHosts(builder, virtual_hosts)
    table = RouteTable.RouteTableEnd(builder)

    addresses = vector(builder, Listener.ListenerStartAddressesVector, [builder.CreateString(host.strip("[]"))])
    Listener.ListenerStart(builder)
    Listener.ListenerAddName(builder, web)
    Listener.ListenerAddAddresses(builder, addresses)
    Listener.ListenerAddPort(builder, int(port))
    Listener.ListenerAddRoutes(builder, main)
    listener = Listener.ListenerEnd(builder)

    Cluster.ClusterStart(builder)
    Cluster.ClusterAddName(builder, pool)
    cluster = Cluster.ClusterEnd(builder)
    endpoints = [endpoint(builder, "pool", f"backend-{i}", address) for i, address in enumerate(backends, 1)]

    listeners = vector(builder, Policy.PolicyStartListenersVector, [listener])
    tables = vector(builder, Policy.PolicyStartRouteTablesVector, [table])
    clusters = vector(builder, Policy.PolicyStartClustersVector, [cluster])
    endpoints = vector(builder, Policy.PolicyStartEndpointsVector, endpoints)
    Policy.PolicyStart(builder)
    Policy.PolicyAddListeners(builder, listeners)
    Policy.PolicyAddRouteTables(builder, tables)
    Policy.PolicyAddClusters(builder, clusters)
    Policy.PolicyAddEndpoints(builder, endpoints)
    builder.Finish(Policy.PolicyEnd(builder), file_identifier=b"SLPO")
    return bytes(builder.Output())


def text(value):
    return value.decode() if value else ""


def told(reply):
    """The Applied table of a reply; ends the program with every fault when it was refused."""
    from sluice.fb import Applied, Outcome

    if reply.Outcome() != Outcome.Outcome.ok:
        print(f"refused: {text(reply.Message())}", file=sys.stderr)
        for i in range(reply.FaultsLength()):
            fault = reply.Faults(i)
            print(f"  {text(fault.Path())}: {text(fault.Message())}", file=sys.stderr)
        sys.exit(1)
    return view(reply, Applied.Applied)


def view(reply, kind):
    table = reply.Result()
    result = kind()
    result.Init(table.Bytes, table.Pos)
    return result


def apply(node, data):
    from sluice.fb import Apply, Command

    def compose(builder):
        bytes_at = builder.CreateByteVector(data)
        Apply.ApplyStart(builder)
        Apply.ApplyAddPolicy(builder, bytes_at)
        return Apply.ApplyEnd(builder)

    return told(node.ask(Command.Command.Apply, compose))


def set_weight(node, name, address, weight):
    from sluice.fb import Command, EndpointDelta

    def compose(builder):
        changed = vector(builder, EndpointDelta.EndpointDeltaStartSetVector, [endpoint(builder, "pool", name, address, weight)])
        EndpointDelta.EndpointDeltaStart(builder)
        EndpointDelta.EndpointDeltaAddSet(builder, changed)
        return EndpointDelta.EndpointDeltaEnd(builder)

    return told(node.ask(Command.Command.EndpointDelta, compose))


def status(node):
    from sluice.fb import Command, Status, StatusReport

    def compose(builder):
        Status.StatusStart(builder)
        return Status.StatusEnd(builder)

    return view(node.ask(Command.Command.Status, compose), StatusReport.StatusReport)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--socket", default="/run/sluice/sluice.sock")
    parser.add_argument("--listen", default="192.0.2.1:80", help="ADDRESS:PORT where clients are met")
    parser.add_argument("--backend", action="append", default=[], help="ADDRESS:PORT; may be given again")
    options = parser.parse_args()
    backends = options.backend or ["10.0.0.11:8080", "10.0.0.12:8080"]
    with tempfile.TemporaryDirectory(prefix="sluice-fb-") as folder:
        generate(folder)
        node = Node(options.socket)
        applied = apply(node, policy(options.listen, backends))
        print(f"applied: generation {applied.Generation()}, {applied.ChangesLength()} change(s)")
        delta = set_weight(node, "backend-1", backends[0], 2)
        print(f"backend-1 has weight 2: generation {delta.Generation()}")
        report = status(node)
        print(f"status: sluiced {text(report.Version())}, generation {report.Generation()}, {report.Endpoints()} endpoint(s), "
              f"{report.WorkersLength()} worker(s), {report.PortsLength()} port(s)")


if __name__ == "__main__":
    main()
