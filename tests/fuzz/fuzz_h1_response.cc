// covers: l7/http/h1_decoder.cc l7/http/h1_head.cc l7/http/head_scan.cc
// Any bytes read as responses, and as the request that they answer: no crash, no lost buffer, and the same events for
// any cut of the input.
#include "tests/fuzz/http_split.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return sluice::fuzz::check_splits(sluice::http::Role::client, data, size);
}
