// codec.h - the face of a codec: bytes in, events out. The same for HTTP/1.1 and HTTP/2, on either side of the node.
// Input: `Event next(Chain& in, Message& message, std::uint32_t body_room, Memory& memory)` is called until it says
// `more`. Each event names its stream; over HTTP/1.1 a stream is one request and its answer, numbered from 1. The order
// in one stream is  head (interim heads first) -> body* -> trailers? -> end, or fault at any time.
// Output appends bytes to a Chain and is told all it needs by the caller (h1_encoder.h). No heap, clock or callbacks.
#pragma once

#include <cstdint>

#include "dataplane/packet/buffers.h"
#include "l7/http/head_buffers.h"

namespace sluice::http {

using StreamId = std::uint32_t;

// Why a message is refused. The peer's fault, except the last two.
enum class Fault : std::uint8_t {
  none,
  malformed,    // start line, field line, line ending, control character
  bad_version,  // HTTP/x.y that is not 1.0 or 1.1
  bad_target,
  bad_host,    // none (1.1), several, or against the absolute target
  bad_length,  // Content-Length that is not one number, or several that differ
  bad_coding,  // Transfer-Encoding that is not just "chunked", beside Content-Length, or over HTTP/1.0
  bad_chunk,
  line_too_long,   // request line
  head_too_large,  // bytes or number of fields
  trailers_too_large,
  truncated,  // the connection ended inside a message
  no_memory,  // no head buffer was free
  count_
};
// The status of the local reply to a request refused so: 400, 414, 431, 503, 505. A response refused so is a 502.
constexpr std::uint16_t status_of(Fault fault) {
  switch (fault) {
    case Fault::line_too_long: return 414;
    case Fault::head_too_large:
    case Fault::trailers_too_large: return 431;
    case Fault::no_memory: return 503;
    case Fault::bad_version: return 505;
    default: return 400;
  }
}
const char* fault_text(Fault fault);

struct Event {
  enum class Kind : std::uint8_t {
    more,      // nothing (else) can be made of what is there
    head,      // message.head is filled
    body,      // bytes were moved to the end of message.body
    trailers,  // message.trailers is filled
    end,       // the message is whole; what follows stays in `in`
    fault,     // nothing after this can be understood: reply if due, then close
    starved,   // no slice descriptor was free: nothing was consumed, call again in a later turn
  };
  Kind kind = Kind::more;
  Fault fault = Fault::none;
  StreamId stream = 0;
};

// What a codec may take memory from. Per worker.
struct Memory {
  Buffers& buffers;
  HeadBuffers& heads;
};

}  // namespace sluice::http

// Tested in tests/unit/l7/http/h1_decoder_test.cc.
