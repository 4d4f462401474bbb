// access.h - one request as the access log tells it. The worker fills a record and puts it on a ring; the management
// thread turns ids into names and writes the line. Plain data, no pointers; text longer than its field is cut.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "dataplane/base/address.h"
#include "dataplane/base/units.h"

namespace sluice {

// Why an answer was not simply the upstream's. The letters are Envoy's (%RESPONSE_FLAGS%).
enum class ResponseFlag : std::uint16_t {
  UH = 1 << 0,     // no healthy upstream: the cluster has no endpoint that may be chosen
  UF = 1 << 1,     // upstream connection failed
  UO = 1 << 2,     // upstream overflow: a limit of the cluster was reached
  NR = 1 << 3,     // no route
  URX = 1 << 4,    // the retry limit was reached
  DC = 1 << 5,     // downstream closed the connection
  UT = 1 << 6,     // upstream request timeout
  LR = 1 << 7,     // local reset
  UR = 1 << 8,     // upstream reset
  UC = 1 << 9,     // upstream closed the connection
  DI = 1 << 10,    // delayed by fault injection
  FI = 1 << 11,    // aborted by fault injection
  RL = 1 << 12,    // rate limited
  UAEX = 1 << 13,  // denied by authorization
  DPE = 1 << 14,   // downstream protocol error
  OM = 1 << 15,    // overload: a pool of the node was full
};

inline constexpr std::array<std::string_view, 16> response_flag_names = {
    "UH", "UF", "UO", "NR", "URX", "DC", "UT", "LR", "UR", "UC", "DI", "FI", "RL", "UAEX", "DPE", "OM"};

// Text of at most N bytes.
template <std::size_t N>
class ShortText {
 public:
  void set(std::string_view text) {
    size_ = static_cast<std::uint16_t>(std::min(text.size(), N));
    if (size_) std::memcpy(data_.data(), text.data(), size_);
  }
  // Sets all these texts behind each other.
  template <typename... Texts>
  void join(const Texts&... texts) {
    size_ = 0;
    (append(texts), ...);
  }
  void append(std::string_view text) {
    const std::size_t n = std::min(text.size(), N - size_);
    if (n) std::memcpy(data_.data() + size_, text.data(), n);
    size_ += static_cast<std::uint16_t>(n);
  }
  std::string_view view() const { return {data_.data(), size_}; }
  bool empty() const { return size_ == 0; }

 private:
  std::uint16_t size_ = 0;
  std::array<char, N> data_;
};

struct AccessRecord {
  static constexpr std::uint32_t none = ~std::uint32_t{0};

  Nanos start;          // on the worker's clock; management adds the wall clock's offset
  Nanos duration;       // from the first byte of the head to the last byte of the answer
  Nanos routed = {-1};  // each from `start`, -1 where the request did not come so far
  Nanos upstream_connected = {-1};
  Nanos upstream_first_byte = {-1};
  std::uint64_t generation = 0;      // of the policy that decided
  std::uint64_t bytes_received = 0;  // body bytes
  std::uint64_t bytes_sent = 0;
  Endpoint client, local, upstream;
  std::uint32_t listener = none, route = none, cluster = none, endpoint = none;  // stable ids
  std::uint16_t status = 0;
  std::uint16_t flags = 0;  // ResponseFlag bits
  std::uint16_t worker = 0;
  std::uint16_t attempts = 0;  // upstream connections it was sent on
  bool secure = false;
  bool http10 = false;
  ShortText<16> method;
  ShortText<128> authority;
  ShortText<256> path;
  ShortText<40> request_id;
  ShortText<96> user_agent;

  void flag(ResponseFlag f) { flags |= static_cast<std::uint16_t>(f); }
};

}  // namespace sluice

// Tested in tests/unit/mgmt/access_log_test.cc.
