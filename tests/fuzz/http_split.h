// http_split.h - the differential check of the HTTP/1.1 fuzzers: however the input is cut, the transcript is the same,
// and all buffers come back. The first byte seeds the cuts.
#pragma once

#include "dataplane/base/rng.h"
#include "tests/support/eal_main.h"
#include "tests/support/http_transcript.h"

namespace sluice::fuzz {

inline int check_splits(http::Role role, const std::uint8_t* data, std::size_t size) {
  static const bool started = test::start_eal("fuzz");
  CHECK(started);
  static Buffers buffers{"fuzz", 4096, 4096, 0, -1};
  static http::HeadBuffers heads{4, 4};
  static const http::Limits limits{.head_bytes = 900,
                                   .request_line_bytes = 200,
                                   .fields = 12,
                                   .trailer_bytes = 200,
                                   .trailer_fields = 4,
                                   .chunk_line_bytes = 40};
  if (size < 2 || size > 3000) return 0;
  const std::string_view input{reinterpret_cast<const char*>(data + 1), size - 1};
  const auto answers = data[0] % 8 == 0   ? http::Method::head
                       : data[0] % 8 == 1 ? http::Method::connect
                                          : http::Method::get;
  std::string first;
  for (int way = 0; way < 4; ++way) {
    Rng rng{static_cast<std::uint64_t>(data[0]) * 4 + static_cast<unsigned>(way)};
    test::Transcript transcript{role, limits, buffers, heads};
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
  CHECK(buffers.data_free() == 4096 && buffers.slices_free() == 4096 && heads.small_free() == 4 &&
        heads.large_free() == 4);
  return 0;
}

}  // namespace sluice::fuzz
