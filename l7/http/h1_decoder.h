// h1_decoder.h - reads HTTP/1.1 and 1.0 messages from a stream of bytes. RFC 9112.
// Strict: what RFC 9112 lets a recipient reject is rejected (obs-fold, bare CR or LF, space before the colon, several
// or differing Content-Length, Transfer-Encoding beside Content-Length, codings other than chunked, control characters,
// several Host, a Host against the absolute target). One empty line before a request is skipped (2.2). Chunk extensions
// are read under a bound and dropped.
// A head that lies whole in the first segment is parsed where it is; else it is gathered once it is complete. Bodies
// are moved, never copied. Reading stops at the end of each message, so that pipelined requests wait in the Chain.
// Plain data, one per connection; belongs to the connection's worker.
#pragma once

#include "l7/http/codec.h"
#include "l7/http/message.h"

namespace sluice::http {

// Which side of the connection we are.
enum class Role : std::uint8_t { server, client };

// How much of a chunk-size line can be looked at, whatever the limits say.
inline constexpr std::uint32_t max_chunk_line = 1024;

// How far the search for a head's end has come. A value that survives between segments.
struct HeadScan {
  std::uint32_t done = 0;        // bytes seen
  std::uint32_t line_start = 0;  // offset of the line that `done` is in
  std::uint16_t lines = 0;       // complete lines, the start line among them
  bool after_cr = false;         // the last byte seen was CR
};

class H1Decoder {
 public:
  H1Decoder(Role role, const Limits& limits) : limits_(&limits), role_(role) {}

  // The next event (codec.h). Body bytes are moved until `body_room` or a little more (whole segments); 0 holds the
  // body back.
  Event next(Chain& in, Message& message, std::uint32_t body_room, Memory& memory);
  // The peer sent FIN and `in` is used up: end of a body without framing, truncated inside a message, more between two.
  Event finish();

  // Client: the method of the request that the next response answers (RFC 9112 6.3: HEAD and CONNECT).
  void expect_response_to(Method method) { response_to_ = method; }
  // All that follows is tunnel bytes, given as body until the peer closes (after 101 or a 2xx to CONNECT was sent).
  void become_tunnel() { state_ = State::tunnel; }
  // Between two messages, with nothing of the next one read.
  bool idle() const { return state_ == State::head && scan_.done == 0; }
  // Inside a head that is not complete (for the header timeout).
  bool in_head() const { return state_ == State::head && scan_.done != 0; }
  bool faulted() const { return state_ == State::faulted; }
  StreamId stream() const { return stream_; }

 private:
  enum class State : std::uint8_t {
    head,
    length,
    chunk_size,
    chunk_data,
    chunk_end,
    trailers,
    until_close,
    tunnel,
    end,
    faulted
  };

  Event read_head(Chain& in, Message& message, Memory& memory);
  Event read_chunk_size(Chain& in);
  Event read_trailers(Chain& in, Message& message, Memory& memory);
  Event move_body(Chain& in, Chain& out, std::uint64_t left, std::uint32_t room, Memory& memory);
  Event fault(Fault fault);
  Event event(Event::Kind kind) const { return {kind, Fault::none, stream_}; }

  const Limits* limits_;
  std::uint64_t left_ = 0;  // bytes of the body or chunk still to come
  HeadScan scan_;
  StreamId stream_ = 1;
  State state_ = State::head;
  Role role_;
  bool skipped_line_ = false;  // the one empty line before a request
  Method response_to_ = Method::get;
};
static_assert(sizeof(H1Decoder) <= 48);

}  // namespace sluice::http
