// covers: mgmt/frame_reader.h
// fuzz_requests.cc - a client's stream as the management socket sees it: any cuts give the same frames, nothing is held
// that did not arrive, and a frame that verifies as a Request can be read through without a byte outside it. The first
// two bytes are the seed of the cuts.
#include <cstdlib>

#include "mgmt/decode.h"
#include "mgmt/frame_reader.h"
#include "mgmt/schema/control_generated.h"

namespace sluice::mgmt {
namespace {

constexpr std::size_t frame_max = 64 << 10;
using Frames = std::vector<std::vector<std::uint8_t>>;

// Frames of the stream, cut into pieces of at most `piece` bytes; ends where too much is announced.
Frames frames_of(ByteView stream, std::size_t piece) {
  Frames out;
  FrameReader reader{frame_max};
  std::size_t arrived = 0;
  while (!stream.empty() && reader.state() != FrameReader::State::too_large) {
    const std::size_t size = std::min(piece, stream.size());
    const std::size_t used = reader.feed(stream.first(size));
    CHECK(used <= size && used > 0);
    arrived += used;
    CHECK(reader.held() <= 2 * arrived + 8);
    stream = stream.subspan(used);
    if (reader.state() == FrameReader::State::complete) {
      out.push_back(reader.take());
      arrived = 0;
    }
  }
  return out;
}

void read_through(const std::vector<std::uint8_t>& frame) {
  flatbuffers::Verifier verifier{frame.data(), frame.size(), 16,
                                 static_cast<flatbuffers::uoffset_t>(frame.size() / 8 + 1)};
  if (!fb::VerifySizePrefixedRequestBuffer(verifier)) return;
  const fb::Request& request = *fb::GetSizePrefixedRequest(frame.data());
  constexpr DecodeLimits limits{.bytes = frame_max, .tables = 10'000, .decoded_bytes = 1 << 20};
  if (const auto* apply = request.command_as_Apply(); apply && apply->policy())
    (void)decode_policy({apply->policy()->data(), apply->policy()->size()}, limits);
  if (const auto* delta = request.command_as_EndpointDelta()) (void)decode_delta(*delta, limits);
}

void check(ByteView bytes) {
  if (bytes.size() < 2) return;
  const std::size_t piece = 1 + (bytes[0] | bytes[1] << 8) % 300;
  const ByteView stream = bytes.subspan(2);
  const Frames whole = frames_of(stream, ~std::size_t{0});
  CHECK(frames_of(stream, piece) == whole);
  for (const auto& frame : whole) read_through(frame);
}

}  // namespace
}  // namespace sluice::mgmt

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sluice::mgmt::check({data, size});
  return 0;
}
