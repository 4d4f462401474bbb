// token_bucket.h - at most `per_second` events a second, `burst` at once. Time is an argument; nothing is shared.
#pragma once

#include <algorithm>

#include "dataplane/base/units.h"

namespace sluice {

class TokenBucket {
 public:
  constexpr TokenBucket(std::uint32_t per_second, std::uint32_t burst)
      : cost_{1'000'000'000 / std::max<std::int64_t>(per_second, 1)}, depth_(cost_ * burst), credit_(depth_) {}

  constexpr bool take(Nanos now) {
    if (now > last_) {
      credit_ = std::min(depth_, now - last_ > depth_ ? depth_ : credit_ + (now - last_));
      last_ = now;
    }
    if (credit_ < cost_) return false;
    credit_ -= cost_;
    return true;
  }

 private:
  Nanos cost_;  // of one event
  Nanos depth_;
  Nanos credit_;
  Nanos last_{};
};

}  // namespace sluice
