#include "crypto/tls/server_context.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>

#include "crypto/tls/openssl.h"

namespace sluice::tls {

namespace {

constexpr std::string_view known_groups[] = {"X25519", "P-256", "P-384"};

std::string openssl_error() {
  char text[256] = "no reason given";
  if (const unsigned long error = ERR_peek_last_error()) ERR_error_string_n(error, text, sizeof text);
  ERR_clear_error();
  return text;
}

// A private key with a pass phrase is refused rather than asked for on the terminal.
int no_pass_phrase(char*, int, int, void*) { return -1; }

struct Errors {
  std::string text;
  void add(const std::string& place, const std::string& message) {
    if (!text.empty()) text += '\n';
    text += place + ": " + message;
  }
};

struct Loaded {
  std::vector<Certificate> chain;
  PrivateKey key;
  int type = EVP_PKEY_NONE;
};

bool load(const Identity& identity, OSSL_LIB_CTX* library, const std::string& place, Errors& errors, Loaded& out) {
  ERR_clear_error();
  Bio certificates{BIO_new_mem_buf(identity.certificate_pem.data(), static_cast<int>(identity.certificate_pem.size()))};
  for (;;) {
    X509* certificate = X509_new_ex(library, nullptr);
    if (!PEM_read_bio_X509(certificates.get(), &certificate, no_pass_phrase, nullptr)) {
      X509_free(certificate);
      break;
    }
    out.chain.emplace_back(certificate);
  }
  const unsigned long last = ERR_peek_last_error();
  if (out.chain.empty() || ERR_GET_REASON(last) != PEM_R_NO_START_LINE) {
    errors.add(place + ".certificate_pem", out.chain.empty() && ERR_GET_REASON(last) == PEM_R_NO_START_LINE
                                               ? "holds no certificate in PEM"
                                               : "cannot be parsed: " + openssl_error());
    return false;
  }
  ERR_clear_error();
  Bio key{BIO_new_mem_buf(identity.private_key_pem.data(), static_cast<int>(identity.private_key_pem.size()))};
  out.key.reset(PEM_read_bio_PrivateKey_ex(key.get(), nullptr, no_pass_phrase, nullptr, library, nullptr));
  if (!out.key) {
    errors.add(place + ".private_key_pem", "cannot be parsed (PEM, without a pass phrase): " + openssl_error());
    return false;
  }
  out.type = EVP_PKEY_get_base_id(out.key.get());
  if (out.type != EVP_PKEY_EC && out.type != EVP_PKEY_RSA) {
    errors.add(place + ".private_key_pem", "is neither an ECDSA nor an RSA key");
    return false;
  }
  if (X509_check_private_key(out.chain[0].get(), out.key.get()) != 1) {
    ERR_clear_error();
    errors.add(place + ".private_key_pem", "does not belong to the certificate");
    return false;
  }
  return true;
}

void check_validity(const X509* certificate, std::int64_t now_unix, const std::string& place,
                    ServerWarnings* warnings) {
  if (!warnings) return;
  time_t now = static_cast<time_t>(now_unix);
  if (X509_cmp_time(X509_get0_notAfter(certificate), &now) < 0)
    warnings->lines.push_back(place + ": the certificate has expired");
  if (X509_cmp_time(X509_get0_notBefore(certificate), &now) > 0)
    warnings->lines.push_back(place + ": the certificate is not valid yet");
}

void check_names(X509* certificate, const std::vector<std::string>& names, const std::string& place,
                 ServerWarnings* warnings) {
  if (!warnings) return;
  for (const std::string& name : names) {
    const std::string probe = name.starts_with("*.") ? "x" + name.substr(1) : name;
    if (X509_check_host(certificate, probe.data(), probe.size(), 0, nullptr) != 1)
      warnings->lines.push_back(place + ": the certificate does not cover " + name);
  }
  ERR_clear_error();
}

bool use(SSL_CTX* context, const Loaded& loaded) {
  if (SSL_CTX_use_certificate(context, loaded.chain[0].get()) != 1) return false;
  if (SSL_CTX_use_PrivateKey(context, loaded.key.get()) != 1) return false;
  if (SSL_CTX_clear_chain_certs(context) != 1) return false;
  for (std::size_t i = 1; i < loaded.chain.size(); ++i)
    if (SSL_CTX_add1_chain_cert(context, loaded.chain[i].get()) != 1) return false;
  return true;
}

template <typename Names>
std::string joined(const std::vector<std::string>& given, const Names& known, char separator) {
  std::string text;
  const auto add = [&](std::string_view name) {
    if (!text.empty()) text += separator;
    text += name;
  };
  if (given.empty())
    for (const auto& name : known) add(name);
  for (const std::string& name : given) add(name);
  return text;
}

class Builder {
 public:
  Builder(const ServerConfig& config, std::int64_t now_unix, ServerWarnings* warnings, Errors& errors)
      : config_(config), now_unix_(now_unix), warnings_(warnings), errors_(errors) {
    for (const SuiteInfo& info : sluice::suites) all_suites_.push_back(std::string{info.name});
    // Tickets of one set of names are worth nothing to another.
    std::string scope;
    for (const NamedIdentities& named : config.named)
      for (const std::string& name : named.names) scope += name + "\n";
    EVP_Digest(scope.data(), scope.size(), scope_.data(), nullptr, EVP_sha256(), nullptr);
  }

