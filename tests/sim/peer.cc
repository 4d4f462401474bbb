#include "tests/sim/peer.h"

#include <algorithm>

#include "dataplane/packet/emit.h"
#include "dataplane/packet/parse.h"
#include "tests/sim/ends.h"

namespace sluice::sim {

using namespace literals;

namespace {

// An ICMP or ICMPv6 error, which quotes what it is about.
bool is_error(const Packet& packet) {
  const std::uint8_t type = packet.data()[packet.meta().l4_offset];
  if (packet.meta().protocol == Protocol::icmp) return type == 3 || type == 11 || type == 12;
  return packet.meta().protocol == Protocol::icmp6 && type < 128;
}

// The way out, past the watch.
class Watched final : public tcp::Egress {
 public:
  Watched(Host& host, EcnWatch& watch) : out_(host), watch_(watch) {}
  tcp::Path path(const IpAddress& local, const IpAddress& remote, tcp::PathCache& cache) override {
    return out_.path(local, remote, cache);
  }
  void send(Packet packet, const IpAddress& local, const IpAddress& remote, tcp::PathCache& cache, Nanos now) override {
    watch_.sent(packet);
    out_.send(std::move(packet), local, remote, cache, now);
  }

 private:
  tcp::HostEgress out_;
  EcnWatch& watch_;
};

}  // namespace

std::optional<tcp::ListenerId> Peer::Ports::find(const IpAddress&, std::uint16_t port, PortId) const {
  if (std::ranges::find(ports, port) == ports.end()) return std::nullopt;
  return tcp::ListenerId{port};
}

Peer::Peer(const PeerSpec& spec, Buffers& buffers, Nanos start)
    : buffers_(buffers), all_options_(spec.sack && spec.timestamps), timestamps_(spec.timestamps), mss_(spec.mss) {
  port_ = std::make_unique<MemoryPort>(PortCaps{.mac = spec.mac}, buffers, 4096);
  auto routes = Routes::compile({Interface{.port = 0, .mac = spec.mac, .addresses = spec.addresses}}, {});
  CHECK(routes.has_value());
  routes_ = std::move(*routes);
  queue_ = std::make_unique<TxQueue>(*port_, 0, buffers, counters_);
  queues_[0] = queue_.get();
  HostLimits limits;
  limits.announces = false;
  limits.neighbours.capacity = 64;
  host_ = std::make_unique<Host>(routes_, queues_, buffers, counters_, limits);
  egress_ = std::make_unique<Watched>(*host_, ecn_);
  tcp::Config c;
  c.connections = 512;
  c.handshakes = 256;
  c.time_waits = 512;
  c.transmit_records = 8192;
  c.receive_limit = c.out_of_order_limit = spec.receive_limit;
  c.send_limit = 64 * 1024;
  c.time_wait = 1_s;
  c.fin_wait_2 = 5_s;
  c.user_timeout = 300_s;
  c.quick_acks = 16;
  c.handshake_timeout = 60_s;  // its ACK and all data behind it may be lost several times
  c.sack = spec.sack;
  c.timestamps = spec.timestamps;
  c.ecn = spec.ecn;
  c.mss_max = spec.mss;
  c.secret[0] = spec.secret;
  for (const Prefix& prefix : spec.addresses) c.sources[c.source_count++] = {prefix.address, 20000, 29999};
  if (spec.tune) spec.tune(c);
  stack_ = std::make_unique<tcp::Stack>(c, buffers, counters_, start);
  listens_.ports = spec.listens;
  stack_->set_listeners(tcp::ListenerView{&listens_});
}

bool Peer::turn(Nanos now) {
  bool busy = false;
  for (;;) {
    rte_mbuf* frames[32];
    const std::uint16_t n = port_->receive(0, frames, now);
    if (n == 0) break;
    busy = true;
    for (std::uint16_t i = 0; i < n; ++i) {
      Packet packet{frames[i]};
      new (&packet.meta()) Meta{.port = 0};
      if (!parse(packet, true, counters_)) continue;
      if (gone(packet)) continue;
      if (packet.meta().protocol == Protocol::tcp) {
        ecn_.received(packet);
        measure(packet);
        stack_->input(std::move(packet), now);
      } else if (packet.meta().protocol == Protocol::udp) {
        input_udp(packet, now);
      } else if (is_error(packet)) {
        stack_->input_icmp(std::move(packet), now);
      } else {
        host_->input(std::move(packet), now);
      }
    }
  }
  lively_ = busy;
  for (auto events = stack_->take_events(); !events.empty(); events = stack_->take_events())
    for (const tcp::Event& e : events) event(e, now);
  act(now);
  stack_->output(*egress_, now);
  stack_->expire(now);
  host_->take_news();
  host_->tick(now);
  queue_->flush(now);
  audit_.turned(busy);
  return busy;
}

// RFC 9293 3.7.1: what comes is no larger than the MSS that was offered, options counted (RFC 6691).
void Peer::measure(const Packet& packet) {
  const Meta& meta = packet.meta();
  const std::uint32_t size = meta.payload_size + meta.payload_offset - meta.l4_offset - 20u;
  if (size > offered_mss(mss_, meta.l3 == L3::ip4) && too_large_.empty())
    too_large_ = "a segment of " + std::to_string(size) + " bytes came to port " +
                 std::to_string(meta.destination_port) + ", which offered an MSS of " + std::to_string(mss_);
}

void Peer::input_udp(const Packet& packet, Nanos now) {
  const Meta& meta = packet.meta();
  const std::uint8_t* ip = packet.data() + meta.l3_offset;
  const bool is4 = meta.l3 == L3::ip4;
  std::string bytes(meta.payload_size, 0);
  const void* from = rte_pktmbuf_read(packet.get(), meta.payload_offset, meta.payload_size, bytes.data());
  if (from && from != bytes.data()) std::memcpy(bytes.data(), from, bytes.size());
  datagram({is4 ? IpAddress::from_v4_wire(ip + 12) : IpAddress::from_v6_wire(ip + 8), meta.source_port},
           {is4 ? IpAddress::from_v4_wire(ip + 16) : IpAddress::from_v6_wire(ip + 24), meta.destination_port}, bytes,
           now);
}

void Peer::send_datagram(const Endpoint& from, const Endpoint& to, std::string_view bytes, Nanos now) {
  Packet packet = buffers_.make();
  if (!packet) return;
  std::memcpy(rte_pktmbuf_append(packet.get(), static_cast<std::uint16_t>(bytes.size())), bytes.data(), bytes.size());
  prepend_udp(packet, {from.address, to.address}, from.port, to.port);
  NextHop hop;
  host_->send(std::move(packet), hop, now);
}

std::uint32_t Peer::read(tcp::ConnId id, std::string& to) {
  Chain in;
  stack_->receive(id, in);
  const std::uint32_t size = in.size();
  if (size == 0) return 0;
  const std::size_t before = to.size();
  to.resize(before + size);
  in.peek(0, {reinterpret_cast<std::uint8_t*>(to.data()) + before, size});
  return size;
}

void Peer::write(tcp::ConnId id, std::string& from) {
  while (!from.empty()) {
    const auto n = static_cast<std::uint32_t>(std::min<std::size_t>(stack_->send_room(id), from.size()));
    if (n == 0) return;
    Chain out;
    if (!out.append_bytes({reinterpret_cast<const std::uint8_t*>(from.data()), n}, buffers_)) return;
    stack_->send(id, std::move(out));
    from.erase(0, n);
  }
}

void Peer::vanish(tcp::ConnId id) {
  gone_.insert({stack_->local(id).address.bytes, stack_->local(id).port});
  stack_->forget(id);
}

bool Peer::gone(const Packet& packet) const {
  const Meta& meta = packet.meta();
  if (meta.protocol != Protocol::tcp || gone_.empty()) return false;
  const std::uint8_t* ip = packet.data() + meta.l3_offset;
  const IpAddress to = meta.l3 == L3::ip4 ? IpAddress::from_v4_wire(ip + 16) : IpAddress::from_v6_wire(ip + 24);
  return gone_.contains({to.bytes, meta.destination_port});
}

bool Peer::move(tcp::ConnId& id, std::uint64_t user, Nanos now) {
  const std::size_t size = stack_->image_size(id);
  if (size == 0) return false;
  std::vector<std::uint8_t> image(size);
  if (stack_->export_image(id, image, now) == 0) return false;
  stack_->forget(id);
  const auto moved = stack_->import_image(image, user, now);
  CHECK(moved.has_value());
  id = *moved;
  ++images;
  return true;
}

}  // namespace sluice::sim
