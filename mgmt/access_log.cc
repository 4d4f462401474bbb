#include "mgmt/access_log.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sluice::mgmt {

namespace {

constexpr std::size_t gather = 64 * 1024;

std::string timestamp(std::int64_t unix_ns) {
  const std::time_t seconds = unix_ns / 1'000'000'000;
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:06}Z", fmt::gmtime(seconds), unix_ns % 1'000'000'000 / 1000);
}

std::string flags_text(std::uint16_t flags) {
  std::string text;
  for (std::size_t bit = 0; bit < response_flag_names.size(); ++bit)
    if (flags >> bit & 1) text += (text.empty() ? "" : ",") + std::string{response_flag_names[bit]};
  return text.empty() ? "-" : text;
}

// What a client sent, made safe for one line: quotes, backslashes and everything that is not printable ASCII is
// escaped. The result is a JSON string's inside as well, whatever the encoding of the input.
std::string escaped(std::string_view in) {
  std::string out;
  out.reserve(in.size());
  for (const unsigned char c : in) {
    if (c == '"' || c == '\\') out += '\\', out += static_cast<char>(c);
    else if (c < 0x20 || c >= 0x7f) out += fmt::format("\\u{:04x}", c);
    else out += static_cast<char>(c);
  }
  return out;
}

std::string micros(Nanos at) { return at.ns < 0 ? "null" : fmt::format("{}", at.micros()); }

struct Names {
  std::string listener, route, cluster, endpoint;
};

Names names_of(const AccessRecord& r, const NameOf& name_of) {
  using policy::ObjectKind;
  const auto name = [&](ObjectKind kind, std::uint32_t id) {
    return id == AccessRecord::none ? std::string{} : name_of(kind, id);
  };
  return {name(ObjectKind::listener, r.listener), name(ObjectKind::route, r.route),
          name(ObjectKind::cluster, r.cluster), name(ObjectKind::endpoint, r.endpoint)};
}

}  // namespace

std::string access_line(const AccessRecord& r, AccessFormat format, std::int64_t start_unix_ns, const NameOf& name_of) {
  const Names names = names_of(r, name_of);
  const bool upstream = r.endpoint != AccessRecord::none;
  const std::string_view protocol = r.http10 ? "HTTP/1.0" : "HTTP/1.1";
  if (format == AccessFormat::json)
    return fmt::format(
        R"({{"time":"{}","client":"{}","local":"{}","tls":{},"method":"{}","authority":"{}","path":"{}","protocol":"{}",)"
        R"("status":{},"flags":"{}","bytes_received":{},"bytes_sent":{},"duration_us":{},"routed_us":{},)"
        R"("upstream_connected_us":{},"upstream_first_byte_us":{},"attempts":{},"upstream":"{}","listener":"{}","route":"{}",)"
        R"("cluster":"{}","endpoint":"{}","request_id":"{}","user_agent":"{}","generation":{},"worker":{}}})"
        "\n",
        timestamp(start_unix_ns), to_text(r.client).view(), to_text(r.local).view(), r.secure, escaped(r.method.view()),
        escaped(r.authority.view()), escaped(r.path.view()), protocol, r.status, flags_text(r.flags), r.bytes_received,
        r.bytes_sent, micros(r.duration), micros(r.routed), micros(r.upstream_connected), micros(r.upstream_first_byte),
        r.attempts, upstream ? to_text(r.upstream).view() : std::string_view{}, escaped(names.listener),
        escaped(names.route), escaped(names.cluster), escaped(names.endpoint), escaped(r.request_id.view()),
        escaped(r.user_agent.view()), r.generation, r.worker);
  const auto dash = [](std::string text) { return text.empty() ? std::string{"-"} : text; };
  return fmt::format("{} {} \"{} {} {}\" {} {} {} {} {}us {} {} {} {} \"{}\" {} {} g{}\n", timestamp(start_unix_ns),
                     to_text(r.client).view(), dash(escaped(r.method.view())), dash(escaped(r.path.view())), protocol,
                     r.status, flags_text(r.flags), r.bytes_received, r.bytes_sent, r.duration.micros(),
                     dash(escaped(r.authority.view())), dash(names.listener), dash(names.route), dash(names.cluster),
                     escaped(r.user_agent.view()), upstream ? to_text(r.upstream).view() : std::string_view{"-"},
                     dash(escaped(r.request_id.view())), r.generation);
}

std::expected<AccessLog, std::string> AccessLog::open(AccessFormat format, const std::string& path) {
  int fd = STDOUT_FILENO;
  if (path != "-") fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (fd < 0) return std::unexpected{fmt::format("access log {}: {}", path, std::strerror(errno))};
  return AccessLog{format, path, fd};
}

AccessLog::AccessLog(AccessLog&& other) noexcept
    : format_(other.format_),
      path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      pending_(std::move(other.pending_)),
      pending_lines_(std::exchange(other.pending_lines_, 0)),
      lines_(other.lines_),
      lost_(other.lost_) {}

AccessLog::~AccessLog() {
  flush();
  if (fd_ > STDERR_FILENO) close(fd_);
}

void AccessLog::write(const AccessRecord& record, std::int64_t start_unix_ns, const NameOf& name_of) {
  pending_ += access_line(record, format_, start_unix_ns, name_of);
  ++pending_lines_;
  if (pending_.size() >= gather) flush();
}

void AccessLog::flush() {
  std::string_view rest = pending_;
  while (!rest.empty() && fd_ >= 0) {
    const ssize_t n = ::write(fd_, rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
  if (!rest.empty()) lost_ += static_cast<std::uint64_t>(std::ranges::count(rest, '\n'));
  lines_ += pending_lines_;
  pending_lines_ = 0;
  pending_.clear();
}

void AccessLog::reopen() {
  flush();
  if (path_ == "-") return;
  const int fd = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (fd < 0) return;
  if (fd_ >= 0) close(fd_);
  fd_ = fd;
}

}  // namespace sluice::mgmt
