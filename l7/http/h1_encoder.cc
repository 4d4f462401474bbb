#include "l7/http/h1_encoder.h"

#include <array>
#include <cstring>

#include "l7/http/chain_writer.h"

namespace sluice::http {

namespace {

// Never passed on as they came; the framing and the connection are written anew (RFC 9110 7.6.1).
constexpr KnownSet hop_by_hop{Known::connection,        Known::keep_alive, Known::proxy_connection, Known::te,
                              Known::transfer_encoding, Known::upgrade,    Known::content_length};

// Which received fields an encoder leaves out.
class Omitted {
 public:
  Omitted(const Head& head, KnownSet known, std::span<const FieldEdit> edits)
      : head_(head), edits_(edits), known_(known) {
    for (const FieldEdit& edit : edits)
      if (edit.op != FieldEdit::Op::append) {
        known_.add(edit.known);
        has_others_ |= edit.known == Known::other;
      }
    if (!head.present().has(Known::connection)) return;
    for (const Field& field : head.fields())
      if (field.known == Known::connection) names_more_ |= !usual(head.value(field));
  }
  bool operator()(const Field& field) const {
    if (known_.has(field.known)) return true;
    if (has_others_ && field.known == Known::other && edited(field)) return true;
    return names_more_ && named_by_connection(field);
  }

 private:
  static bool usual(std::string_view value) {
    return same_name(value, "keep-alive") || same_name(value, "close") || same_name(value, "upgrade");
  }
  bool edited(const Field& field) const {
    for (const FieldEdit& edit : edits_)
      if (edit.known == Known::other && edit.op != FieldEdit::Op::append && same_name(edit.name, head_.name(field)))
        return true;
    return false;
  }
  bool named_by_connection(const Field& field) const {
    for (const Field& connection : head_.fields())
      if (connection.known == Known::connection && list_has(head_.value(connection), head_.name(field))) return true;
    return false;
  }

