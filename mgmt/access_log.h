// access_log.h - one line a request, as text or JSON, from the records that workers put on their rings.
// Management thread; the packet path never waits for it: a ring that is full loses lines, counted. Ids become names
// here. Writes are gathered and flushed once a round; a sink that fails (full disk) loses lines, counted, and is tried
// again.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <string>
#include <string_view>

#include "l7/access.h"
#include "l7/policy.h"
#include "mgmt/node_config.h"

namespace sluice::mgmt {

// The name behind a stable id; empty when it has none.
using NameOf = std::function<std::string(policy::ObjectKind kind, std::uint32_t id)>;

// One line with its newline. `start_unix_ns` is when the request began.
std::string access_line(const AccessRecord& record, AccessFormat format, std::int64_t start_unix_ns,
                        const NameOf& name_of);

class AccessLog {
 public:
  // "-" is standard output. The error names the file.
  static std::expected<AccessLog, std::string> open(AccessFormat format, const std::string& path);
  AccessLog(AccessLog&& other) noexcept;
  AccessLog& operator=(AccessLog&&) = delete;
  ~AccessLog();

  void write(const AccessRecord& record, std::int64_t start_unix_ns, const NameOf& name_of);
  // Writes out what has gathered.
  void flush();
  // Opens the file anew, after it was moved away (logrotate).
  void reopen();
  std::uint64_t lines() const { return lines_; }
  std::uint64_t lost() const { return lost_; }

 private:
  AccessLog(AccessFormat format, std::string path, int fd) : format_(format), path_(std::move(path)), fd_(fd) {}

  AccessFormat format_;
  std::string path_;
  int fd_;
  std::string pending_;
  std::uint64_t pending_lines_ = 0, lines_ = 0, lost_ = 0;
};

}  // namespace sluice::mgmt
