#include "l7/http/uri.h"

#include <cstring>

#include "l7/http/chars.h"

namespace sluice::http {

namespace {

// Stand in for an absent path; with bytes behind them that may be read.
constexpr char slash[8] = "/";
constexpr char asterisk[8] = "*";

constexpr bool is_unreserved(char c) {
  return is_alpha(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

// RFC 3986 3.2.2: unreserved, percent and sub-delims.
constexpr bool is_host_char(char c) {
  constexpr std::string_view marks = "%!$&'()*+,;=";
  return is_unreserved(c) || marks.find(c) != std::string_view::npos;
}

bool split_query(std::string_view text, Target& target) {
  const std::size_t mark = text.find('?');
  target.path = text.substr(0, mark);
  target.has_query = mark != std::string_view::npos;
  if (target.has_query) target.query = text.substr(mark + 1);
  return true;
}

std::optional<Target> split_absolute(std::string_view text, Method method) {
  Target target{.form = TargetForm::absolute, .scheme = {}, .authority = {}, .path = {}, .query = {}};
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || text.substr(colon, 3) != "://") return std::nullopt;
  target.scheme = text.substr(0, colon);
  if (!same_name(target.scheme, "http") && !same_name(target.scheme, "https")) return std::nullopt;
  text.remove_prefix(colon + 3);
  const std::size_t end = text.find_first_of("/?");
  target.authority = text.substr(0, end);
  if (!split_authority(target.authority)) return std::nullopt;
  if (end != std::string_view::npos) split_query(text.substr(end), target);
  // RFC 9112 3.2.4: OPTIONS for the server as a whole.
  if (target.path.empty()) target.path = {method == Method::options && !target.has_query ? asterisk : slash, 1};
  return target;
}

}  // namespace

std::optional<Target> split_target(std::string_view text, Method method) {
  if (text.empty() || find_scalar<EndsTarget>(text.data(), text.data() + text.size()) != text.data() + text.size())
    return std::nullopt;
  Target target;
  if (method == Method::connect) {
    const auto authority = split_authority(text);
    if (!authority || authority->port == 0) return std::nullopt;
    target.form = TargetForm::authority;
    target.authority = text;
    return target;
  }
  if (text.front() == '/') {
    split_query(text, target);
    return target;
  }
  if (text == "*") {
    if (method != Method::options) return std::nullopt;
    target.form = TargetForm::asterisk;
    target.path = text;
    return target;
  }
  return split_absolute(text, method);
}

std::optional<Authority> split_authority(std::string_view text) {
  Authority authority;
  std::size_t host_end;
  if (!text.empty() && text.front() == '[') {
    host_end = text.find(']');
    if (host_end == std::string_view::npos || host_end < 3) return std::nullopt;
    for (char c : text.substr(1, host_end - 1))
      if (hex_value(c) < 0 && c != ':' && c != '.') return std::nullopt;
    ++host_end;
  } else {
    host_end = 0;
    while (host_end < text.size() && is_host_char(text[host_end])) ++host_end;
    if (host_end == 0) return std::nullopt;
  }
  authority.host = text.substr(0, host_end);
  if (host_end == text.size()) return authority;
  std::string_view port = text.substr(host_end + 1);
  if (text[host_end] != ':' || port.size() > 5) return std::nullopt;
  std::uint32_t number = 0;
  for (char c : port) {
    if (!is_digit(c)) return std::nullopt;
    number = number * 10 + static_cast<unsigned>(c - '0');
  }
  if (number > 0xffff) return std::nullopt;
  authority.port = static_cast<std::uint16_t>(number);
  return authority;
}

bool path_is_normal(std::string_view path, const PathPolicy& policy) {
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '%') return false;
    if (path[i] == '\\' && policy.encoded_slash == EncodedSlash::reject) return false;
    if (path[i] != '/' || i + 1 == path.size()) continue;
    if (path[i + 1] == '/' && policy.merge_slashes) return false;
    if (path[i + 1] == '.' && policy.normalise) return false;  // or a name with a leading dot: the slow way decides
  }
  return true;
}