  const Head& head_;
  std::span<const FieldEdit> edits_;
  KnownSet known_;
  bool has_others_ = false;
  bool names_more_ = false;
};

void copy_fields(const Head& head, const Omitted& omitted, ChainWriter& out) {
  for (const Field& field : head.fields())
    if (!omitted(field)) out.line(head.name(field), head.value(field));
}

// What the policy sets or appends. Framing and connection are not for the policy to change.
void write_edits(std::span<const FieldEdit> edits, ChainWriter& out) {
  for (const FieldEdit& edit : edits)
    if (edit.op != FieldEdit::Op::remove && edit.known != Known::host && !hop_by_hop.has(edit.known))
      out.line(edit.name, edit.value);
}

void write_framing(Framing framing, std::uint64_t length, ChainWriter& out) {
  if (framing == Framing::length) {
    out.put("content-length: ");
    out.number(length);
    out.put("\r\n");
  } else if (framing == Framing::chunked) {
    out.put("transfer-encoding: chunked\r\n");
  }
}

void write_upgrade(const Head& head, ChainWriter& out) {
  out.put("connection: upgrade\r\n");
  out.line("upgrade", head.value(Known::upgrade));
}

// One field with all that came and the client behind it.
void write_forwarded_for(const Head& head, std::string_view client, ChainWriter& out) {
  out.put("x-forwarded-for: ");
  if (head.present().has(Known::x_forwarded_for))
    for (const Field& field : head.fields())
      if (field.known == Known::x_forwarded_for && field.value_size > 0) {
        out.put(head.value(field));
        out.put(", ");
      }
  out.put(client);
  out.put("\r\n");
}

void write_target(const Head& head, std::string_view path, ChainWriter& out) {
  if (head.method == Method::connect) {
    out.put(head.target);
  } else if (!path.empty()) {
    out.put(path);
  } else {
    out.put(head.path);
    if (head.has_query) {
      out.put("?");
      out.put(head.query);
    }
  }
}

void write_status_line(std::uint16_t status, std::string_view reason, ChainWriter& out) {
  out.put("HTTP/1.1 ");
  out.number(status);
  out.put(" ");
  out.put(reason);
  out.put("\r\n");
}

// The two digits of every byte.
constexpr std::array<std::array<char, 2>, 256> hex_pairs = [] {
  constexpr char digits[] = "0123456789abcdef";
  std::array<std::array<char, 2>, 256> out{};
  for (unsigned byte = 0; byte < 256; ++byte) out[byte] = {digits[byte >> 4], digits[byte & 15]};
  return out;
}();

constexpr bool has_body(std::uint16_t status) { return status >= 200 && status != 204 && status != 304; }

}  // namespace

RequestId make_request_id(Rng& rng) {
  std::uint64_t words[2] = {rng.next(), rng.next()};
  words[0] = (words[0] & ~std::uint64_t{0xf000}) | 0x4000;                     // version 4
  words[1] = (words[1] & ~(std::uint64_t{3} << 62)) | std::uint64_t{2} << 62;  // variant of RFC 9562
  RequestId id;
  std::size_t at = 0;
  for (unsigned byte = 0; byte < 16; ++byte) {
    if (byte == 4 || byte == 6 || byte == 8 || byte == 10) id[at++] = '-';
    std::memcpy(&id[at], &hex_pairs[words[byte / 8] >> (56 - 8 * (byte % 8)) & 0xff], 2);
    at += 2;
  }
  return id;
}

Framing outgoing_framing(const Head& head, Version receiver) {
  const bool open_ended = head.framing == Framing::chunked || head.framing == Framing::until_close;
  if (!open_ended) return head.framing;
  return receiver == Version::http10 ? Framing::until_close : Framing::chunked;
}

bool encode_request(const Head& head, Framing framing, const RequestEdits& edits, Chain& out, Buffers& buffers) {
  ChainWriter writer{buffers};
  KnownSet own = hop_by_hop | KnownSet{Known::host};
  if (!edits.keep_expect) own.add(Known::expect);
  if (!edits.client.empty()) own.add(Known::x_forwarded_for);
  if (!edits.proto.empty()) own.add(Known::x_forwarded_proto);
  const Omitted omitted{head, own, edits.fields};

  writer.put(head.method_name);
  writer.put(" ");
  write_target(head, edits.path, writer);
  writer.put(" HTTP/1.1\r\nhost: ");
  std::string_view authority = edits.authority.empty() ? head.authority : edits.authority;
  for (const FieldEdit& edit : edits.fields)
    if (edit.known == Known::host && edit.op == FieldEdit::Op::set) authority = edit.value;
  writer.put(authority);
  writer.put("\r\n");
  copy_fields(head, omitted, writer);
  if (head.te_trailers) writer.put("te: trailers\r\n");
  if (edits.keep_upgrade && head.upgrade) write_upgrade(head, writer);
  if (!edits.client.empty()) write_forwarded_for(head, edits.client, writer);
  if (!edits.proto.empty()) writer.line("x-forwarded-proto", edits.proto);
  if (!edits.request_id.empty() && !head.present().has(Known::x_request_id))
    writer.line("x-request-id", edits.request_id);
  write_edits(edits.fields, writer);
  write_framing(framing, head.content_length, writer);
  writer.put("\r\n");
  return writer.finish(out);
}

bool encode_response(const Head& head, Framing framing, const ResponseEdits& edits, Chain& out, Buffers& buffers) {
  ChainWriter writer{buffers};
  const Omitted omitted{head, hop_by_hop, edits.fields};
  if (edits.head_only) framing = Framing::none;
  write_status_line(head.status, head.reason.empty() ? reason_phrase(head.status) : head.reason, writer);
  copy_fields(head, omitted, writer);
  write_edits(edits.fields, writer);
  // The length that a HEAD or a 304 speaks of stays, though no body follows.
  const bool spoken_of =
      framing == Framing::none && head.has_content_length && head.status >= 200 && head.status != 204;
  write_framing(spoken_of ? Framing::length : framing, head.content_length, writer);
  if (edits.keep_upgrade && head.present().has(Known::upgrade)) {
    write_upgrade(head, writer);
  } else if (!head.interim()) {
    if (edits.close) {
      writer.put("connection: close\r\n");
    } else if (edits.client_version == Version::http10) {
      writer.put("connection: keep-alive\r\n");
    }
  }
  writer.put("\r\n");
  return writer.finish(out);
}

bool encode_body(Framing framing, Chain& body, Chain& out, Buffers& buffers) {
  if (body.empty()) return true;
  if (framing == Framing::chunked) {
    char line[18];
    char* end = std::to_chars(line, line + 16, body.size(), 16).ptr;
    *end++ = '\r';
    *end++ = '\n';
    if (!body.append_bytes(bytes("\r\n"), buffers)) return false;
    if (!out.append_bytes(bytes(std::string_view{line, static_cast<std::size_t>(end - line)}), buffers)) {
      body.trim_back(2);
      return false;
    }
  }
  out.append(std::move(body));
  return true;
}

bool encode_end(Framing framing, const Trailers* trailers, Chain& out, Buffers& buffers) {
  if (framing != Framing::chunked) return true;
  if (!trailers || trailers->count() == 0) return out.append_bytes(bytes("0\r\n\r\n"), buffers);
  ChainWriter writer{buffers};
  writer.put("0\r\n");
  for (const Field& field : trailers->fields()) writer.line(trailers->name(field), trailers->value(field));
  writer.put("\r\n");
  return writer.finish(out);
}

bool encode_continue(Chain& out, Buffers& buffers) {
  return out.append_bytes(bytes("HTTP/1.1 100 Continue\r\n\r\n"), buffers);
}

bool encode_local_reply(const LocalReply& reply, Chain& out, Buffers& buffers) {
  ChainWriter writer{buffers};
  const std::string_view reason = reason_phrase(reply.status);
  const bool explain = reply.body.empty() && reply.status >= 400;
  const std::size_t size = explain ? reason.size() + 1 : reply.body.size();
  write_status_line(reply.status, reason, writer);
  for (const NameValue& field : reply.fields) writer.line(field.name, field.value);
  if (has_body(reply.status)) {
    if (size > 0) writer.line("content-type", explain ? "text/plain" : reply.content_type);
    write_framing(Framing::length, size, writer);
  }
  if (reply.close) writer.put("connection: close\r\n");
  writer.put("\r\n");
  if (has_body(reply.status) && !reply.head_only) {
    writer.put(explain ? reason : reply.body);
    if (explain) writer.put("\n");
  }
  return writer.finish(out);
}

}  // namespace sluice::http
