// http_split.h - the differential check of the HTTP/1.1 fuzzers: however the input is cut, the transcript is the same,
// and all buffers come back. The first byte seeds the cuts. For responses, what stands before the first NUL is the
// request that they answer: it is read as the other half of the exchange reads it, and its method counts.
#pragma once

#include "dataplane/base/rng.h"
#include "tests/support/eal_main.h"
#include "tests/support/http_transcript.h"

namespace sluice::fuzz {

struct HttpMemory {
  Buffers buffers{"fuzz", 4096, 4096, 0, -1};
  http::HeadBuffers heads{4, 4};
};

inline constexpr http::Limits http_limits{.head_bytes = 900,
                                          .request_line_bytes = 200,
                                          .fields = 12,
                                          .trailer_bytes = 200,
                                          .trailer_fields = 4,
                                          .chunk_line_bytes = 40};

// Reads an input whole, byte by byte and in two random cuts; the transcript that they all give.
inline std::string read_cut(http::Role role, std::string_view input, std::uint8_t seed, http::Method answers,
                            HttpMemory& memory) {
  std::string first;
  for (int way = 0; way < 4; ++way) {
    Rng rng{static_cast<std::uint64_t>(seed) * 4 + static_cast<unsigned>(way)};
    test::Transcript transcript{role, http_limits, memory.buffers, memory.heads};
    if (seed >= 0xf0) transcript.body_room(100);  // somebody who takes bodies slowly
    transcript.expect_response_to(answers);
    for (std::string_view rest = input; !rest.empty();) {
      const std::size_t n = std::min<std::size_t>(rest.size(), way == 0   ? rest.size()
                                                               : way == 1 ? 1
                                                                          : 1 + rng.below(way == 2 ? 60 : 6));
      transcript.read(rest.substr(0, n));
      rest.remove_prefix(n);
    }
    transcript.finish();
    if (way == 0) first = transcript.text();
    CHECK(transcript.text() == first);
  }
  return first;
}

inline int check_splits(http::Role role, const std::uint8_t* data, std::size_t size) {
  static const bool started = test::start_eal("fuzz");
  CHECK(started);
  static HttpMemory memory;
  if (size < 2 || size > 3000) return 0;
  std::string_view input{reinterpret_cast<const char*>(data + 1), size - 1};
  auto answers = data[0] % 8 == 0 ? http::Method::head : data[0] % 8 == 1 ? http::Method::connect : http::Method::get;
  const std::size_t request_ends = input.find('\0');
  if (role == http::Role::client && request_ends != std::string_view::npos) {
    const std::string asked =
        read_cut(http::Role::server, input.substr(0, request_ends), data[0], http::Method::get, memory);
    answers = http::method_of(std::string_view{asked}.substr(0, asked.find(' ')));
    input.remove_prefix(request_ends + 1);
  }
  read_cut(role, input, data[0], answers, memory);
  CHECK(memory.buffers.data_free() == 4096 && memory.buffers.slices_free() == 4096);
  CHECK(memory.heads.small_free() == 4 && memory.heads.large_free() == 4);
  return 0;
}

}  // namespace sluice::fuzz
