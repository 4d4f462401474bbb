// h1_encoder.h - writes HTTP/1.1 heads, chunk framing and local replies to the end of a Chain. RFC 9112.
// A head is written from the received Head plus a list of edits; hop-by-hop fields (RFC 9110 7.6.1, those that
// Connection names too) are left out and the framing fields are written anew. Payload is spliced. Every function
// returns false and leaves `out` as it was when no buffer was free; nothing else can fail. `via` is not written.
#pragma once

#include <span>

#include "dataplane/base/rng.h"
#include "l7/http/codec.h"
#include "l7/http/message.h"

namespace sluice::http {

// set: replaces all fields of the name. append: adds a field. remove: drops all of the name.
struct FieldEdit {
  enum class Op : std::uint8_t { set, append, remove };
  Op op;
  Known known;  // known_field(name), found once when the policy is compiled
  std::string_view name, value;
};
inline FieldEdit field_edit(FieldEdit::Op op, std::string_view name, std::string_view value = {}) {
  return {op, known_field(name), name, value};
}

// What goes out differently from what came in. Views must live until the call returns.
struct RequestEdits {
  std::string_view path;        // empty: the head's own path and query; else the whole path with query
  std::string_view authority;   // empty: the head's own
  std::string_view client;      // appended to x-forwarded-for; empty: that field is passed as it is
  std::string_view proto;       // x-forwarded-proto, replaced; empty: passed as it is
  std::string_view request_id;  // x-request-id, added when absent
  std::span<const FieldEdit> fields;
  bool keep_upgrade = false;  // pass Connection: upgrade and Upgrade
  bool keep_expect =
      false;  // pass Expect: upstream says 100 Continue, which goes to the client; else it was or will be said here
};
struct ResponseEdits {
  std::span<const FieldEdit> fields;
  Version client_version = Version::http11;
  bool close = false;  // say connection: close
  bool keep_upgrade = false;
  bool head_only = false;  // answer to HEAD: Content-Length stays, no body follows, whatever the framing
};

// A version-4 UUID, 36 characters.
using RequestId = std::array<char, 36>;
RequestId make_request_id(Rng& rng);
inline std::string_view text(const RequestId& id) { return {id.data(), id.size()}; }

// The framing that a message read with `head` goes out with: length stays, chunked stays, a body without framing
// becomes chunked; towards an HTTP/1.0 client chunked becomes until_close (and the connection must be closed after it).
Framing outgoing_framing(const Head& head, Version receiver);

bool encode_request(const Head& head, Framing framing, const RequestEdits& edits, Chain& out, Buffers& buffers);
bool encode_response(const Head& head, Framing framing, const ResponseEdits& edits, Chain& out, Buffers& buffers);
// Moves all of `body` behind `out`, as one chunk when chunked. Empty bodies write nothing.
bool encode_body(Framing framing, Chain& body, Chain& out, Buffers& buffers);
// The end of the message: last chunk and trailers when chunked, else nothing.
bool encode_end(Framing framing, const Trailers* trailers, Chain& out, Buffers& buffers);
// HTTP/1.1 100 Continue.
bool encode_continue(Chain& out, Buffers& buffers);

// A whole response made here. `head_only`: to HEAD. Statuses that carry no body (1xx, 204, 304) get none.
struct LocalReply {
  std::uint16_t status = 200;
  std::string_view body;  // empty: the reason phrase and a newline, for errors
  std::string_view content_type = "text/plain";
  std::span<const NameValue> fields;  // further fields
  bool close = false;
  bool head_only = false;
};
bool encode_local_reply(const LocalReply& reply, Chain& out, Buffers& buffers);
std::string_view reason_phrase(std::uint16_t status);  // RFC 9110 15; "Unknown" when it is not there

}  // namespace sluice::http
