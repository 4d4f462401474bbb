// message.h - one HTTP message as everyone above the codecs sees it: head, body bytes, trailers. RFC 9110.
// A Head is views over one contiguous head buffer that it owns: the very segment the peer sent, when the whole head lay
// in it, else a HeadBuffer. Views die with reset() or the Head. Behind every view at least two more bytes may be read
// (Hyperscan): inside a head the CRLF guarantees it. A Head does not move or copy. Worker's thread, no heap.
#pragma once

#include <cstdint>
#include <string_view>

#include "dataplane/packet/chain.h"
#include "l7/http/field.h"
#include "l7/http/head_buffers.h"
#include "l7/http/limits.h"

namespace sluice::http {

enum class Method : std::uint8_t { other, get, head, post, put, delete_, connect, options, trace, patch };
Method method_of(std::string_view text);
std::string_view method_text(Method method);  // empty for `other`
// RFC 9110 9.2.2
constexpr bool idempotent(Method m) {
  return m == Method::get || m == Method::head || m == Method::put || m == Method::delete_ || m == Method::options ||
         m == Method::trace;
}

enum class Version : std::uint8_t { http10, http11, http2 };

// RFC 9112 3.2.
enum class TargetForm : std::uint8_t { origin, absolute, authority, asterisk };

// How the body is delimited (RFC 9112 6.3).
enum class Framing : std::uint8_t { none, length, chunked, until_close, tunnel };

class Head : public FieldArray<max_fields> {
 public:
  Head() = default;
  Head(const Head&) = delete;
  Head& operator=(const Head&) = delete;

  // Of a request. `path` and `query` are the target's (path "/" for an empty one, "*" for asterisk, empty for CONNECT);
  // `authority` is the target's or Host's, with its port.
  Method method = Method::other;
  TargetForm form = TargetForm::origin;
  std::string_view method_name, target, scheme, authority, path, query;
  bool has_query = false;

  // Of a response.
  std::uint16_t status = 0;
  std::string_view reason;

  Version version = Version::http11;
  Framing framing = Framing::none;
  std::uint64_t content_length = 0;  // meant when has_content_length
  bool has_content_length : 1 = false;
  bool keep_alive : 1 = false;       // the peer wants the connection to go on after this message
  bool expect_continue : 1 = false;  // request with Expect: 100-continue and HTTP/1.1
  bool upgrade : 1 = false;          // Upgrade there and named in Connection
  bool te_trailers : 1 = false;      // TE lists trailers

  bool request() const { return status == 0; }
  // 1xx other than 101: another head follows (RFC 9110 15.2).
  bool interim() const { return status >= 100 && status < 200 && status != 101; }
  std::uint32_t size() const { return size_; }  // bytes of the head on the wire
  bool empty() const { return size_ == 0; }
  // Forgets everything and gives the buffers back.
  void reset();

  // For codecs: the memory that the views point into.
  void own(Chain segment, std::uint32_t size);
  void own(HeadBuffer block, std::uint32_t size);
  // Memory of a path that was rewritten (normalised) apart from the head.
  void own_path(HeadBuffer block) { path_block_ = std::move(block); }

 private:
  Chain segment_;
  HeadBuffer block_, path_block_;
  std::uint32_t size_ = 0;
};

class Trailers : public FieldArray<max_trailer_fields> {
 public:
  Trailers() = default;
  Trailers(const Trailers&) = delete;
  Trailers& operator=(const Trailers&) = delete;
  void own(HeadBuffer block) { block_ = std::move(block); }
  void reset() {
    clear(nullptr);
    block_.reset();
  }

 private:
  HeadBuffer block_;
};

// What a leg has received of one message. `body` is what came and was not passed on yet.
struct Message {
  Head head;
  Trailers trailers;
  Chain body;
  void reset() {
    head.reset();
    trailers.reset();
    body.clear();
  }
};

}  // namespace sluice::http

// Tested in tests/unit/l7/http/h1_decoder_test.cc.
