// http_transcript.h - what an HTTP/1.1 decoder makes of bytes that come in given pieces, as text that can be compared.
#pragma once

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "l7/http/h1_decoder.h"

namespace sluice::test {

inline Packet packet_of(std::string_view content, Buffers& buffers) {
  Packet packet = buffers.make();
  CHECK(packet && content.size() <= buffer_data_size);
  std::memcpy(packet.data(), content.data(), content.size());
  packet.get()->data_len = static_cast<std::uint16_t>(content.size());
  packet.get()->pkt_len = packet.get()->data_len;
  return packet;
}

inline std::string content_of(const Chain& chain) {
  std::string out(chain.size(), 0);
  if (!out.empty()) chain.peek(0, {reinterpret_cast<std::uint8_t*>(out.data()), out.size()});
  return out;
}

// Appends in packets of at most `piece` bytes each.
inline void feed(Chain& chain, std::string_view bytes, Buffers& buffers, std::size_t piece = 1400) {
  for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size())))
    chain.append(packet_of(bytes.substr(0, std::min(piece, bytes.size())), buffers));
}

class Transcript {
 public:
  Transcript(http::Role role, const http::Limits& limits, Buffers& buffers, http::HeadBuffers& heads)
      : decoder_(role, limits), memory_{buffers, heads} {}

  void expect_response_to(http::Method method) { decoder_.expect_response_to(method); }
  http::H1Decoder& decoder() { return decoder_; }
  http::Message& message() { return message_; }

  void read(std::string_view piece) {
    feed(in_, piece, memory_.buffers);
    while (!decoder_.faulted()) {
      const http::Event event = decoder_.next(in_, message_, body_room_, memory_);
      if (event.kind == http::Event::Kind::more) return;
      note(event);
    }
  }
  void finish() {
    if (decoder_.faulted()) return;
    const http::Event event = decoder_.finish();
    if (event.kind != http::Event::Kind::more) note(event);
  }
  const std::string& text() const { return text_; }
  std::string rest() const { return content_of(in_); }
  void body_room(std::uint32_t room) { body_room_ = room; }

 private:
  using Kind = http::Event::Kind;
  void note(const http::Event& event) {
    if (event.kind != Kind::body) flush();
    switch (event.kind) {
      case Kind::head: note_head(); break;
      case Kind::body:
        body_ += content_of(message_.body);
        message_.body.clear();
        break;
      case Kind::trailers:
        text_ += "trailers";
        note_fields(message_.trailers);
        text_ += "\n";
        break;
      case Kind::end:
        text_ += "end " + std::to_string(event.stream) + "\n";
        message_.reset();
        break;
      case Kind::fault: text_ += std::string("fault ") + http::fault_text(event.fault) + "\n"; break;
      default: text_ += "starved\n"; break;
    }
  }
  void note_head() {
    const http::Head& head = message_.head;
    if (head.request()) {
      text_ += std::string(head.method_name) + " " + std::string(head.authority) + " " + std::string(head.path);
      if (head.has_query) text_ += "?" + std::string(head.query);
    } else {
      text_ += std::to_string(head.status) + " " + std::string(head.reason);
    }
    constexpr const char* framings[] = {" none", " length", " chunked", " until_close", " tunnel"};
    text_ += framings[static_cast<int>(head.framing)];
    if (head.has_content_length) text_ += " " + std::to_string(head.content_length);
    text_ += head.version == http::Version::http10 ? " 1.0" : " 1.1";
    if (head.keep_alive) text_ += " keep";
    if (head.expect_continue) text_ += " expect";
    if (head.upgrade) text_ += " upgrade";
    note_fields(head);
    text_ += "\n";
  }
  template <typename Fields>
  void note_fields(const Fields& fields) {
    for (const http::Field& field : fields.fields())
      text_ += " [" + std::string(fields.name(field)) + "=" + std::string(fields.value(field)) + "]";
  }
  void flush() {
    if (!body_.empty()) text_ += "body " + body_ + "\n";
    body_.clear();
  }

  http::H1Decoder decoder_;
  http::Memory memory_;
  http::Message message_;
  Chain in_;
  std::string text_, body_;
  std::uint32_t body_room_ = 1 << 20;
};

}  // namespace sluice::test
