// seal.h - AES-256-GCM (NIST SP 800-38D) over a few bytes that lie on disk. A fresh random nonce each time.
#pragma once

#include <optional>
#include <vector>

#include "dataplane/base/bytes.h"

namespace sluice::mgmt {

inline constexpr std::size_t seal_overhead = 12 + 16;  // nonce in front, tag behind

// `vouched` is not encrypted, but whoever changes it makes unseal() fail. The key has 32 bytes.
std::vector<std::uint8_t> seal(ByteView key, ByteView plain, ByteView vouched);
// nullopt when key, sealed bytes or vouched bytes are not those of seal().
std::optional<std::vector<std::uint8_t>> unseal(ByteView key, ByteView sealed, ByteView vouched);

}  // namespace sluice::mgmt

// Tested in tests/unit/mgmt/store_test.cc.
