// limits.h - what one peer may make us read before it is refused. All configurable per listener or cluster.
#pragma once

#include <cstdint>

namespace sluice::http {

inline constexpr unsigned max_fields = 100;                      // capacity of a Head
inline constexpr unsigned max_trailer_fields = 16;               // capacity of Trailers
inline constexpr std::uint32_t max_head_bytes = 64 * 1024 - 64;  // what a head buffer can hold; offsets are 16 bits

struct Limits {
  std::uint32_t head_bytes = 60 * 1024;         // start line + fields + empty line; over it is 431
  std::uint32_t request_line_bytes = 8 * 1024;  // with its CRLF; over it is 414 (HAProxy and nginx say 414 as well)
  std::uint16_t fields = max_fields;            // over it is 431
  std::uint32_t trailer_bytes = 8 * 1024;       // trailer section with its empty line; over it is 431
  std::uint16_t trailer_fields = max_trailer_fields;
  std::uint16_t chunk_line_bytes = 256;  // chunk-size, extensions and CRLF; over it is 400
};

}  // namespace sluice::http

// Tested in tests/unit/l7/http/h1_decoder_test.cc.
