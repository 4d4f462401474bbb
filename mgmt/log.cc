#include "mgmt/log.h"

#include <fmt/chrono.h>
#include <sys/uio.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>

namespace sluice::mgmt {

Log::Log(LogLevel level) : level_(level), journal_(std::getenv("JOURNAL_STREAM") != nullptr) {}

void Log::line(LogLevel level, std::string_view text) const {
  constexpr std::string_view names[] = {"error", "warning", "info", "debug"};
  constexpr std::string_view journal_marks[] = {"<3>", "<4>", "<6>", "<7>"};
  const auto place = static_cast<std::size_t>(level);
  std::string out;
  if (journal_) {
    out = fmt::format("{}{}\n", journal_marks[place], text);
  } else {
    const auto now = std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
    out = fmt::format("{:%Y-%m-%dT%H:%M:%S}Z {:<7} {}\n", now, names[place], text);
  }
  [[maybe_unused]] const ssize_t n = ::write(STDERR_FILENO, out.data(), out.size());
}

}  // namespace sluice::mgmt