  void check_lists(ServerContext::Inner& inner) {
    for (std::size_t i = 0; i < config_.alpn.size(); ++i) {
      const std::string& name = config_.alpn[i];
      ProtocolName protocol;
      if (name.empty() || name.size() > protocol.text.size() || i >= 16) {
        errors_.add("alpn[" + std::to_string(i) + "]", "takes at most 16 names of 1 to 15 bytes");
        continue;
      }
      std::ranges::copy(name, protocol.text.begin());
      protocol.size = static_cast<std::uint8_t>(name.size());
      inner.protocols.push_back(protocol);
    }
    for (std::size_t i = 0; i < config_.suites.size(); ++i)
      if (std::ranges::find(all_suites_, config_.suites[i]) == all_suites_.end())
        errors_.add("suites[" + std::to_string(i) + "]", "unknown suite " + config_.suites[i]);
    for (std::size_t i = 0; i < config_.groups.size(); ++i)
      if (std::ranges::find(known_groups, config_.groups[i]) == std::end(known_groups))
        errors_.add("groups[" + std::to_string(i) + "]", "unknown group " + config_.groups[i]);
    if (config_.tickets > 16) errors_.add("tickets", "are at most 16");
    for (std::size_t i = 0; i < config_.named.size(); ++i) {
      const std::string place = "named[" + std::to_string(i) + "]";
      if (config_.named[i].names.empty()) errors_.add(place + ".names", "are empty");
      if (config_.named[i].identities.empty()) errors_.add(place + ".identities", "are empty");
      for (const std::string& name : config_.named[i].names)
        if (!inner.names.add(name, static_cast<std::uint32_t>(i)))
          errors_.add(place + ".names", "\"" + name + "\" is no host name, or is there twice");
    }
    if (config_.named.empty() && config_.fallback.empty()) errors_.add("identities", "there is no certificate at all");
    inner.names.finish();
    inner.has_fallback = !config_.fallback.empty();
  }

  // `first` is the thread whose errors and warnings are reported: the others parse the same text.
  void build(ServerContext::Inner::Thread& thread, OSSL_LIB_CTX* library, bool first) {
    warnings_ = first ? warnings_ : nullptr;
    thread.library = library;
    thread.ticket_cipher.reset(EVP_CIPHER_fetch(library, "AES-256-CBC", nullptr));
    if (!thread.ticket_cipher) errors_.add("library", openssl_error());
    thread.fallback = context(library, config_.fallback, {}, "fallback");
    for (std::size_t i = 0; i < config_.named.size(); ++i) {
      const NamedIdentities& named = config_.named[i];
      thread.named.push_back(
          context(library, named.identities, named.names, "named[" + std::to_string(i) + "].identities"));
    }
  }

