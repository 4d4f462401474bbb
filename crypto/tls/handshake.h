// handshake.h - TLS 1.3 handshakes as jobs: submit bytes, later take bytes and a result.
// The engine behind it is OpenSSL over a memory BIO that is fed whole records, one at a time, so that nothing hides inside
// it; when it is done, the secrets, suite, ALPN and name come out and the SSL object is freed at once. Jobs run inline,
// a bounded number a turn, or on helper threads (serve()), over rings, behind the same calls. Only OpenSSL's own
// allocations happen in a worker's turn, under a GuardPause. Jobs older than the client's patience are dropped unrun.
// Owner: one Handshakes a worker.
#pragma once

#include <array>
#include <memory>
#include <span>

#include "crypto/aead.h"
#include "crypto/secret.h"
#include "crypto/tls/server_context.h"
#include "dataplane/base/counters.h"
#include "dataplane/base/units.h"

namespace sluice::tls {

enum class Role : std::uint8_t { server, client };

// Why a handshake did not succeed; each has a counter (tls_failed_<name>).
enum class Failure : std::uint8_t {
  none,
  protocol_version,  // the client speaks nothing that we allow
  no_shared_offer,   // no suite, group or signature algorithm in common
  unknown_name,      // SNI that no certificate covers, and no fallback
  no_protocol,       // ALPN: nothing in common
  malformed,         // what came is not a handshake, or breaks its rules
  refused,           // the peer sent an alert
  abandoned,         // older than the client's patience, or aborted
  internal,          // ours: out of memory, output too long
};

// The largest record that a peer may send before and during a handshake (RFC 8446 5.2), with its header.
inline constexpr std::size_t record_header_size = 5;
inline constexpr std::size_t max_plaintext = 16384;
inline constexpr std::size_t max_ciphertext = max_plaintext + 256;
inline constexpr std::size_t max_record_size = record_header_size + max_ciphertext;

// A protocol name of ALPN, in place.
struct ProtocolName {
  std::array<char, 15> text{};
  std::uint8_t size = 0;
  std::string_view view() const { return {text.data(), size}; }
};
// A host name of SNI, lower case, in place.
struct HostName {
  std::array<char, 255> text{};
  std::uint8_t size = 0;
  std::string_view view() const { return {text.data(), size}; }
};

// All that outlives a handshake. Also what a test installs to have a session without one (Sessions::install).
struct Established {
  Role role = Role::server;
  Suite suite = Suite::none;
  Secret<max_hash_size> client_secret, server_secret;  // application traffic secrets 0
  std::uint64_t client_sequence = 0;                   // records that the client has sealed with its secret so far
  std::uint64_t server_sequence = 0;                   // the server's: tickets come first
  bool resumed = false;
  ProtocolName protocol;  // empty: no ALPN
  HostName name;          // empty: no SNI
};

}  // namespace sluice::tls
