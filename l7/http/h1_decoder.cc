#include "l7/http/h1_decoder.h"

#include <algorithm>

#include "l7/http/chars.h"
#include "l7/http/h1_head.h"
#include "l7/http/head_scan.h"

namespace sluice::http {

namespace {

const char* at(const rte_mbuf* segment) { return rte_pktmbuf_mtod(segment, const char*); }
// Bytes from the segment's data to the end of its buffer: what SIMD may read.
std::uint32_t readable(const rte_mbuf* segment) {
  return static_cast<std::uint32_t>(segment->buf_len - segment->data_off);
}

// Scans what the chain has beyond what was scanned before.
ScanResult scan_chain(const Chain& in, const ScanLimits& limits, HeadScan& scan) {
  std::uint32_t skip = scan.done;
  for (const rte_mbuf* segment = in.first(); segment; segment = segment->next) {
    if (skip >= segment->data_len) {
      skip -= segment->data_len;
      continue;
    }
    const ScanResult result =
        scan_head(at(segment) + skip, segment->data_len - skip, readable(segment) - skip, limits, scan);
    if (result != ScanResult::more) return result;
    skip = 0;
  }
  return ScanResult::more;
}

HeadBuffer gather(const Chain& in, std::uint32_t size, HeadBuffers& heads) {
  HeadBuffer block = heads.take(size);
  if (block) in.peek(0, block.bytes().first(size));
  return block;
}

// chunk-size [chunk-ext] CRLF, the line in [p, end) with its CRLF (RFC 9112 7.1). False: malformed.
bool read_chunk_line(const char* p, const char* end, std::uint64_t& size) {
  if (end - p < 3 || end[-2] != '\r') return false;
  end -= 2;
  const char* const digits = p;
  size = 0;
  for (int value; p < end && (value = hex_value(*p)) >= 0; ++p) {
    if (p - digits == 15) return false;  // 60 bits are enough for anyone, and cannot overflow
    size = size << 4 | static_cast<unsigned>(value);
  }
  if (p == digits) return false;
  if (p == end) return true;
  while (p < end && (*p == ' ' || *p == '\t')) ++p;
  return p < end && *p == ';' && find_scalar<Control>(p, end) == end;
}

}  // namespace

Event H1Decoder::fault(Fault fault) {
  state_ = State::faulted;
  return {Event::Kind::fault, fault, stream_};
}

Event H1Decoder::next(Chain& in, Message& message, std::uint32_t body_room, Memory& memory) {
  const std::uint32_t before = message.body.size();
  for (;;) {
    const std::uint32_t moved = message.body.size() - before;
    const std::uint32_t room = body_room > moved ? body_room - moved : 0;
    Event made;
    const State state = state_;
    switch (state) {
      case State::head: return read_head(in, message, memory);
      case State::length:
      case State::chunk_data: made = move_body(in, message.body, left_, room, memory); break;
      case State::until_close:
      case State::tunnel: return move_body(in, message.body, ~std::uint64_t{0}, room, memory);
      case State::chunk_size: made = moved && in.empty() ? event(Event::Kind::body) : read_chunk_size(in); break;
      case State::chunk_end: {
        char end[2] = {'\r', '\n'};
        const std::uint32_t have = std::min<std::uint32_t>(in.size(), 2);
        in.peek(0, {reinterpret_cast<std::uint8_t*>(end), have});
        if (end[0] != '\r' || end[1] != '\n') {
          made = {Event::Kind::fault, Fault::bad_chunk, stream_};
        } else if (have == 2) {
          in.trim_front(2);
          state_ = State::chunk_size;
        }
        break;
      }
      case State::trailers:
        if (moved) return event(Event::Kind::body);
        made = read_trailers(in, message, memory);
        break;
      case State::end:
        if (moved) return event(Event::Kind::body);
        state_ = State::head;
        return {Event::Kind::end, Fault::none, stream_++};
      case State::faulted: return {Event::Kind::fault, Fault::malformed, stream_};
    }
    if (made.kind == Event::Kind::trailers || made.kind == Event::Kind::starved)
      return moved ? event(Event::Kind::body) : made;
    if (made.kind == Event::Kind::fault) return moved ? event(Event::Kind::body) : fault(made.fault);
    if (state_ == state) return event(message.body.size() > before ? Event::Kind::body : Event::Kind::more);
  }
}

Event H1Decoder::finish() {
  switch (state_) {
    case State::until_close:
    case State::tunnel: state_ = State::head; return {Event::Kind::end, Fault::none, stream_++};
    case State::end: state_ = State::head; return {Event::Kind::end, Fault::none, stream_++};
    case State::head:
      if (idle()) return event(Event::Kind::more);
      [[fallthrough]];
    default: return fault(Fault::truncated);
  }
}

Event H1Decoder::read_head(Chain& in, Message& message, Memory& memory) {
  if (in.empty()) return event(Event::Kind::more);
  if (role_ == Role::server && scan_.done == 0 && !skipped_line_ && in.front()[0] == '\r') {
    if (in.size() < 2) return event(Event::Kind::more);
    std::uint8_t line[2];
    in.peek(0, line);
    if (line[1] != '\n') return fault(Fault::malformed);
    in.trim_front(2);
    skipped_line_ = true;
    if (in.empty()) return event(Event::Kind::more);
  }
  const std::uint32_t bytes = std::min(limits_->head_bytes, max_head_bytes);
  const ScanLimits limits{role_ == Role::server ? limits_->request_line_bytes : bytes, bytes,
                          static_cast<std::uint16_t>(std::min<unsigned>(limits_->fields, max_fields) + 1)};
  switch (scan_chain(in, limits, scan_)) {
    case ScanResult::more: return event(Event::Kind::more);
    case ScanResult::malformed: return fault(Fault::malformed);
    case ScanResult::line_too_long: return fault(Fault::line_too_long);
    case ScanResult::too_large: return fault(Fault::head_too_large);
    case ScanResult::done: break;
  }
  const std::uint32_t size = std::exchange(scan_, {}).done;
  Head& head = message.head;
  head.reset();
  const char* data;
  std::uint32_t room;
  if (size <= in.first()->data_len) {
    Chain segment;
    if (!in.move_front(size, segment, memory.buffers)) return event(Event::Kind::starved);
    data = at(segment.first());
    room = readable(segment.first());
    head.own(std::move(segment), size);
  } else {
    HeadBuffer block = gather(in, size, memory.heads);
    if (!block) return fault(Fault::no_memory);
    in.trim_front(size);
    data = block.data();
    room = block.size() + HeadBuffers::padding;
    head.own(std::move(block), size);
  }
  const Fault found = role_ == Role::server ? parse_request(data, size, room, *limits_, head)
                                            : parse_response(data, size, room, *limits_, response_to_, head);
  if (found != Fault::none) return fault(found);
  skipped_line_ = false;
  left_ = head.content_length;
  if (head.request() || !head.interim()) {
    switch (head.framing) {
      case Framing::none: state_ = State::end; break;
      case Framing::length: state_ = left_ > 0 ? State::length : State::end; break;
      case Framing::chunked: state_ = State::chunk_size; break;
      case Framing::until_close: state_ = State::until_close; break;
      case Framing::tunnel: state_ = State::tunnel; break;
    }
  }
  return event(Event::Kind::head);
}

// Moves body bytes; more when there are none or there is no room.
Event H1Decoder::move_body(Chain& in, Chain& out, std::uint64_t left, std::uint32_t room, Memory& memory) {
  if (in.empty() || room == 0) return event(Event::Kind::more);
  std::uint32_t n = static_cast<std::uint32_t>(std::min<std::uint64_t>(left, in.size()));
  if (n > room) {  // whole segments, so that room costs no slice
    std::uint32_t whole = 0;
    for (const rte_mbuf* segment = in.first(); whole < room; segment = segment->next) whole += segment->data_len;
    n = std::min(n, whole);
  }
  if (!in.move_front(n, out, memory.buffers)) return event(Event::Kind::starved);
  if (state_ == State::length || state_ == State::chunk_data) {
    left_ -= n;
    if (left_ == 0) state_ = state_ == State::length ? State::end : State::chunk_end;
  }
  return event(Event::Kind::body);
}

Event H1Decoder::read_chunk_size(Chain& in) {
  if (in.empty()) return event(Event::Kind::more);
  const std::uint32_t most = std::min<std::uint32_t>(limits_->chunk_line_bytes, max_chunk_line);
  const char* line = reinterpret_cast<const char*>(in.front().data());
  std::uint32_t have = std::min<std::uint32_t>(static_cast<std::uint32_t>(in.front().size()), most);
  const void* lf = std::memchr(line, '\n', have);
  std::uint8_t copy[max_chunk_line];
  if (!lf && in.size() > have && have < most) {
    have = std::min<std::uint32_t>(in.size(), most);
    in.peek(0, {copy, have});
    line = reinterpret_cast<const char*>(copy);
    lf = std::memchr(line, '\n', have);
  }
  if (!lf) return have == most ? Event{Event::Kind::fault, Fault::bad_chunk, stream_} : event(Event::Kind::more);
  const char* const end = static_cast<const char*>(lf) + 1;
  if (!read_chunk_line(line, end, left_)) return {Event::Kind::fault, Fault::bad_chunk, stream_};
  in.trim_front(static_cast<std::uint32_t>(end - line));
  state_ = left_ > 0 ? State::chunk_data : State::trailers;
  return event(Event::Kind::more);
}

Event H1Decoder::read_trailers(Chain& in, Message& message, Memory& memory) {
  if (in.empty()) return event(Event::Kind::more);
  if (scan_.lines == 0) scan_.lines = 1;  // there is no start line
  const ScanLimits limits{
      0, std::min(limits_->trailer_bytes, max_head_bytes),
      static_cast<std::uint16_t>(std::min<unsigned>(limits_->trailer_fields, max_trailer_fields) + 1)};
  switch (scan_chain(in, limits, scan_)) {
    case ScanResult::more: return event(Event::Kind::more);
    case ScanResult::done: break;
    case ScanResult::too_large: return {Event::Kind::fault, Fault::trailers_too_large, stream_};
    default: return {Event::Kind::fault, Fault::malformed, stream_};
  }
  const std::uint32_t size = std::exchange(scan_, {}).done;
  if (size > 2) {
    HeadBuffer block = gather(in, size, memory.heads);
    if (!block) return {Event::Kind::fault, Fault::no_memory, stream_};
    const char* const data = block.data();
    const std::uint32_t room = block.size() + HeadBuffers::padding;
    message.trailers.own(std::move(block));
    if (const Fault found = parse_trailers(data, size, room, *limits_, message.trailers); found != Fault::none)
      return {Event::Kind::fault, found, stream_};
  }
  in.trim_front(size);
  state_ = State::end;
  return event(size > 2 ? Event::Kind::trailers : Event::Kind::more);
}

}  // namespace sluice::http