 private:
  SslContext context(OSSL_LIB_CTX* library, const std::vector<Identity>& identities,
                     const std::vector<std::string>& names, const std::string& place) {
    SslContext context{SSL_CTX_new_ex(library, nullptr, TLS_server_method())};
    if (!context) {
      errors_.add(place, "OpenSSL gives no context: " + openssl_error());
      return {};
    }
    SSL_CTX* raw = context.get();
    SSL_CTX_set_min_proto_version(raw, TLS1_3_VERSION);
    SSL_CTX_set_options(raw, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_read_ahead(raw, 0);
    SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_early_data(raw, 0);
    SSL_CTX_set_num_tickets(raw, config_.tickets);
    if (config_.tickets == 0) SSL_CTX_set_options(raw, SSL_OP_NO_TICKET);
    SSL_CTX_set_session_id_context(raw, scope_.data(), scope_.size());
    if (SSL_CTX_set_ciphersuites(raw, joined(config_.suites, all_suites_, ':').c_str()) != 1)
      errors_.add("suites", "OpenSSL refuses them: " + openssl_error());
    if (SSL_CTX_set1_groups_list(raw, joined(config_.groups, known_groups, ':').c_str()) != 1)
      errors_.add("groups", "OpenSSL refuses them: " + openssl_error());
    HandshakeCallbacks::install(raw);
    if (!config_.alpn.empty()) SSL_CTX_set_alpn_select_cb(raw, HandshakeCallbacks::choose_protocol, nullptr);
    std::vector<int> types;
    for (std::size_t i = 0; i < identities.size(); ++i) {
      const std::string here = place + "[" + std::to_string(i) + "]";
      Loaded loaded;
      if (!load(identities[i], library, here, errors_, loaded)) continue;
      if (std::ranges::find(types, loaded.type) != types.end())
        errors_.add(here, "a certificate with this type of key is there already");
      types.push_back(loaded.type);
      check_validity(loaded.chain[0].get(), now_unix_, here, warnings_);
      check_names(loaded.chain[0].get(), names, here, warnings_);
      if (!use(raw, loaded)) errors_.add(here, "OpenSSL refuses the certificate: " + openssl_error());
    }
    return context;
  }

  const ServerConfig& config_;
  std::int64_t now_unix_;
  ServerWarnings* warnings_;
  Errors& errors_;
  std::vector<std::string> all_suites_;
  std::array<unsigned char, 32> scope_{};
};

}  // namespace

Libraries::Libraries(unsigned threads) {
  for (unsigned i = 0; i < threads; ++i) {
    libraries_.push_back(OSSL_LIB_CTX_new());
    CHECK(libraries_.back());
  }
}
Libraries::~Libraries() {
  for (void* library : libraries_) OSSL_LIB_CTX_free(static_cast<OSSL_LIB_CTX*>(library));
}
unsigned Libraries::threads() const { return static_cast<unsigned>(libraries_.size()); }
void* Libraries::library(unsigned thread) const { return libraries_[thread]; }

ServerContext::ServerContext(std::shared_ptr<const Inner> inner) : inner_(std::move(inner)) {}
ServerContext::ServerContext(ServerContext&&) noexcept = default;
ServerContext& ServerContext::operator=(ServerContext&&) noexcept = default;
ServerContext::~ServerContext() = default;

std::expected<ServerContext, std::string> ServerContext::build(const ServerConfig& config, const Libraries& libraries,
                                                               const TicketKeyring& keyring, std::int64_t now_unix,
                                                               ServerWarnings* warnings) {
  auto inner = std::make_shared<Inner>();
  inner->keyring = &keyring;
  inner->bio_method = HandshakeCallbacks::make_bio_method();
  inner->threads.resize(libraries.threads());
  Errors errors;
  Builder builder{config, now_unix, warnings, errors};
  builder.check_lists(*inner);
  for (unsigned i = 0; i < libraries.threads() && (i == 0 || errors.text.empty()); ++i)
    builder.build(inner->threads[i], static_cast<OSSL_LIB_CTX*>(libraries.library(i)), i == 0);
  if (!errors.text.empty()) return std::unexpected(errors.text);
  return ServerContext{std::move(inner)};
}

}  // namespace sluice::tls
