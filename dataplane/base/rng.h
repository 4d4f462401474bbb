// rng.h - a small seeded generator (xoshiro256**), for everything that is not a secret. The caller owns it and passes
// it on, so that one seed replays a run. Secrets come from crypto/, never from here.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace sluice {

class Rng {
 public:
  explicit constexpr Rng(std::uint64_t seed) {
    for (auto& word : state_) {  // splitmix64
      seed += 0x9e3779b97f4a7c15;
      std::uint64_t z = seed;
      z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
      z = (z ^ z >> 27) * 0x94d049bb133111eb;
      word = z ^ z >> 31;
    }
  }
  constexpr std::uint64_t next() {
    const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9, t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }
  // Uniform in [0, bound), bound > 0.
  constexpr std::uint32_t below(std::uint32_t bound) {
    return static_cast<std::uint32_t>((next() >> 32) * bound >> 32);
  }
  // True with the given probability in parts per million.
  constexpr bool chance_ppm(std::uint32_t ppm) { return below(1'000'000) < ppm; }

 private:
  std::array<std::uint64_t, 4> state_{};
};

}  // namespace sluice
