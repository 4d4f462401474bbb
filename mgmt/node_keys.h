// node_keys.h - the keys of the node file: name, where the value goes, bounds, meaning. A table in the form of
// functions that take a visitor, so that the reader (node_config.cc) and the reference page walk the very same list.
#pragma once

#include "mgmt/node_config.h"

namespace sluice::mgmt {

template <typename V>
void visit_impairment(V& v, Impairment& i) {
  v.number("loss_ppm", i.loss_ppm, 0, 1'000'000, "frames lost, in parts per million");
  v.number("burst_ppm", i.burst_ppm, 0, 1'000'000, "frames with which a burst of losses begins");
  v.number("burst_end_ppm", i.burst_end_ppm, 1, 1'000'000, "lost frames with which it ends");
  v.number("duplicate_ppm", i.duplicate_ppm, 0, 1'000'000, "frames that come twice");
  v.number("corrupt_ppm", i.corrupt_ppm, 0, 1'000'000, "frames with one bit flipped");
  v.number("reorder_ppm", i.reorder_ppm, 0, 1'000'000, "frames held back, so that later ones overtake them");
  v.duration("reorder_delay", i.reorder_delay, "how long they are held back");
  v.duration("delay", i.delay, "of every frame");
  v.duration("jitter", i.jitter, "added to the delay, uniform from 0 to this");
  v.number("rate_bps", i.rate_bps, 0, 1'000'000'000'000, "bits a second; 0 is no limit");
  v.number("queue_frames", i.queue_frames, 1, 100'000, "frames that may wait for the line; more are lost");
  v.number("mark_frames", i.mark_frames, 0, 100'000, "frames that wait from which on ECN is marked; 0 is never");
}

template <typename V>
void visit_vlan(V& v, VlanConfig& c) {
  v.number("id", c.id, 1, 4094, "the VLAN's id", true);
  v.prefixes("addresses", c.addresses, "our addresses in it, each with the length of its connected prefix");
  v.text("exception", c.exception, "vdev of an exception port for this VLAN");
}

template <typename V>
void visit_port(V& v, PortConfig& c) {
  v.text("name", c.name, "how policies, counters and messages call it", true);
  v.text("device", c.device, "a PCI address (0000:3b:00.0) or a vdev (net_af_xdp0,iface=eth1)", true);
  v.number("mtu", c.mtu, 0, 9600, "0: the device's own");
  v.number("rx_ring", c.rx_ring, 64, 32768, "frames");
  v.number("tx_ring", c.tx_ring, 64, 32768, "frames");
  v.flag("promiscuous", c.promiscuous,
         "take frames for other MAC addresses off the wire (needed with an exception port of another MAC)");
  v.prefixes("addresses", c.addresses, "our addresses on it, each with the length of its connected prefix");
  v.text("exception", c.exception,
         "vdev of the exception port (net_tap0,iface=sluice0): what is not ours goes to the kernel there. It gets the "
         "port's MAC");
  v.list("vlan", c.vlans, "an 802.1Q VLAN on the port", [](auto& inner, VlanConfig& vlan) { visit_vlan(inner, vlan); });
  v.table("impair_receive", c.receive, "a bad network on the way in, for trials",
          [](auto& inner, Impairment& i) { visit_impairment(inner, i); });
  v.table("impair_transmit", c.transmit, "a bad network on the way out, for trials",
          [](auto& inner, Impairment& i) { visit_impairment(inner, i); });
  v.number("impair_seed", c.impair_seed, 0, INT64_MAX, "of the bad network's random numbers");
}

template <typename V>
void visit_route(V& v, RouteConfig& c) {
  v.prefix("destination", c.destination, "prefix; the longest that fits a destination wins", true);
  v.address("gateway", c.gateway, "next hop, on a connected prefix", true);
}

template <typename V>
void visit_source(V& v, SourceConfig& c) {
  v.addresses("addresses", c.addresses, "addresses of ours to speak from; empty: the ports' own");
  v.ports("ports", c.ports, "range of local ports, as \"first-last\"");
}

template <typename V>
void visit_node(V& v, NodeConfig& c) {
  v.table("node", c, "the process", [](auto& t, NodeConfig& n) {
    t.text("name", n.name, "how the node calls itself in metrics and logs");
    t.text("prefix", n.prefix, "of DPDK's runtime files: one for each instance on a machine");
    t.number("workers", n.workers, 1, 64, "packet threads");
    t.cpus("worker_cpus", n.worker_cpus,
           "CPU of each worker; empty: chosen, away from management where there is one to spare");
    t.number("management_cpu", n.management_cpu, -1, 1023, "CPU of the management thread; -1: not pinned");
    t.number("handshake_cores", n.handshake_cores, 0, 64, "threads for TLS handshakes; 0: each worker does its own");
    t.number("memory_mib", n.memory_mib, 64, 1'048'576, "for packet buffers and what DPDK needs, taken at start");
    t.choice("hugepages", n.hugepages, {"automatic", "required", "never"},
             "automatic falls back to ordinary memory and says so");
    t.choice("idle", n.idle_sleep, {"poll", "sleep"}, "what a worker does without work: poll takes the whole core");
    t.duration("drain_timeout", n.drain_timeout, "how long connections may go on after SIGTERM");
  });
  v.list("port", c.ports, "a port, in the order that gives it its number",
         [](auto& t, PortConfig& p) { visit_port(t, p); });
  v.list("route", c.routes, "a static route", [](auto& t, RouteConfig& r) { visit_route(t, r); });
  v.table("upstream", c.upstream, "where connections to endpoints come from",
          [](auto& t, SourceConfig& s) { visit_source(t, s); });
  v.table("snat", c.snat, "where packets of full-NAT services come from",
          [](auto& t, SourceConfig& s) { visit_source(t, s); });
  v.table("control", c, "the management socket", [](auto& t, NodeConfig& n) {
    t.text("socket", n.control_socket, "path of the Unix socket");
    t.text("group", n.control_group, "members of this group may speak to it, besides root");
    t.text("state_directory", n.state_directory, "where the last good policy and the node key are kept");
  });
  v.table("metrics", c, "Prometheus", [](auto& t, NodeConfig& n) {
    t.text("listen", n.metrics_listen, "address:port of the HTTP endpoint; empty: none");
  });
  v.table("log", c, "logs", [](auto& t, NodeConfig& n) {
    t.choice("level", n.log_level, {"error", "warning", "info", "debug"},
             "of the process log on standard error; changes live by sluicectl log");
    t.choice("access", n.access_format, {"none", "text", "json"}, "form of the access log");
    t.text("access_path", n.access_path, "file of the access log; \"-\" is standard output");
  });
  v.table("tcp", c, "TCP to clients and endpoints", [](auto& t, NodeConfig& n) {
    t.choice("ecn", n.ecn, {"off", "accept", "ask"}, "explicit congestion notification; ask: towards endpoints too");
    t.choice("syn_cookies", n.syn_cookies, {"never", "under_pressure", "always"},
             "when a SYN is answered without being remembered");
    t.flag(
        "pacing", n.pacing,
        "spread segments over the round trip, where that is 8 ms or more: short queues on the way lose fewer of them");
    t.number("quick_acks", n.quick_acks, 0, 255,
             "ACKs that are not delayed at the start of a connection; 0: they ride on the answer");
  });
  v.table("limits", c, "sizes of fixed memory; of one worker unless said", [](auto& t, NodeConfig& n) {
    t.number("connections", n.connections, 16, 4'000'000, "TCP connections, of clients and to endpoints together");
    t.number("exchanges", n.exchanges, 16, 1'000'000, "HTTP requests under way");
    t.number("tls_sessions", n.tls_sessions, 1, 4'000'000, "TLS connections");
    t.number("tls_handshakes", n.tls_handshakes, 1, 100'000, "TLS handshakes under way");
    t.number("flows", n.flows, 64, 64'000'000, "flows of L4 services");
    t.number("neighbours", n.neighbours, 16, 1'000'000, "entries of the ARP and ND cache");
    t.number("held_buffers", n.held_buffers, 0, 100'000'000,
             "packet buffers that queues of connections may hold; 0: what memory_mib allows");
    t.number("receive_window", n.receive_window, 16 * 1024, 64 * 1024 * 1024,
             "bytes of buffer memory a connection may hold unread");
    t.number("send_buffer", n.send_buffer, 16 * 1024, 64 * 1024 * 1024, "bytes a connection may hold unacknowledged");
    t.duration("time_wait", n.time_wait, "2 x MSL of TCP");
    t.number("listeners", n.objects.listeners, 1, 65'536, "of the node, in a policy");
    t.number("routes", n.objects.routes, 1, 1'000'000,
             "of the node: routes with a name, and so statistics of their own");
    t.number("clusters", n.objects.clusters, 1, 1'000'000, "of the node, in a policy");
    t.number("endpoints", n.objects.endpoints, 1, 4'000'000, "of the node, in a policy");
    t.number("services", n.objects.services, 1, 100'000, "of the node, in a policy");
  });
}

}  // namespace sluice::mgmt

// Tested in tests/unit/mgmt/node_config_test.cc.
