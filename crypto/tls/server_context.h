// server_context.h - what a listener knows before the first byte: certificates by name, ALPN, suites, groups, tickets.
// Built and freed on the management thread (PEM is never parsed on a worker); read by workers and helper threads, each
// with an OpenSSL library context and SSL_CTXs of its own, because the default context's locks cost a third of two
// cores. A handshake that has begun keeps the context's insides alive, so that a policy change does not hurt it.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/tls/tickets.h"

namespace sluice::tls {

// One OpenSSL library context for each thread that runs handshakes. Built once, at start; outlives all contexts.
class Libraries {
 public:
  explicit Libraries(unsigned threads);
  ~Libraries();
  Libraries(const Libraries&) = delete;
  Libraries& operator=(const Libraries&) = delete;

  unsigned threads() const;
  void* library(unsigned thread) const;  // OSSL_LIB_CTX*

 private:
  std::vector<void*> libraries_;
};

// A certificate chain (leaf first) and its private key, both PEM.
struct Identity {
  std::string certificate_pem;
  std::string private_key_pem;
};

// The certificates for one or more names: one identity a key type (ECDSA and RSA side by side), the client's offers
// choose. A name is exact ("www.example.com") or has one leading wildcard label ("*.example.com", which covers exactly
// one label).
struct NamedIdentities {
  std::vector<std::string> names;
  std::vector<Identity> identities;
};

struct ServerConfig {
  std::vector<NamedIdentities> named;
  // For a name that no entry has and for clients that send none. Empty: such clients get unrecognized_name.
  std::vector<Identity> fallback;
  // In our order of preference. Empty: ALPN is not negotiated. Otherwise a client that offers ALPN and none of these
  // gets no_application_protocol. At most 16 names of at most 15 bytes.
  std::vector<std::string> alpn;
  std::vector<std::string> suites;  // IANA names; empty: all three of aead.h
  std::vector<std::string> groups;  // "X25519", "P-256", "P-384"; empty: all three
  unsigned tickets = 2;             // sent after a full handshake; 0 switches resumption off
};

// What an operator should know and that does not refuse the policy: an expired certificate, for example.
struct ServerWarnings {
  std::vector<std::string> lines;
};

class ServerContext {
 public:
  // All errors at once, one a line, each beginning with its place ("named[2].identities[0]: ..."). `keyring` and
  // `libraries` outlive the context. now: seconds since 1970, for the validity check.
  static std::expected<ServerContext, std::string> build(const ServerConfig& config, const Libraries& libraries,
                                                         const TicketKeyring& keyring, std::int64_t now_unix,
                                                         ServerWarnings* warnings = nullptr);
  ServerContext(ServerContext&&) noexcept;
  ServerContext& operator=(ServerContext&&) noexcept;
  ~ServerContext();

  struct Inner;  // handshake.cc
  const std::shared_ptr<const Inner>& inner() const { return inner_; }

 private:
  explicit ServerContext(std::shared_ptr<const Inner> inner);
  std::shared_ptr<const Inner> inner_;
};

}  // namespace sluice::tls
