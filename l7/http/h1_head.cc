#include "l7/http/h1_head.h"

#include "l7/http/chars.h"
#include "l7/http/uri.h"

namespace sluice::http {

namespace {

// Where parsing stands. The empty line at the end is part of [p, end).
struct Cursor {
  const char* base;
  const char* p;
  const char* end;
  const char* limit;
};

// What the framing and connection fields of one head said, collected while its lines are read.
struct Facts {
  unsigned lengths = 0, codings = 0, hosts = 0;
  bool close = false, keep_alive = false, connection_upgrade = false, upgrade = false;
  std::string_view length, coding, host;
};

bool blank(char c) { return c == ' ' || c == '\t'; }

// One field line: token ":" OWS value OWS CRLF. Every line has its CRLF; scan_head has seen it.
bool read_field(Cursor& in, Field& field) {
  const char* const name = in.p;
  const char* colon = find<NotToken>(name, in.end, in.limit);
  if (colon == name || *colon != ':') return false;
  const char* value = colon + 1;
  while (blank(*value)) ++value;
  const char* const cr = find<CarriageReturn>(value, in.end, in.limit);
  const char* last = cr;
  while (last > value && blank(last[-1])) --last;
  field = {static_cast<std::uint16_t>(name - in.base), static_cast<std::uint16_t>(colon - name),
           static_cast<std::uint16_t>(value - in.base), static_cast<std::uint16_t>(last - value),
           known_field({name, static_cast<std::size_t>(colon - name)})};
  in.p = cr + 2;
  return true;
}

void read_connection(std::string_view value, Facts& facts) {
  if (same_name(value, "keep-alive")) {
    facts.keep_alive = true;
    return;
  }
  facts.close |= list_has(value, "close");
  facts.keep_alive |= list_has(value, "keep-alive");
  facts.connection_upgrade |= list_has(value, "upgrade");
}

void note(const Head& head, const Field& field, Facts& facts, bool& expects, bool& te_trailers) {
  switch (field.known) {
    case Known::host: ++facts.hosts, facts.host = head.value(field); break;
    case Known::content_length: ++facts.lengths, facts.length = head.value(field); break;
    case Known::transfer_encoding: ++facts.codings, facts.coding = head.value(field); break;
    case Known::connection: read_connection(head.value(field), facts); break;
    case Known::upgrade: facts.upgrade = true; break;
    case Known::expect: expects |= same_name(head.value(field), "100-continue"); break;
    case Known::te: te_trailers |= list_has(head.value(field), "trailers"); break;
    default: break;
  }
}

Fault read_fields(Cursor& in, const Limits& limits, Head& head, Facts& facts) {
  head.clear(in.base);
  bool expects = false, te_trailers = false;
  const unsigned most = limits.fields < max_fields ? limits.fields : max_fields;
  for (Field field; *in.p != '\r';) {
    if (!read_field(in, field)) return Fault::malformed;
    if (head.count() == most || !head.push(field)) return Fault::head_too_large;
    if (field.known != Known::other) note(head, field, facts, expects, te_trailers);
  }
  head.expect_continue = expects && head.version == Version::http11;
  head.te_trailers = te_trailers;
  head.upgrade = facts.upgrade && facts.connection_upgrade && head.version == Version::http11;
  head.keep_alive = !facts.close && (head.version == Version::http11 || facts.keep_alive);
  return Fault::none;
}

// 1*DIGIT that fits 63 bits. Nothing else: no sign, no list (RFC 9110 8.6).
bool read_length(std::string_view text, std::uint64_t& length) {
  if (text.empty() || text.size() > 18) return false;
  length = 0;
  for (char c : text) {
    if (!is_digit(c)) return false;
    length = length * 10 + static_cast<unsigned>(c - '0');
  }
  return true;
}

// RFC 9112 6.3, strictly: one length or one "chunked", never both.
Fault read_framing(const Facts& facts, Head& head) {
  if (facts.codings > 0) {
    if (facts.codings > 1 || facts.lengths > 0 || head.version == Version::http10 ||
        !same_name(facts.coding, "chunked"))
      return Fault::bad_coding;
    head.framing = Framing::chunked;
  } else if (facts.lengths > 0) {
    if (facts.lengths > 1 || !read_length(facts.length, head.content_length)) return Fault::bad_length;
    head.has_content_length = true;
    head.framing = Framing::length;
  }
  return Fault::none;
}

// "HTTP/1.1" or "HTTP/1.0", 8 bytes.
Fault read_version(const char* p, Version& version) {
  if (std::memcmp(p, "HTTP/1.1", 8) == 0) {
    version = Version::http11;
  } else if (std::memcmp(p, "HTTP/1.0", 8) == 0) {
    version = Version::http10;
  } else {
    return std::memcmp(p, "HTTP/", 5) == 0 && is_digit(p[5]) && p[6] == '.' && is_digit(p[7]) ? Fault::bad_version
                                                                                              : Fault::malformed;
  }
  return Fault::none;
}

// The same host and port, the scheme's default port written or not.
bool same_authority(std::string_view a, std::string_view b, std::string_view scheme) {
  const auto left = split_authority(a), right = split_authority(b);
  if (!left || !right) return false;
  const std::uint16_t usual = same_name(scheme, "https") ? 443 : same_name(scheme, "http") ? 80 : 0;
  return same_name(left->host, right->host) && (left->port ? left->port : usual) == (right->port ? right->port : usual);
}

// RFC 9112 3.2: exactly one Host over 1.1, at most one over 1.0, and no other one than the target's.
Fault check_host(const Facts& facts, Head& head) {
  if (facts.hosts > 1 || (facts.hosts == 0 && head.version == Version::http11)) return Fault::bad_host;
  if (!facts.host.empty() && !split_authority(facts.host)) return Fault::bad_host;
  if (head.authority.empty()) {
    head.authority = facts.host;
  } else if (facts.hosts == 1 && !same_authority(head.authority, facts.host, head.scheme)) {
    return Fault::bad_host;
  }
  return Fault::none;
}

Fault read_request_line(Cursor& in, Head& head) {
  const char* const method = in.p;
  const char* p = find<NotToken>(method, in.end, in.limit);
  if (p == method || *p != ' ') return Fault::malformed;
  head.method_name = {method, static_cast<std::size_t>(p - method)};
  head.method = method_of(head.method_name);
  const char* const target = ++p;
  p = find<EndsTarget>(target, in.end, in.limit);
  if (p == target || *p != ' ')
    return *p == '#' || static_cast<unsigned char>(*p) >= 0x7f ? Fault::bad_target : Fault::malformed;
  head.target = {target, static_cast<std::size_t>(p - target)};
  // Behind the space there are a CRLF and at least one more line end.
  if (in.end - ++p < 12 || p[8] != '\r') return Fault::malformed;
  if (const Fault fault = read_version(p, head.version); fault != Fault::none) return fault;
  in.p = p + 10;
  return Fault::none;
}

}  // namespace

Fault parse_request(const char* data, std::uint32_t size, std::uint32_t readable, const Limits& limits, Head& head) {
  Cursor in{data, data, data + size, data + readable};
  Facts facts;
  if (const Fault fault = read_request_line(in, head); fault != Fault::none) return fault;
  if (const Fault fault = read_fields(in, limits, head, facts); fault != Fault::none) return fault;
  const auto target = split_target(head.target, head.method);
  if (!target) return Fault::bad_target;
  head.form = target->form;
  head.scheme = target->scheme;
  head.authority = target->authority;
  head.path = target->path;
  head.query = target->query;
  head.has_query = target->has_query;
  if (const Fault fault = check_host(facts, head); fault != Fault::none) return fault;
  if (const Fault fault = read_framing(facts, head); fault != Fault::none) return fault;
  // A body of a CONNECT has no meaning (RFC 9110 9.3.6) and would be read as tunnel by others.
  if (head.method == Method::connect && head.framing != Framing::none) return Fault::bad_length;
  return Fault::none;
}

Fault parse_response(const char* data, std::uint32_t size, std::uint32_t readable, const Limits& limits, Method answers,
                     Head& head) {
  Cursor in{data, data, data + size, data + readable};
  Facts facts;
  // "HTTP/1.1 200 " and a reason that may be empty; the space before an empty one is often left out.
  const char* const cr = find<CarriageReturn>(data, in.end, in.limit);
  if (cr - data < 12) return Fault::malformed;
  if (const Fault fault = read_version(data, head.version); fault != Fault::none) return fault;
  if (data[8] != ' ' || data[9] < '1' || data[9] > '9' || !is_digit(data[10]) || !is_digit(data[11]))
    return Fault::malformed;
  head.status = static_cast<std::uint16_t>((data[9] - '0') * 100 + (data[10] - '0') * 10 + (data[11] - '0'));
  if (cr - data > 12) {
    if (data[12] != ' ') return Fault::malformed;
    head.reason = {data + 13, static_cast<std::size_t>(cr - data - 13)};
  }
  in.p = cr + 2;
  if (const Fault fault = read_fields(in, limits, head, facts); fault != Fault::none) return fault;
  if (const Fault fault = read_framing(facts, head); fault != Fault::none) return fault;
  const bool connected = answers == Method::connect && head.status >= 200 && head.status < 300;
  if (head.status == 101 || connected) {
    head.framing = Framing::tunnel;
    head.keep_alive = false;
  } else if (head.status < 200 || head.status == 204 || head.status == 304 || answers == Method::head) {
    head.framing = Framing::none;
  } else if (head.framing == Framing::none) {
    head.framing = Framing::until_close;
    head.keep_alive = false;
  }
  return Fault::none;
}

Fault parse_trailers(const char* data, std::uint32_t size, std::uint32_t readable, const Limits& limits,
                     Trailers& trailers) {
  constexpr KnownSet forbidden{
      Known::host,       Known::connection,       Known::content_length, Known::transfer_encoding,
      Known::te,         Known::trailer,          Known::upgrade,        Known::expect,
      Known::keep_alive, Known::proxy_connection, Known::authorization,  Known::proxy_authorization,
      Known::cookie,     Known::set_cookie,       Known::content_type,   Known::content_encoding};
  Cursor in{data, data, data + size, data + readable};
  trailers.clear(data);
  unsigned seen = 0;
  for (Field field; *in.p != '\r';) {
    if (!read_field(in, field)) return Fault::malformed;
    if (++seen > limits.trailer_fields || seen > max_trailer_fields) return Fault::trailers_too_large;
    if (!forbidden.has(field.known)) trailers.push(field);
  }
  return Fault::none;
}

}  // namespace sluice::http
