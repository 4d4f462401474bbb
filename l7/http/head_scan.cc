#include "l7/http/head_scan.h"

#include <algorithm>

#include "l7/http/chars.h"

namespace sluice::http {

ScanResult scan_head(const char* data, std::uint32_t size, std::uint32_t readable, const ScanLimits& limits,
                     HeadScan& scan) {
  const std::uint32_t before = scan.done;  // offset of data[0] in the head
  const char* const end = data + size;
  const char* const limit = data + readable;
  constexpr std::uint32_t none = ~std::uint32_t{0};
  std::uint32_t cr = scan.after_cr ? before - 1 : none;  // offset of a CR whose LF is still to come
  std::uint32_t cap = scan.lines == 0 ? std::min(limits.first_line, limits.bytes) : limits.bytes;

  for (const char* block = data; block < end; block += 32) {
    for (std::uint32_t bits = class_mask<Control>(block, end, limit); bits; bits &= bits - 1) {
      const char* p = block + std::countr_zero(bits);
      const std::uint32_t at = before + static_cast<std::uint32_t>(p - data);
      if (at >= cap) goto out;
      if (cr != none && at != cr + 1) return ScanResult::malformed;
      if (*p == '\r' && cr == none) {
        cr = at;
        continue;
      }
      if (*p != '\n' || cr == none) return ScanResult::malformed;
      cr = none;
      if (at == scan.line_start + 1) {  // the empty line
        scan.done = at + 1;
        return scan.lines == 0 ? ScanResult::malformed : ScanResult::done;
      }
      if (++scan.lines > limits.lines) return ScanResult::too_large;
      scan.line_start = at + 1;
      cap = limits.bytes;
    }
  }
out:
  const std::uint32_t seen = std::min(before + size, cap);
  if (cr != none && cr + 1 < seen) return ScanResult::malformed;
  if (seen == cap) return scan.lines == 0 && cap < limits.bytes ? ScanResult::line_too_long : ScanResult::too_large;
  scan.done = seen;
  scan.after_cr = cr != none;
  return ScanResult::more;
}

}  // namespace sluice::http
