// maglev.h - Maglev consistent hashing (Eisenbud et al., NSDI 2016, section 3.4), weighted.
// A table of M slots (a prime), each naming a backend; a flow's hash picks the slot. Backends of equal weight differ by
// at most one slot; when one goes, the slots of the others hardly move. A backend's order of preference comes from its
// address and port, so every worker and every node of a fleet builds the same table whatever the order of the input.
// Built by management, immutable afterwards, read by any thread.
#pragma once

#include <span>
#include <vector>

#include "l4/backend.h"

namespace sluice {

inline constexpr std::uint32_t maglev_default_size = 65537;
inline constexpr std::uint32_t maglev_largest_size = 16'777'213;
inline constexpr std::size_t maglev_backends_max = 65535;

// Whether a table of this size can be built: a prime of at least 3 and at most maglev_largest_size.
bool maglev_size_is_good(std::uint32_t size);

class Maglev {
 public:
  static constexpr std::uint16_t none = 0xffff;

  Maglev() = default;
  // Places every backend with a weight above 0. `size` must be good (see above) and no less than their number.
  Maglev(std::span<const Backend> backends, std::uint32_t size = maglev_default_size);

  // Index of the chosen backend, or none when no backend takes new flows.
  std::uint16_t choose(std::uint64_t hash) const {
    if (slots_.empty()) return none;
    return slots_[static_cast<std::size_t>(static_cast<unsigned __int128>(hash) * slots_.size() >> 64)];
  }
  const std::uint16_t* slot_address(std::uint64_t hash) const {  // to prefetch
    return slots_.data() + static_cast<std::size_t>(static_cast<unsigned __int128>(hash) * slots_.size() >> 64);
  }
  std::span<const std::uint16_t> slots() const { return slots_; }

 private:
  std::vector<std::uint16_t> slots_;
};

}  // namespace sluice