namespace {

// Decodes what stays the same when decoded, and follows the policy for slashes. The size written, or nullopt.
std::optional<std::size_t> decode(std::string_view path, const PathPolicy& policy, char* out) {
  std::size_t size = 0;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const char c = path[i];
    if (c == '\\' && policy.encoded_slash == EncodedSlash::reject) return std::nullopt;
    if (c != '%') {
      out[size++] = c;
      continue;
    }
    const int high = i + 2 < path.size() ? hex_value(path[i + 1]) : -1;
    const int low = i + 2 < path.size() ? hex_value(path[i + 2]) : -1;
    if (high < 0 || low < 0) return std::nullopt;
    const char decoded = static_cast<char>(high << 4 | low);
    if (decoded == 0) return std::nullopt;
    if ((decoded == '/' || decoded == '\\') && policy.encoded_slash == EncodedSlash::reject) return std::nullopt;
    if (decoded == '/' && policy.encoded_slash == EncodedSlash::decode) {
      out[size++] = '/';
    } else if (is_unreserved(decoded) && policy.normalise) {
      out[size++] = decoded;
    } else {
      constexpr char digits[] = "0123456789ABCDEF";
      out[size++] = '%';
      out[size++] = policy.normalise ? digits[high] : path[i + 1];
      out[size++] = policy.normalise ? digits[low] : path[i + 2];
    }
    i += 2;
  }
  return size;
}

// RFC 3986 5.2.4 and the merging of slashes, in place. The path starts with a slash.
std::size_t remove_segments(char* path, std::size_t size, const PathPolicy& policy) {
  std::size_t written = 0;
  for (std::size_t read = 0; read < size;) {
    const std::size_t start = read + 1;
    const void* next = std::memchr(path + start, '/', size - start);
    const std::size_t end = next ? static_cast<std::size_t>(static_cast<const char*>(next) - path) : size;
    const std::string_view segment{path + start, end - start};
    const bool last = end == size;
    if (policy.normalise && (segment == "." || segment == "..")) {
      if (segment.size() == 2)
        while (written > 0 && path[--written] != '/') {}
      if (last) path[written++] = '/';
    } else if (!segment.empty() || last || !policy.merge_slashes) {
      path[written++] = '/';
      std::memmove(path + written, path + start, segment.size());
      written += segment.size();
    }
    read = end;
  }
  if (written == 0) path[written++] = '/';
  return written;
}

}  // namespace

std::optional<std::string_view> normalise_path(std::string_view path, const PathPolicy& policy, std::span<char> out) {
  DCHECK(out.size() >= path.size());
  if (path.empty() || path.front() != '/') return path;  // "*", or none
  const auto size = decode(path, policy, out.data());
  if (!size) return std::nullopt;
  return std::string_view{out.data(), remove_segments(out.data(), *size, policy)};
}

Fault normalise(Head& head, const PathPolicy& policy, HeadBuffers& heads) {
  if (path_is_normal(head.path, policy)) return Fault::none;
  HeadBuffer block = heads.take(static_cast<std::uint32_t>(head.path.size()));
  if (!block) return Fault::no_memory;
  const auto normal = normalise_path(head.path, policy, {block.data(), block.size()});
  if (!normal) return Fault::bad_target;
  head.path = *normal;
  head.own_path(std::move(block));
  return Fault::none;
}

std::optional<std::string_view> query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::size_t end = query.find('&');
    const std::string_view pair = query.substr(0, end);
    const std::size_t equals = pair.find('=');
    if (pair.substr(0, equals) == name)
      return equals == std::string_view::npos ? pair.substr(pair.size()) : pair.substr(equals + 1);
    if (end == std::string_view::npos) break;
    query.remove_prefix(end + 1);
  }
  return std::nullopt;
}

}  // namespace sluice::http
