#include "dataplane/base/log.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace sluice {

void Log::write(LogSeverity severity, std::string_view text) const {
  if (!on(severity)) return;
  constexpr const char* names[] = {"error", "warning", "info", "debug"};
  char line[1024];
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  tm utc;
  gmtime_r(&now.tv_sec, &utc);
  std::size_t size = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &utc);
  size += static_cast<std::size_t>(std::snprintf(line + size, sizeof line - size, ".%03ldZ %s ",
                                                 now.tv_nsec / 1'000'000, names[static_cast<int>(severity)]));
  const std::size_t n = std::min(text.size(), sizeof line - size - 1);
  std::transform(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(n), line + size,
                 [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c; });
  size += n;
  line[size++] = '\n';
  [[maybe_unused]] const auto written = ::write(fd_, line, size);
}

}  // namespace sluice
