// h1_head.h - parses a complete HTTP/1.x head, its end found by scan_head(), into views. RFC 9112 sections 3 to 6.
// `data` holds `size` bytes up to and with the empty line, free of control characters but for the line ends; `readable`
// bytes (>= size) may be read. Pure functions.
#pragma once

#include "l7/http/codec.h"
#include "l7/http/limits.h"
#include "l7/http/message.h"

namespace sluice::http {

Fault parse_request(const char* data, std::uint32_t size, std::uint32_t readable, const Limits& limits, Head& head);
// `answers`: the request's method (HEAD and CONNECT decide the framing).
Fault parse_response(const char* data, std::uint32_t size, std::uint32_t readable, const Limits& limits, Method answers,
                     Head& head);
// Fields that must not come in trailers (RFC 9110 6.5.1: framing, routing, connection) are dropped.
Fault parse_trailers(const char* data, std::uint32_t size, std::uint32_t readable, const Limits& limits,
                     Trailers& trailers);

}  // namespace sluice::http

// Tested in tests/unit/l7/http/h1_decoder_test.cc.
