#include "perf/world/head.h"

#include <strings.h>

namespace sluice::perf {

std::string_view field_of(std::string_view head, std::string_view name) {
  for (std::size_t at = head.find("\r\n"); at != head.npos && at + 2 < head.size();) {
    const std::size_t start = at + 2, end = head.find("\r\n", start);
    const std::string_view line = head.substr(start, end - start);
    if (line.size() > name.size() && line[name.size()] == ':' &&
        strncasecmp(line.data(), name.data(), name.size()) == 0) {
      const std::size_t value = line.find_first_not_of(' ', name.size() + 1);
      return value == line.npos ? std::string_view{} : line.substr(value);
    }
    at = end;
  }
  return {};
}

std::uint64_t fnv1a(std::string_view text, std::uint64_t before) {
  for (const char c : text) before = (before ^ static_cast<std::uint8_t>(c)) * 0x100000001b3;
  return before;
}

}  // namespace sluice::perf
