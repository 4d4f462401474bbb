// outcome.h - what a seed, or a run of them, went through: how it ended, and a sum for each kind of event. Plain data
// but for the failure's text, so that it crosses a pipe.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "dataplane/base/units.h"

namespace sluice::sim {

// name, text of the closing line, whether a run that is for all kinds of trouble must have seen it
#define SLUICE_SIM_SUMS(X)                                                                                             \
  X(connections, "connections", true)                                                                                  \
  X(requests, "requests", true)                                                                                        \
  X(bytes, "bytes", true)                                                                                              \
  X(tls_bytes, "bytes through TLS", true)                                                                              \
  X(datagrams, "datagrams", true)                                                                                      \
  X(losses, "losses", true)                                                                                            \
  X(burst_losses, "of them in bursts", true)                                                                           \
  X(tail_losses, "of them tails", true)                                                                                \
  X(overflows, "of them by full queues", true)                                                                         \
  X(reordered, "reorderings", true)                                                                                    \
  X(duplicated, "duplicates", true)                                                                                    \
  X(corrupted, "corruptions", true)                                                                                    \
  X(marked, "ECN marks", true)                                                                                         \
  X(reductions, "windows reduced for them", true)                                                                      \
  X(forged, "forged ACKs and RSTs", true)                                                                              \
  X(shrunk, "shrunken windows", true)                                                                                  \
  X(too_big, "frames over the path's MTU", true)                                                                       \
  X(too_big_told, "of them told by ICMP", true)                                                                        \
  X(plain, "connections without SACK or timestamps", true)                                                             \
  X(rtos, "RTOs", true)                                                                                                \
  X(probes, "window probes", true)                                                                                     \
  X(swaps, "policy swaps", true)                                                                                       \
  X(handoffs, "handoffs", true)                                                                                        \
  X(full_pools, "full pools", true)                                                                                    \
  X(failing, "turns with failing allocations", true)                                                                   \
  X(tcp_images, "TCP images", true)                                                                                    \
  X(tls_images, "TLS images", true)                                                                                    \
  X(key_updates, "key updates", true)                                                                                  \
  X(cookies, "connections opened by SYN cookies", true)                                                                \
  X(lies, "forged ICMP errors", true)                                                                                  \
  X(reneged, "SACKs that claim too much", true)                                                                        \
  X(cuts, "connections cut because buffers were short", true)                                                          \
  X(reused, "TIME-WAIT tuples used again", true)                                                                       \
  X(repeated, "frames of the past", true)                                                                              \
  X(vanished, "hosts that vanished", true)                                                                             \
  X(turns, "turns", true)

enum class Sum : std::uint8_t {
#define X(name, text, wanted) name,
  SLUICE_SIM_SUMS(X)
#undef X
      count_
};
inline constexpr std::size_t sum_count = static_cast<std::size_t>(Sum::count_);

struct SumName {
  const char* text;
  bool wanted;
};
inline constexpr std::array<SumName, sum_count> sum_names{{
#define X(name, text, wanted) {text, wanted},
    SLUICE_SIM_SUMS(X)
#undef X
}};

struct Sums {
  std::array<std::uint64_t, sum_count> counts{};
  Nanos virtual_time{};

  std::uint64_t& operator[](Sum sum) { return counts[static_cast<std::size_t>(sum)]; }
  std::uint64_t operator[](Sum sum) const { return counts[static_cast<std::size_t>(sum)]; }
  void add(const Sums& other) {
    for (std::size_t i = 0; i < sum_count; ++i) counts[i] += other.counts[i];
    virtual_time += other.virtual_time;
  }
  // The first kind of event that should have happened and did not; nullptr: all did.
  const char* missing() const {
    for (std::size_t i = 0; i < sum_count; ++i)
      if (sum_names[i].wanted && counts[i] == 0) return sum_names[i].text;
    return nullptr;
  }
};

struct Outcome {
  std::string failure;  // empty: all is well
  Sums sums;
};

}  // namespace sluice::sim
