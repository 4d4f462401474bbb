// identity.h - which certificate answers for a host name (RFC 6066 3, RFC 6125 6.4.3): exact before wildcard.
// Names are compared in lower case. A wildcard stands for exactly one whole leftmost label. Built once, then read-only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/tls/handshake.h"

namespace sluice::tls {

// Lower case, or nothing when it is no host name: empty labels, other characters than letters, digits, '-' and '_', too
// long. One trailing dot is dropped. No wildcard.
std::optional<HostName> normal_name(std::string_view name);

class NameTable {
 public:
  // Management: `pattern` is a name or "*." and a name. False when it is neither, or is there already.
  bool add(std::string_view pattern, std::uint32_t identity);
  void finish();  // after the last add()
  // The identity of an exact entry, else of a wildcard's.
  std::optional<std::uint32_t> find(const HostName& name) const;
  bool empty() const { return exact_.empty() && wildcard_.empty(); }

 private:
  struct Entry {
    std::string name;
    std::uint32_t identity;
  };
  static const Entry* look_up(const std::vector<Entry>& entries, std::string_view name);
  std::vector<Entry> exact_, wildcard_;  // sorted by name; a wildcard's is what follows "*."
};

}  // namespace sluice::tls
