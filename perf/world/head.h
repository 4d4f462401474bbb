// head.h - what the scripted peers need of HTTP/1.1: a field of a head, and a hash of what came. Written for peers that
// are told what to expect: independent of the code under test, strict about nothing.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice::perf {

// The value of a field of a head (start line, then lines that each end in CRLF), whatever the case of its name; empty
// when it is not there.
std::string_view field_of(std::string_view head, std::string_view name);

// FNV-1a; of texts one behind the other with the hash of those before.
std::uint64_t fnv1a(std::string_view text, std::uint64_t before = 0xcbf29ce484222325);

}  // namespace sluice::perf
