// head_scan.h - finds the end of a head (or trailer section) in bytes that come in pieces, and refuses what no head may
// hold. RFC 9112 2.2: bare CR, bare LF and control characters are refused at the byte where they stand, so that the
// same input gives the same answer however it is cut.
#pragma once

#include <cstdint>

#include "l7/http/h1_decoder.h"

namespace sluice::http {

struct ScanLimits {
  std::uint32_t first_line;  // bytes of the start line with its CRLF
  std::uint32_t bytes;       // bytes of the whole
  std::uint16_t lines;       // start line and fields, without the empty line
};
enum class ScanResult : std::uint8_t { more, done, malformed, line_too_long, too_large };

// Goes on over the next `size` bytes. After done, scan.done is the head's size. A trailer section starts with lines
// = 1.
ScanResult scan_head(const char* data, std::uint32_t size, std::uint32_t readable, const ScanLimits& limits,
                     HeadScan& scan);

}  // namespace sluice::http

// Tested in tests/unit/l7/http/h1_decoder_test.cc.
