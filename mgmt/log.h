// log.h - the process log: one line an event on standard error, with a level that may change while running.
// Any thread of management; the packet path does not log. Under systemd (JOURNAL_STREAM) lines carry the journal's level.
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <string_view>

#include "mgmt/node_config.h"

namespace sluice::mgmt {

class Log {
 public:
  explicit Log(LogLevel level = LogLevel::info);

  void set_level(LogLevel level) { level_.store(level, std::memory_order_relaxed); }
  LogLevel level() const { return level_.load(std::memory_order_relaxed); }

  template <typename... Args>
  void write(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
    if (level <= this->level()) line(level, fmt::format(format, std::forward<Args>(args)...));
  }
  template <typename... Args>
  void error(fmt::format_string<Args...> format, Args&&... args) { write(LogLevel::error, format, std::forward<Args>(args)...); }
  template <typename... Args>
  void warning(fmt::format_string<Args...> format, Args&&... args) { write(LogLevel::warning, format, std::forward<Args>(args)...); }
  template <typename... Args>
  void info(fmt::format_string<Args...> format, Args&&... args) { write(LogLevel::info, format, std::forward<Args>(args)...); }
  template <typename... Args>
  void debug(fmt::format_string<Args...> format, Args&&... args) { write(LogLevel::debug, format, std::forward<Args>(args)...); }

 private:
  void line(LogLevel level, std::string_view text) const;

  std::atomic<LogLevel> level_;
  bool journal_;
};

}  // namespace sluice::mgmt
