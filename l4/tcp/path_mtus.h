// path_mtus.h - what ICMP told about the ways to destinations (RFC 1191 6.3, RFC 8201 5.2): the smallest MTU by remote
// address, forgotten after ten minutes. Fixed size, four entries a bucket, keyed hash; a full bucket forgets what would
// expire first. `version` changes whenever an answer may have: connections keep what they derived until then. One
// owner thread.
#pragma once

#include <array>
#include <memory>

#include "dataplane/base/address.h"
#include "dataplane/base/hash.h"
#include "dataplane/base/units.h"

namespace sluice::tcp {

class PathMtus {
 public:
  static constexpr std::uint16_t ip4_least = 552;  // below: not believed, as Linux (RFC 1191: 68)
  static constexpr std::uint16_t ip6_least = 1280;
  static constexpr Nanos lasts{600'000'000'000};

  PathMtus(const SipHash::Key& secret, std::uint32_t capacity);
  // The MTU of the way to `remote`, or 0: nothing is known but what the route says.
  std::uint16_t find(const IpAddress& remote, Nanos now) const;
  void learn(const IpAddress& remote, std::uint16_t mtu, Nanos now);
  // Forgets what has expired; cheap, once a turn.
  void expire(Nanos now);
  std::uint16_t version() const { return version_; }
  std::uint32_t size() const { return size_; }

 private:
  static constexpr std::uint32_t ways = 4;
  struct Entry {
    IpAddress remote;
    Nanos until{};
    std::uint16_t mtu = 0;  // 0: free
  };
  Entry* bucket(const IpAddress& remote) const { return &entries_[(sip_(ByteView{remote.bytes}) & mask_) * ways]; }

  SipHash sip_;
  std::uint32_t mask_;
  std::unique_ptr<Entry[]> entries_;
  std::uint32_t size_ = 0;
  std::uint16_t version_ = 0;
  Nanos next_ = Nanos::never();  // when the first of them expires
};

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/path_mtu_test.cc.
