// core.h - what the connections of one worker share: pools, counters, limits. Passed to every function of the engine.
#pragma once

#include <algorithm>

#include "dataplane/packet/chain.h"
#include "l4/tcp/config.h"
#include "l4/tcp/delayed_acks.h"
#include "l4/tcp/path_mtus.h"
#include "l4/tcp/transit.h"

namespace sluice::tcp {

// What one buffer of a queue costs, whatever it holds: its data room, headroom, descriptor and Meta.
inline constexpr std::uint32_t buffer_charge = buffer_data_size + buffer_headroom + sizeof(rte_mbuf) + sizeof(Meta);

// At most `rate` a second, in bursts of at most a tenth of that.
class RateLimit {
 public:
  explicit RateLimit(std::uint32_t rate) : rate_(rate) {}
  bool allow(Nanos now) {
    if (rate_ == 0) return false;
    const Nanos step{1'000'000'000 / rate_};
    const Nanos burst = step * std::max<std::int64_t>(rate_ / 10, 1);
    if (next_ < now - burst) next_ = now - burst;
    if (next_ > now) return false;
    next_ += step;
    return true;
  }

 private:
  std::uint32_t rate_;
  Nanos next_{std::numeric_limits<std::int64_t>::min() / 2};
};

// More than wait at once: 1.6 million a second for the 40 ms of each.
inline constexpr std::uint32_t delayed_acks_max = 1 << 16;

struct Core {
  Core(const Config& c, Buffers& b, Counters& n)
      : config(c),
        buffers(b),
        counters(n),
        records(c.transmit_records),
        holes(c.out_of_order_buffers_max),
        transits(c.transits),
        acks(std::min(c.connections, delayed_acks_max)),
        settings(std::make_unique<Settings[]>(c.settings)),
        path_mtus(c.secret, c.path_mtus),
        challenges(c.challenge_acks_per_second),
        resets(c.resets_per_second) {
    std::fill_n(settings.get(), c.settings, c.defaults());
  }

  const Config config;
  Buffers& buffers;
  Counters& counters;
  Records records;
  Holes holes;
  Transits transits;
  Transit resting;  // of all connections at rest: as a new one, never written
  DelayedAcks acks;
  const std::unique_ptr<Settings[]> settings;  // Config::settings sets
  PathMtus path_mtus;
  RateLimit challenges, resets;
  std::uint32_t held = 0;               // buffers in all queues
  std::uint32_t out_of_order_held = 0;  // of these, in reassembly

  // Three quarters full: a connection is promised little from here on, before payload must be dropped.
  bool pressed() const { return held >= config.held_buffers_max / 4 * 3; }
  // The last eighth is for connections that hold few, the fewer the less is left: however many stand still with full
  // queues, the others go on.
  bool tight() const { return held >= config.held_buffers_max - config.held_buffers_max / 8; }
  std::uint32_t few() const {
    const std::uint32_t left = held < config.held_buffers_max ? config.held_buffers_max - held : 0;
    return std::clamp(left / 32, 1u, few_buffers);
  }
  // The last sixteenth: somebody has to go, and nobody is let in.
  bool dire() const { return held >= config.held_buffers_max - config.held_buffers_max / 16; }
  bool admits_connections() const { return !dire(); }
  bool admits(std::uint32_t own) const { return !tight() || (held < config.held_buffers_max && own < few()); }
  static constexpr std::uint32_t few_buffers = 16;
  std::uint32_t receive_limit(const Settings& own) const {
    return pressed() ? std::min(own.receive_limit, few_buffers * buffer_charge) : own.receive_limit;
  }
  // What a connection may have queued: two congestion windows, so that one can be filled while the other is on its way.
  std::uint32_t send_limit(const Settings& own, std::uint32_t cwnd) const {
    const std::uint32_t wanted =
        std::min(own.send_limit, std::max(least_send_limit, 2 * std::min(cwnd, own.send_limit)));
    if (tight()) return std::min(wanted, few() * 1024);
    return pressed() ? std::min(wanted, own.send_limit / 8) : wanted;
  }
  static constexpr std::uint32_t least_send_limit = 64 * 1024;
};

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/input_slow_test.cc, tests/unit/l4/tcp/stack_test.cc.
