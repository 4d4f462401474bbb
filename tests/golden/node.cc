#include "tests/golden/node.h"

#include "dataplane/packet/parse.h"
#include "dataplane/port/memory_port.h"

namespace sluice::test {

namespace {

class Pieces final : public Node {
 public:
  Pieces(const NodePolicy& policy, Routes routes, LocalAddresses addresses, Buffers& buffers)
      : routes_(std::move(routes)), addresses_(std::move(addresses)) {
    for (const NodePort& port : policy.ports) {
      ports_.push_back(std::make_unique<MemoryPort>(PortCaps{.mac = port.mac}, buffers));
      queues_.push_back(std::make_unique<TxQueue>(*ports_.back(), 0, buffers, counters_));
      queue_of_port_.push_back(queues_.back().get());
    }
    HostLimits limits;
    limits.announces = false;
    host_ = std::make_unique<Host>(routes_, queue_of_port_, buffers, counters_, limits);
    egress_ = std::make_unique<tcp::HostEgress>(*host_);
    tcp_ = std::make_unique<tcp::Stack>(
        tcp::Config{.connections = 64, .handshakes = 64, .time_waits = 64, .transmit_records = 256}, buffers, counters_,
        Nanos{1});
    forwarder_ = std::make_unique<Forwarder>(Forwarder::Config{.flows = 256}, addresses_, stats_, counters_);
    for (const Interface& i : routes_.interfaces()) exception_ = exception_ || i.exception_port != no_port;
  }

  std::expected<void, std::string> apply(const NodePolicy& policy) override {
    auto services = Services::compile(policy.services, ++generation_);
    auto listeners = Listeners::compile(policy.listeners);
    if (!services || !listeners) return std::unexpected(std::string{"listeners or services are refused"});
    services_ = std::move(*services);
    listeners_ = std::move(*listeners);
    std::vector<Prefix> vips;
    for (const ServiceSpec& service : policy.services) vips.push_back(service.vip);
    service_addresses_ = AddressSet{std::move(vips)};
    host_->set_services(&service_addresses_);
    return {};
  }

  void inject(PortId port, const Frame& frame) override { CHECK(ports_.at(port)->inject(frame)); }

  void turn(Nanos now) override {
    tcp_->set_listeners(tcp::ListenerView{&listeners_});
    for (PortId port = 0; port < ports_.size(); ++port) receive(port, now);
    while (!tcp_->take_events().empty()) {}
    tcp_->output(*egress_, now);
    tcp_->expire(now);
    forwarder_->expire(services_, now);
    host_->tick(now);
    for (auto& queue : queues_) queue->flush(now);
  }

  std::vector<std::pair<PortId, Frame>> collect() override {
    std::vector<std::pair<PortId, Frame>> out;
    for (PortId port = 0; port < ports_.size(); ++port)
      while (auto bytes = ports_[port]->collect_bytes()) out.emplace_back(port, std::move(*bytes));
    return out;
  }
  const Counters& counters() const override { return counters_; }

 private:
  void receive(PortId port, Nanos now) {
    std::array<rte_mbuf*, steer_burst_max> frames;
    const std::uint16_t n = ports_[port]->receive(0, frames, now);
    std::array<Packet, steer_burst_max> burst;
    for (std::uint16_t i = 0; i < n; ++i) {
      burst[i] = Packet{frames[i]};
      new (&burst[i].meta()) Meta{.port = port};
    }
    if (host_->is_exception_port(port)) {
      for (std::uint16_t i = 0; i < n; ++i) host_->from_exception(std::move(burst[i]), now);
      return;
    }
    const std::size_t good = parse({burst.data(), n}, true, counters_);
    const SteerTables tables{
        .services = services_, .listeners = listeners_, .addresses = addresses_, .exception_port = exception_};
    steer({burst.data(), good}, tables, lanes_, counters_);
    for (Packet& packet : lanes_.host.packets()) to_host(std::move(packet), now);
    for (Packet& packet : lanes_.local.packets()) tcp_->input(std::move(packet), now);
    for (Packet& packet : lanes_.exception.packets()) host_->to_exception(std::move(packet), now);
    forward(now);
    lanes_.clear();
  }

  void to_host(Packet packet, Nanos now) {
    if (packet.meta().protocol == Protocol::tcp) tcp_->input(std::move(packet), now);
    else if (packet.meta().protocol == Protocol::udp)
      host_->refuse(std::move(packet), IcmpError::port_unreachable, 0, now);
    else host_->input(std::move(packet), now);
  }

  void forward(Nanos now) {
    forwarder_->forward(lanes_.forward.packets(), services_, now, forwarded_);
    for (std::uint16_t i = 0; i < forwarded_.count; ++i) {
      NextHop hop = host_->route(forwarded_.destinations[i]);
      host_->send(std::move(forwarded_.packets[i]), hop, now);
    }
    for (std::uint16_t i = 0; i < forwarded_.rejected_count; ++i) {
      auto& [packet, why] = forwarded_.rejected[i];
      if (why == Rejection::hop_limit) host_->refuse(std::move(packet), IcmpError::time_exceeded, 0, now);
      else to_host(std::move(packet), now);
    }
    forwarded_.count = forwarded_.rejected_count = 0;
  }

  Counters counters_;
  L4Stats stats_{64, 64};
  Routes routes_;
  LocalAddresses addresses_;
  AddressSet service_addresses_;
  Services services_;
  Listeners listeners_;
  std::vector<std::unique_ptr<MemoryPort>> ports_;
  std::vector<std::unique_ptr<TxQueue>> queues_;
  std::vector<TxQueue*> queue_of_port_;
  std::unique_ptr<Host> host_;
  std::unique_ptr<tcp::HostEgress> egress_;
  std::unique_ptr<tcp::Stack> tcp_;
  std::unique_ptr<Forwarder> forwarder_;
  Lanes lanes_;
  Forwarded forwarded_;
  std::uint64_t generation_ = 0;
  bool exception_ = false;
};

}  // namespace

std::expected<std::unique_ptr<Node>, std::string> Node::make(const NodePolicy& policy, Buffers& buffers) {
  std::vector<IpAddress> own;
  for (const Interface& interface : policy.interfaces)
    for (const Prefix& prefix : interface.addresses) own.push_back(prefix.address);
  auto routes = Routes::compile(policy.interfaces, policy.routes);
  if (!routes) return std::unexpected(routes.error());
  auto addresses = LocalAddresses::compile(own, policy.local);
  if (!addresses) return std::unexpected(std::string{"snat and upstream: ranges overlap"});
  std::unique_ptr<Node> node = std::make_unique<Pieces>(policy, std::move(*routes), std::move(*addresses), buffers);
  if (auto applied = node->apply(policy); !applied) return std::unexpected(applied.error());
  return node;
}

}  // namespace sluice::test
