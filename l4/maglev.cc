#include "l4/maglev.h"

#include <algorithm>
#include <cstring>
#include <tuple>

#include "dataplane/base/check.h"

namespace sluice {

namespace {

// Mixes a backend's address and port into 64 bits (splitmix64's finaliser over each word). Fixed for ever: nodes of a
// fleet must agree.
std::uint64_t identity(const Endpoint& at, std::uint64_t seed) {
  std::uint64_t words[3] = {0, 0, at.port};
  std::memcpy(words, at.address.bytes.data(), 16);
  std::uint64_t z = seed;
  for (const std::uint64_t word : words) {
    z = (z ^ word) + 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    z ^= z >> 31;
  }
  return z;
}

// A backend's walk through the slots: all of them, in an order of its own. The paper's walk (offset + j * skip) leaves
// two backends with near or related skips at each other's heels, and a removal then moves up to 1.3 % of the others'
// slots. Steps of that walk through the modular inverse, x -> factor / x + shift, are as cheap and keep no such
// company.
struct Candidate {
  std::uint64_t order;  // by which backends take turns
  std::uint32_t step, skip, factor, shift;
  std::uint32_t weight;
  std::uint64_t credit = 0;
  std::uint16_t backend;

  std::uint32_t next(std::span<const std::uint32_t> inverses) {
    const auto size = static_cast<std::uint32_t>(inverses.size());
    step = step + skip < size ? step + skip : step + skip - size;
    return static_cast<std::uint32_t>((std::uint64_t{factor} * inverses[step] + shift) % size);
  }
};

// 1/x modulo a prime for every x, 0 for 0.
std::vector<std::uint32_t> inverses_modulo(std::uint32_t prime) {
  std::vector<std::uint32_t> out(prime);
  out[1] = 1;
  for (std::uint32_t x = 2; x < prime; ++x)
    out[x] = static_cast<std::uint32_t>(std::uint64_t{prime - prime / x} * out[prime % x] % prime);
  return out;
}

}  // namespace

bool maglev_size_is_good(std::uint32_t size) {
  if (size < 3 || size > maglev_largest_size || size % 2 == 0) return false;
  for (std::uint32_t divisor = 3; divisor * divisor <= size; divisor += 2)
    if (size % divisor == 0) return false;
  return true;
}

Maglev::Maglev(std::span<const Backend> backends, std::uint32_t size) {
  CHECK(maglev_size_is_good(size) && backends.size() <= maglev_backends_max && backends.size() <= size);
  std::vector<Candidate> candidates;
  std::uint32_t largest = 0;
  for (std::size_t i = 0; i < backends.size(); ++i) {
    if (backends[i].weight == 0) continue;
    largest = std::max(largest, backends[i].weight);
    candidates.push_back({.order = identity(backends[i].at, 3),
                          .step = static_cast<std::uint32_t>(identity(backends[i].at, 1) % size),
                          .skip = static_cast<std::uint32_t>(identity(backends[i].at, 2) % (size - 1) + 1),
                          .factor = static_cast<std::uint32_t>(identity(backends[i].at, 4) % (size - 1) + 1),
                          .shift = static_cast<std::uint32_t>(identity(backends[i].at, 5) % size),
                          .weight = backends[i].weight,
                          .backend = static_cast<std::uint16_t>(i)});
  }
  if (candidates.empty()) return;
  std::ranges::sort(candidates, {}, [](const Candidate& c) { return std::tuple{c.order, c.step, c.shift}; });
  const std::vector<std::uint32_t> inverses = inverses_modulo(size);

  // Rounds: the heaviest backend takes a slot in each, the others as their weight adds up to the heaviest's.
  slots_.assign(size, none);
  for (std::uint32_t filled = 0; filled < size;) {
    for (Candidate& c : candidates) {
      c.credit += c.weight;
      if (c.credit < largest) continue;
      c.credit -= largest;
      std::uint32_t slot = c.next(inverses);
      while (slots_[slot] != none) slot = c.next(inverses);
      slots_[slot] = c.backend;
      if (++filled == size) break;
    }
  }
}

}  // namespace sluice
