#include "mgmt/worker_config.h"

#include <algorithm>

namespace sluice::mgmt {

PipelineConfig worker_config(const NodeConfig& node, const BufferPlan& plan, std::span<const IpAddress> sources,
                             std::uint16_t worker) {
  PipelineConfig c;
  c.worker = worker;
  c.workers = node.workers;
  c.host.neighbours.capacity = node.neighbours;
  c.host.announces = worker == 0;

  c.tcp.connections = node.connections;
  c.tcp.handshakes = std::max(256u, node.connections / 4);
  c.tcp.time_waits = std::max(1024u, node.connections * 2);
  c.tcp.transits = node.connections;  // never the limit: only what was needed at once is ever touched
  c.tcp.transmit_records = std::max(16'384u, std::min(node.connections * 8, plan.held * 2));
  c.tcp.held_buffers_max = plan.held;
  c.tcp.out_of_order_buffers_max = plan.held / 4;
  c.tcp.receive_limit = node.receive_window;
  c.tcp.out_of_order_limit = node.receive_window;
  c.tcp.send_limit = node.send_buffer;
  c.tcp.time_wait = node.time_wait;
  c.tcp.ecn = node.ecn;
  c.tcp.syn_cookies = node.syn_cookies;
  c.tcp.pacing = node.pacing;
  c.tcp.quick_acks = node.quick_acks;
  for (const IpAddress& address : sources)
    c.tcp.sources[c.tcp.source_count++] = {address, node.upstream.ports.first, node.upstream.ports.last};

  c.tls.sessions = node.tls_sessions;
  c.tls.hot_keys = std::min(node.tls_sessions, 4096u);
  c.tls.handshakes = std::min(node.tls_handshakes, node.tls_sessions);

  c.forward.worker = worker;
  c.forward.workers = node.workers;
  c.forward.flows = node.flows;

  c.exchanges.worker = worker;
  c.exchanges.workers = node.workers;
  c.exchanges.connections = node.connections;
  c.exchanges.exchanges = node.exchanges;
  c.exchanges.objects = node.objects;
  c.exchanges.source_by_route = node.upstream.addresses.empty();
  return c;
}

}  // namespace sluice::mgmt
