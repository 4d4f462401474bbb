// plan.h - what a seed's clients will ask and what the right answers are, decided before anything runs and without
// asking the code under test. Bytes of a body are a function of its id and the place, so either end checks every byte
// that comes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/rng.h"
#include "dataplane/base/units.h"

namespace sluice::sim {

// What every seed carries at least; half of the bytes through TLS.
inline constexpr std::uint32_t least_connections = 50;
inline constexpr std::uint64_t least_bytes = 1'000'000;
// So long an open takes at most: seven SYNs. Of four or five, links as bad as these lose all in one of 10,000 seeds.
inline constexpr Nanos connect_patience{130'000'000'000};

// Byte `at` of the body `id`.
inline std::uint8_t content_byte(std::uint64_t id, std::uint64_t at) {
  const std::uint64_t x = (at / 8 + (id << 20)) * 0x9e3779b97f4a7c15;
  return static_cast<std::uint8_t>((x ^ x >> 29) >> (8 * (at % 8)));
}
std::string content(std::uint64_t id, std::uint64_t at, std::size_t size);
// Whether `bytes` are those of body `id` from `at` on.
bool is_content(std::uint64_t id, std::uint64_t at, std::string_view bytes);
inline std::uint64_t request_body(std::uint32_t id) { return 2 * std::uint64_t{id}; }
inline std::uint64_t response_body(std::uint32_t id) { return 2 * std::uint64_t{id} + 1; }

enum class Framing : std::uint8_t { length, chunked, close };

struct Request {
  std::uint32_t id = 0;
  std::string method, path, host, fields;
  std::uint32_t body = 0;
  bool chunked = false;  // of the request
  // The right answer.
  std::uint16_t status = 200;
  std::string
      backend;  // cluster that must answer; empty: the node itself; "swap": the one that the policy of the hour names
  std::uint32_t response = 0;  // size of its body
  Framing framing = Framing::length;
  Nanos delay{};     // the backend thinks so long
  bool cut = false;  // the backend dies in the middle of the body
  bool tls = false;  // the client asks through TLS
};

struct ConnectionPlan {
  enum class Kind : std::uint8_t { http, https, l4, udp };
  Kind kind = Kind::http;
  bool ip6 = false;
  Nanos start{};
  Nanos vanishes = Nanos::never();  // so long after its start the client is gone, without a word
  std::uint32_t stalls_at = 0;      // bytes after which it reads nothing for a while; 0: it does not
  std::uint32_t read_rate = 0;      // bytes a millisecond that the client reads; 0: all at once
  std::vector<Request> requests;    // of L4: one, whose bodies are the two streams; of UDP: one, `body` datagrams
};

struct Plan {
  std::vector<ConnectionPlan> connections;
  std::vector<const Request*> by_id;
  // Bytes of bodies that come to their end whatever happens: not those of a client that vanishes, nor of an answer
  // whose backend dies in its middle. The plan grows until they are enough.
  std::uint64_t certain_bytes = 0, certain_tls_bytes = 0;
};

Plan make_plan(Rng& rng);

}  // namespace sluice::sim
