// node.h - the unit under test of golden cases: a node with in-memory ports. Frames in by port, frames out by port, a
// turn at a time, the time given. Today it is parse, steer, host, forwarder and the TCP stack put together as
// Pipeline::turn does; nothing of a case depends on what stands behind this face.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dataplane/net/host.h"
#include "l4/forward.h"
#include "l4/tcp/host_egress.h"
#include "l4/tcp/stack.h"
#include "tests/support/packet_text.h"

namespace sluice::test {

struct NodePort {
  MacAddress mac;
  bool present = false;
};

// What a case's policy file says.
struct NodePolicy {
  std::vector<NodePort> ports;
  std::vector<Interface> interfaces;
  std::vector<StaticRoute> routes;
  std::vector<LocalRange> local;
  std::vector<ListenerRule> listeners;
  std::vector<ServiceSpec> services;
};

// Reads the notation described in tests/golden/README.md. The error names the line.
std::expected<NodePolicy, std::string> read_policy(const std::string& text);

class Node {
 public:
  // What is built once (ports, interfaces, routes, addresses) comes from the first policy.
  static std::expected<std::unique_ptr<Node>, std::string> make(const NodePolicy& policy, Buffers& buffers);
  virtual ~Node() = default;

  // Listeners and services of another policy take effect.
  virtual std::expected<void, std::string> apply(const NodePolicy& policy) = 0;
  virtual void inject(PortId port, const Frame& frame) = 0;
  virtual void turn(Nanos now) = 0;
  virtual std::vector<std::pair<PortId, Frame>> collect() = 0;
  virtual const Counters& counters() const = 0;
};

}  // namespace sluice::test
