#include "tests/sim/world.h"

#include <rte_mempool.h>

#include <algorithm>
#include <vector>

#include "tests/sim/client.h"
#include "tests/sim/draws.h"
#include "tests/sim/ends.h"
#include "tests/sim/server.h"

namespace sluice::sim {

using namespace literals;

namespace {

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

// The node's pools while allocations fail: nothing is left, or so little that a turn runs out in its middle.
class Pinch {
 public:
  Pinch(Buffers& buffers, unsigned leave) {
    for (rte_mempool* pool : {buffers.data_pool(), buffers.slice_pool()}) {
      std::vector<void*>& taken = taken_[pools_];
      taken.resize(rte_mempool_avail_count(pool));
      taken.resize(taken.size() > leave ? taken.size() - leave : 0);
      if (taken.empty() || rte_mempool_get_bulk(pool, taken.data(), static_cast<unsigned>(taken.size()))) taken.clear();
      of_[pools_++] = pool;
    }
  }
  ~Pinch() {
    for (std::size_t i = 0; i < pools_; ++i)
      if (!taken_[i].empty()) rte_mempool_put_bulk(of_[i], taken_[i].data(), static_cast<unsigned>(taken_[i].size()));
  }
  Pinch(const Pinch&) = delete;
  Pinch& operator=(const Pinch&) = delete;

