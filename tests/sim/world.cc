#include "tests/sim/world.h"

#include <algorithm>
#include <vector>

#include "tests/sim/client.h"
#include "tests/sim/server.h"

namespace sluice::sim {

using namespace literals;

void Outcome::add(const Outcome& o) {
  for (const auto field : {&Outcome::connections, &Outcome::proxied,     &Outcome::bytes,      &Outcome::proxied_bytes,
                           &Outcome::requests,    &Outcome::losses,      &Outcome::reordered,  &Outcome::duplicated,
                           &Outcome::corrupted,   &Outcome::forged,      &Outcome::rtos,       &Outcome::probes,
                           &Outcome::swaps,       &Outcome::handoffs,    &Outcome::full_pools, &Outcome::tcp_images,
                           &Outcome::tls_images,  &Outcome::key_updates, &Outcome::vanished,   &Outcome::turns})
    this->*field += o.*field;
  virtual_time += o.virtual_time;
}

namespace {

constexpr Nanos start{1'000'000'000};
constexpr Nanos patience = 300_s;  // of virtual time, for everything

Impairment make_impairment(Rng& rng) {
  Impairment i;
  i.loss_ppm = rng.below(20'000);
  i.reorder_ppm = rng.below(30'000);
  i.reorder_delay = 1_us * (100 + rng.below(3'000));
  i.duplicate_ppm = rng.below(10'000);
  i.corrupt_ppm = rng.below(3'000);
  i.delay = 1_us * rng.below(3'000);
  if (rng.below(3) == 0) i.jitter = 1_us * rng.below(500);
  if (rng.below(4) == 0) i.rate_bps = 20'000'000 + rng.below(80'000'000);
  i.queue_frames = rng.below(4) == 0 ? 60 : 1000;
  return i;
}

NodeSpec make_node_spec(std::uint64_t seed, Rng& rng) {
  NodeSpec spec;
  spec.seed = seed;
  spec.workers = static_cast<std::uint16_t>(1 + seed % 2);
  spec.scarce = seed % 4 == 2 || seed % 8 == 3;
  spec.offloads = rng.below(2);
  for (PortId port = 0; port < Node::ports; ++port) {
    spec.impair[port] = {make_impairment(rng), make_impairment(rng), seed * 4 + port};
    spec.cable[port].ack_loss_ppm = seed % 3 == 1 ? 150'000 : 0;
    spec.cable[port].forge_ppm = rng.below(2) ? 5'000 : 0;
    if (rng.below(3) == 0) {
      spec.cable[port].down_from = start + 1_ms * rng.below(2'000);
      spec.cable[port].down_until = spec.cable[port].down_from + 1_ms * (10 + rng.below(700));
    }
  }
  return spec;
}

PeerSpec peer_spec(std::uint64_t seed, PortId port, std::initializer_list<const char*> addresses,
                   std::vector<std::uint16_t> listens) {
  PeerSpec spec{.listens = std::move(listens),
                .mac = {{2, 0, 0, 0, 1, static_cast<std::uint8_t>(port + 1)}},
                .secret = static_cast<std::uint8_t>(port + 1),
                .receive_limit = seed % 3 == 1 ? 12'000u : 65'536u};
  for (const char* address : addresses) spec.addresses.push_back(*parse_prefix(address));
  return spec;
}

// Takes packet buffers away from the node for a while.
class Hog {
 public:
  Hog(Buffers& buffers, Nanos from, Nanos until, unsigned leave)
      : buffers_(buffers), from_(from), until_(until), leave_(leave) {}
  void turn(Nanos now) {
    if (now >= until_) taken_.clear();
    else if (now >= from_)
      while (buffers_.data_free() > leave_) {
        Packet one = buffers_.make();
        if (!one) break;
        taken_.push_back(std::move(one));
      }
  }
  void end() { taken_.clear(); }

 private:
  Buffers& buffers_;
  const Nanos from_, until_;
  const unsigned leave_;
  std::vector<Packet> taken_;
};

class World {
 public:
  World(std::uint64_t seed, Shared& shared)
      : shared_(shared),
        rng_(seed * 7919 + 1),
        spec_(make_node_spec(seed, rng_)),
        plan_(make_plan(rng_)),
        node_(spec_, shared, start),
        clients_(peer_spec(seed, 0, {"10.0.0.100/24", "10.0.0.101/24", "10.0.0.102/24", "fd00::100/64"}, {}),
                 shared.peers, start, plan_, seed + 1, spec_.scarce),
        servers_(peer_spec(seed, 1,
                           {"10.1.0.11/24", "10.1.0.12/24", "10.1.0.21/24", "10.1.0.31/24", "10.1.0.41/24",
                            "10.1.0.51/24", "10.1.0.52/24", "10.1.0.61/24", "fd01::21/64"},
                           {8080, 7000}),
                 shared.peers, start, plan_, seed + 2) {
    node_.connect(0, clients_.port());
    node_.connect(1, servers_.port());
  }

  std::string run();
  // Some of it, and then no more: whatever is under way is left as it stands.
  void begin(Nanos until) {
    while (now_ < until && !clients_.all_done()) turn();
  }
  void sum(Outcome& out) const;

 private:
  bool turn();
  void manage();
  std::string check_asked() const;

  Shared& shared_;
  Rng rng_;
  const NodeSpec spec_;
  const Plan plan_;
  Node node_;
  Clients clients_;
  Servers servers_;
  Nanos now_ = start;
  Nanos idle_step_ = 20_us;
  std::uint64_t turns_ = 0;
};

void World::manage() {
  if (clients_.all_done()) return node_.housekeep();
  switch (rng_.below(3000)) {
    case 0: return node_.swap_policy();
    case 1: return node_.swap_endpoint();
    case 2: return node_.try_bad_policy();
    case 3: return node_.housekeep();
    default: break;
  }
  if (rng_.chance_ppm(3'000)) node_.move_something(now_);
}

// One round of everybody, and the step of time behind it: short while something happens, longer and longer while
// nothing does.
bool World::turn() {
  bool busy = clients_.turn(now_);
  busy |= node_.turn(now_);
  busy |= servers_.turn(now_);
  ++turns_;
  manage();
  idle_step_ = busy ? 20_us : std::min(idle_step_ * 2, 4_ms);
  now_ += idle_step_ + Nanos{rng_.below(5'000)};
  return busy;
}

std::string World::run() {
  Hog hog{shared_.buffers, start + 300_ms, start + 1_s, 40};
  while (!clients_.all_done()) {
    if (spec_.scarce) hog.turn(now_);
    turn();
    for (const std::string& failure : {clients_.failure(), servers_.failure(), node_.broken(),
                                       turns_ % 128 ? std::string{} : node_.shared_connections(now_)})
      if (!failure.empty()) return failure;
    if (now_ - start > patience)
      return "not done after " + std::to_string(patience.millis() / 1000) + " s:" + clients_.unfinished();
  }
  hog.end();
  // Idle connections and what lingers end by their deadlines.
  const Nanos done = now_;
  while (!node_.leftovers().empty()) {
    turn();
    if (now_ - done > 180_s) return "left over 180 s after the last answer:" + node_.leftovers();
  }
  return check_asked();
}

// What a backend must answer reached it once, and nothing else did. Where connections are refused for want of room, a
// request may come again.
std::string World::check_asked() const {
  for (const Request* r : plan_.by_id) {
    if (!r) continue;
    const std::uint32_t wanted = r->backend.empty() ? 0 : 1, asked = servers_.asked(r->id);
    if (asked == 0 && clients_.gave_up(r->id)) continue;
    if (asked < wanted || (asked > wanted && (!spec_.scarce || wanted == 0)))
      return "request " + std::to_string(r->id) + " came to a backend " + std::to_string(asked) + " times";
  }
  return {};
}

void World::sum(Outcome& out) const {
  for (const ConnectionPlan& c : plan_.connections) {
    ++out.connections;
    out.proxied += c.kind != ConnectionPlan::Kind::l4;
    out.requests += c.requests.size();
    if (c.kind != ConnectionPlan::Kind::https) continue;
    for (const Request& r : c.requests) out.proxied_bytes += r.body + r.response;
  }
  out.bytes = clients_.bytes + servers_.bytes;
  const ImpairStats bad = node_.impaired();
  out.losses = bad.lost + bad.overflowed + node_.lost();
  out.reordered = bad.reordered;
  out.duplicated = bad.duplicated;
  out.corrupted = bad.corrupted;
  out.forged = node_.forged();
  for (const Counter counter : {Counter::tcp_retransmission_timeouts, Counter::tcp_window_probes}) {
    auto& sum = counter == Counter::tcp_window_probes ? out.probes : out.rtos;
    sum = node_.counter(counter) + clients_.counters().get(counter) + servers_.counters().get(counter);
  }
  out.swaps = node_.swaps;
  out.handoffs = node_.counter(Counter::handoff_sent);
  out.full_pools = node_.refused_by_pools();
  out.tcp_images = node_.tcp_images + clients_.images + servers_.images;
  out.tls_images = node_.tls_images;
  out.key_updates = node_.counter(Counter::tls_key_updates_sent);
  out.vanished = clients_.vanished;
  out.turns = turns_;
  out.virtual_time = now_ - start;
}

}  // namespace

Outcome run_seed(std::uint64_t seed, Shared& shared) {
  seed_openssl(seed);
  Outcome out;
  const unsigned data = shared.buffers.data_free(), slices = shared.buffers.slices_free();
  const unsigned peer_data = shared.peers.data_free(), peer_slices = shared.peers.slices_free();
  // A node that ends in the middle of everything gives its memory back as well.
  if (seed % 8 == 0) World{seed, shared}.begin(start + 100_ms * (1 + seed / 8 % 16));
  {
    World world{seed, shared};
    out.failure = world.run();
    world.sum(out);
  }
  if (!out.failure.empty()) return out;
  if (shared.buffers.data_free() != data || shared.buffers.slices_free() != slices)
    out.failure = "the node kept " + std::to_string(static_cast<int>(data - shared.buffers.data_free())) +
                  " packet buffers and " + std::to_string(static_cast<int>(slices - shared.buffers.slices_free())) +
                  " descriptors";
  else if (shared.peers.data_free() != peer_data || shared.peers.slices_free() != peer_slices)
    out.failure = "the peers kept packet buffers";
  else if (out.connections < 50 || out.bytes < 1'000'000) out.failure = "the seed carried too little";
  return out;
}

}  // namespace sluice::sim
