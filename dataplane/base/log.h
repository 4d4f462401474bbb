// log.h - the process log: one line a message to a file descriptor (standard error), with time and level.
// For the management thread and helper threads, never inside a worker's turn: writing is a system call, and workers
// have counters and trace instead. The level may change while others write. Text is formatted by the caller (mgmt/ has
// fmt); control characters in it become '?', so that one message is one line. Lines longer than 1 kB are cut.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

namespace sluice {

enum class LogSeverity : std::uint8_t { error, warning, info, debug };

class Log {
 public:
  explicit Log(int fd, LogSeverity level = LogSeverity::info) : fd_(fd), level_(level) {}

  bool on(LogSeverity severity) const { return severity <= level_.load(std::memory_order_relaxed); }
  void set_level(LogSeverity level) { level_.store(level, std::memory_order_relaxed); }
  LogSeverity level() const { return level_.load(std::memory_order_relaxed); }

  // "2026-11-21T10:04:44.123Z info text". A descriptor that takes nothing loses the line.
  void write(LogSeverity severity, std::string_view text) const;
  void error(std::string_view text) const { write(LogSeverity::error, text); }
  void warning(std::string_view text) const { write(LogSeverity::warning, text); }
  void info(std::string_view text) const { write(LogSeverity::info, text); }
  void debug(std::string_view text) const { write(LogSeverity::debug, text); }

 private:
  int fd_;
  std::atomic<LogSeverity> level_;
};

}  // namespace sluice