 private:
  std::vector<void*> taken_[2];
  rte_mempool* of_[2] = {};
  std::size_t pools_ = 0;
};

Rng rng_of(std::uint64_t seed) { return Rng{seed * 7919 + 1}; }

class World {
 public:
  World(std::uint64_t seed, const Shrink& shrink, Shared& shared)
      : shared_(shared),
        shrink_(shrink),
        rng_(rng_of(seed)),
        spec_(make_node_spec(seed, rng_, shrink)),
        plan_(make_plan(rng_)),
        failing_(seed % 5 == 3 && shrink.has(Trouble::failing)),
        mss_(shrink.has(Trouble::small_mss) ? mss_of(seed) : 8'960),
        node_(spec_, shared, start),
        clients_(peer_spec(seed, 0, shrink, {"10.0.0.100/24", "10.0.0.101/24", "10.0.0.102/24", "fd00::100/64"}, {}),
                 shared.peers, start, plan_, shrink, seed + 1, spec_.scarce || failing_),
        servers_(
            peer_spec(seed, 1, shrink,
                      {"10.1.0.11/24", "10.1.0.12/24", "10.1.0.21/24", "10.1.0.31/24", "10.1.0.41/24", "10.1.0.51/24",
                       "10.1.0.52/24", "10.1.0.61/24", "10.1.0.71/24", "10.1.0.72/24", "fd01::21/64"},
                      {8080, 7000}),
            shared.peers, start, plan_, shrink, seed + 2) {
    node_.connect(0, clients_.port());
    node_.connect(1, servers_.port());
  }

  std::string run();
  // Some of it, and then no more: whatever is under way is left as it stands.
  void begin(Nanos until) {
    while (now_ < until && !clients_.all_done()) turn();
  }
  void sum(Sums& out) const;

 private:
  bool turn();
  void manage(bool busy);
  std::string check_asked() const;
  std::string check_agreement();
  std::string check_past();
  std::uint64_t opened() const {
    return node_.counter(Counter::tcp_accepted) + node_.counter(Counter::tcp_connected) +
           clients_.counters().get(Counter::tcp_connected) + servers_.counters().get(Counter::tcp_accepted);
  }

  Shared& shared_;
  const Shrink& shrink_;
  Rng rng_;
  const NodeSpec spec_;
  const Plan plan_;
  const bool failing_;  // allocations, now and then
  const std::uint16_t mss_;
  Node node_;
  Clients clients_;
  Servers servers_;
  Nanos now_ = start;
  Nanos idle_step_ = 20_us, longest_step_ = 50_ms;  // the latter when all is done
  std::uint64_t turns_ = 0, failing_turns_ = 0;
  std::uint64_t agreed_ = 0;  // connections, when check_agreement() looked last
};

void World::manage(bool busy) {
  if (clients_.all_done()) return node_.housekeep();
  const std::uint32_t chance = rng_.below(3000);
  if (shrink_.has(Trouble::swaps)) {
    switch (chance) {
      case 0: return node_.swap_policy();
      case 1: return node_.swap_endpoint();
      case 2: return node_.try_bad_policy();
      default: break;
    }
  }
  if (chance == 3) return node_.housekeep();
  // Rarely while all wait: what timers learn by and by (a black hole) is lost with each image.
  if (rng_.chance_ppm(busy ? 3'000 : 100) && shrink_.has(Trouble::images)) node_.move_something(now_);
}

// One round of everybody, and the step of time behind it: short while something happens, longer and longer while
// nothing does.
bool World::turn() {
  bool busy = clients_.turn(now_);
  if (failing_ && !clients_.all_done() && rng_.chance_ppm(20'000)) {
    const Pinch pinch{shared_.buffers, rng_.below(8)};
    busy |= node_.turn(now_);
    ++failing_turns_;
  } else {
    busy |= node_.turn(now_);
  }
  busy |= servers_.turn(now_);
  ++turns_;
  manage(busy);
  idle_step_ = busy ? 20_us : std::min(idle_step_ * 2, clients_.all_done() ? longest_step_ : 4_ms);
  now_ += idle_step_ + Nanos{rng_.below(5'000)};
  return busy;
}

std::string World::run() {
  Hog hog{shared_.buffers, start + 300_ms, start + 1_s, 40};
  while (!clients_.all_done()) {
    if (spec_.scarce) hog.turn(now_);
    turn();
    for (const std::string& failure : {clients_.failure(), servers_.failure(), clients_.broken(), servers_.broken(),
                                       node_.broken(), node_.shared_connections(now_), check_agreement()})
      if (!failure.empty()) return failure;
    if (now_ - start > patience)
      return "not done after " + std::to_string(patience.millis() / 1000) + " s:" + clients_.unfinished();
  }
  hog.end();
  if (!servers_.has_timestamps() && node_.counter(Counter::tcp_time_wait_reused) > 0)
    return "a tuple in TIME-WAIT was used again without timestamps (RFC 6191)";
  // Idle connections and what lingers end by their deadlines: after 300 s of silence TLS says goodbye, and a peer that
  // is gone does not acknowledge that for 300 s and one retransmission timeout more.
  const Nanos done = now_;
  while (!node_.leftovers().empty()) {
    turn();
    if (now_ - done > 800_s) return "left over 800 s after the last answer:" + node_.leftovers();
  }
  const std::string wrong = check_asked();
  return wrong.empty() ? check_past() : wrong;
}

// Now and then, when some have been opened.
std::string World::check_agreement() {
  constexpr std::uint64_t some = 8;
  if (opened() < agreed_ + some) return {};
  agreed_ = opened();
  const auto node = node_.connections(now_);
  const std::string wrong = difference(node, connections_in(clients_.stack(), now_), mss_);
  return wrong.empty() ? difference(node, connections_in(servers_.stack(), now_), mss_) : wrong;
}

// What came to the node at the beginning comes once more, when no SYN cookie of then is good any more: nothing may
// follow from it.
std::string World::check_past() {
  if (!shrink_.has(Trouble::past)) return {};
  const auto settle = [&] {
    const Nanos from = now_;
    while (!node_.leftovers().empty() && now_ - from < 800_s) turn();
  };
  longest_step_ = 500_ms;
  for (const Nanos until = now_ + 130_s; now_ < until;) turn();
  const std::uint64_t before = opened(), asked = servers_.asked();
  node_.repeat_past();
  for (const Nanos until = now_ + 1_s; now_ < until;) turn();
  settle();
  if (opened() != before) return "old segments have opened a connection";
  if (servers_.asked() != asked) return "old segments have asked a backend";
  for (const std::string& failure : {clients_.failure(), servers_.failure(), clients_.broken(), servers_.broken(),
                                     node_.broken(), node_.leftovers()})
    if (!failure.empty()) return "behind old segments:" + failure;
  return {};
}

// What a backend must answer reached it once, and nothing else did. Where connections are refused for want of room, a
// request may come again.
std::string World::check_asked() const {
  for (const Request* r : plan_.by_id) {
    if (!r || r->backend == "udp") continue;
    const std::uint32_t wanted = r->backend.empty() ? 0 : 1, asked = servers_.asked(r->id);
    if (asked == 0 && clients_.gave_up(r->id)) continue;
    if (asked < wanted || (asked > wanted && (!(spec_.scarce || failing_) || wanted == 0)))
      return "request " + std::to_string(r->id) + " came to a backend " + std::to_string(asked) + " times";
  }
  return {};
}

void World::sum(Sums& out) const {
  for (std::uint32_t i = 0; i < plan_.connections.size(); ++i) {
    if (!shrink_.keeps(i)) continue;
    const ConnectionPlan& c = plan_.connections[i];
    ++out[Sum::connections];
    out[Sum::requests] += c.requests.size();
  }
  out[Sum::bytes] = clients_.bytes + servers_.bytes;
  out[Sum::tls_bytes] = clients_.tls_bytes + servers_.tls_bytes;
  out[Sum::datagrams] = clients_.datagrams();
  const ImpairStats bad = node_.impaired();
  out[Sum::tail_losses] = node_.cables(&Cable::tails_lost);
  out[Sum::losses] = bad.lost + bad.overflowed + node_.cables(&Cable::lost) + out[Sum::tail_losses];
  out[Sum::burst_losses] = bad.burst_lost;
  out[Sum::overflows] = bad.overflowed;
  out[Sum::reordered] = bad.reordered;
  out[Sum::duplicated] = bad.duplicated;
  out[Sum::corrupted] = bad.corrupted;
  out[Sum::marked] = bad.marked;
  out[Sum::forged] = node_.cables(&Cable::forged);
  out[Sum::shrunk] = node_.cables(&Cable::shrunk);
  out[Sum::too_big] = node_.cables(&Cable::too_big);
  out[Sum::too_big_told] = node_.cables(&Cable::too_big_told);
  const auto everywhere = [&](Counter counter) {
    return node_.counter(counter) + clients_.counters().get(counter) + servers_.counters().get(counter);
  };
  out[Sum::rtos] = everywhere(Counter::tcp_retransmission_timeouts);
  out[Sum::reductions] = everywhere(Counter::tcp_ecn_reductions);
  out[Sum::probes] = everywhere(Counter::tcp_window_probes);
  if (!clients_.has_all_options()) out[Sum::plain] += clients_.counters().get(Counter::tcp_connected);
  if (!servers_.has_all_options()) out[Sum::plain] += servers_.counters().get(Counter::tcp_accepted);
  out[Sum::swaps] = node_.swaps;
  out[Sum::handoffs] = node_.counter(Counter::handoff_sent);
  out[Sum::full_pools] = node_.refused_by_pools();
  out[Sum::failing] = failing_turns_;
  out[Sum::tcp_images] = node_.tcp_images + clients_.images + servers_.images;
  out[Sum::tls_images] = node_.tls_images;
  out[Sum::key_updates] = node_.counter(Counter::tls_key_updates_sent);
  out[Sum::vanished] = clients_.vanished;
  out[Sum::cookies] = everywhere(Counter::tcp_syn_cookies_accepted);
  out[Sum::lies] = node_.cables(&Cable::lies);
  out[Sum::reneged] = node_.cables(&Cable::reneged);
  out[Sum::cuts] = node_.counter(Counter::tcp_pressure_cut_idle) + node_.counter(Counter::tcp_pressure_cut_greedy);
  out[Sum::reused] = node_.counter(Counter::tcp_time_wait_reused);
  out[Sum::repeated] = node_.cables(&Cable::repeated);
  out[Sum::turns] = turns_;
  out.virtual_time = now_ - start;
}

// The plan that a seed makes, as World makes it.
Plan plan_of(std::uint64_t seed) {
  Rng rng = rng_of(seed);
  make_node_spec(seed, rng, {});
  return make_plan(rng);
}

}  // namespace

std::uint32_t connections_of(std::uint64_t seed) {
  return static_cast<std::uint32_t>(plan_of(seed).connections.size());
}

std::string connection_text(std::uint64_t seed, std::uint32_t connection) {
  const Plan plan = plan_of(seed);
  const ConnectionPlan& c = plan.connections[connection];
  constexpr const char* kinds[] = {"http", "https", "l4", "udp"};
  std::string text = std::string{kinds[static_cast<std::size_t>(c.kind)]} + (c.ip6 ? " over IPv6" : "") + " from " +
                     std::to_string(c.start.micros()) + " us";
  if (c.vanishes != Nanos::never()) text += ", vanishes after " + std::to_string(c.vanishes.millis()) + " ms";
  if (c.stalls_at) text += ", stalls at " + std::to_string(c.stalls_at);
  if (c.read_rate) text += ", reads " + std::to_string(c.read_rate) + " bytes a ms";
  for (const Request& r : c.requests)
    text += "; " + std::to_string(r.id) + " " + r.method + " " + r.path + " " + std::to_string(r.body) + " up, " +
            std::to_string(r.response) + " down";
  return text;
}

Outcome run_seed(std::uint64_t seed, const Shrink& shrink, Shared& shared) {
  seed_openssl(seed);
  Outcome out;
  const unsigned data = shared.buffers.data_free(), slices = shared.buffers.slices_free();
  const unsigned peer_data = shared.peers.data_free(), peer_slices = shared.peers.slices_free();
  // A node that ends in the middle of everything gives its memory back as well.
  if (seed % 8 == 0 && shrink.has(Trouble::teardown))
    World{seed, shrink, shared}.begin(start + 100_ms * (1 + seed / 8 % 16));
  {
    World world{seed, shrink, shared};
    out.failure = world.run();
    world.sum(out.sums);
  }
  if (!out.failure.empty()) return out;
  if (shared.buffers.data_free() != data || shared.buffers.slices_free() != slices)
    out.failure = "the node kept " + std::to_string(static_cast<int>(data - shared.buffers.data_free())) +
                  " packet buffers and " + std::to_string(static_cast<int>(slices - shared.buffers.slices_free())) +
                  " descriptors";
  else if (shared.peers.data_free() != peer_data || shared.peers.slices_free() != peer_slices)
    out.failure = "the peers kept packet buffers";
  else if (!shrink.any() && (out.sums[Sum::connections] < least_connections || out.sums[Sum::bytes] < least_bytes ||
                             out.sums[Sum::tls_bytes] < least_bytes / 2))
    out.failure = "the seed carried too little";
  return out;
}

}  // namespace sluice::sim
