// uri.h - request targets and paths. RFC 9112 3.2 (the four forms), RFC 3986 6.2.2 (normalisation).
// Nothing here allocates. Normalising writes into a buffer of the caller, never more bytes than came in.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string_view>

#include "dataplane/base/bytes.h"
#include "l7/http/codec.h"
#include "l7/http/message.h"

namespace sluice::http {

struct Target {
  TargetForm form = TargetForm::origin;
  std::string_view scheme, authority, path, query;
  bool has_query = false;
};
// Splits a request target. nullopt: not one of the forms, or one that the method does not allow (authority is for
// CONNECT and asterisk for OPTIONS alone), or it has a fragment, a space, a control or a byte above 0x7e. Visible ASCII
// that RFC 3986 wants encoded (| { } and such), which browsers send, is let through as HAProxy does.
std::optional<Target> split_target(std::string_view target, Method method);

// host[:port], with [v6] brackets. The host comes without port, brackets kept, a trailing dot kept.
struct Authority {
  std::string_view host;
  std::uint16_t port = 0;  // 0: none was given
};
std::optional<Authority> split_authority(std::string_view authority);

enum class EncodedSlash : std::uint8_t { keep, decode, reject };

struct PathPolicy {
  bool normalise = true;  // decode unreserved, upper-case the hex of what stays encoded, remove dot segments
  bool merge_slashes = true;
  EncodedSlash encoded_slash = EncodedSlash::keep;  // %2F (and %5C with reject)
};

// True when normalising would return the path unchanged; the common case, found at the speed of a scan.
bool path_is_normal(std::string_view path, const PathPolicy& policy);
// Writes the normal form. nullopt: bad percent-encoding, %00, or an encoded slash with reject. `out` holds path.size()
// bytes or more.
std::optional<std::string_view> normalise_path(std::string_view path, const PathPolicy& policy, std::span<char> out);

// Normalises the head's path; only a path that changes takes a block of `heads`.
Fault normalise(Head& head, const PathPolicy& policy, HeadBuffers& heads);

// The first value of a query parameter, still percent-encoded; nullopt when there is none. "a" has the value "".
std::optional<std::string_view> query_value(std::string_view query, std::string_view name);

}  // namespace sluice::http
