// tls_peer.h - stock peers for TLS tests: certificates made on the spot, and an OpenSSL client over memory BIOs.
#pragma once

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::test {

struct PemIdentity {
  std::string certificate, key;
};

enum class KeyType { ec, rsa };

inline std::string pem_text(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<std::size_t>(size));
  BIO_free(bio);
  return text;
}

// A self-signed certificate for the names, valid from now for the given time (which may be negative: expired).
inline PemIdentity make_identity(KeyType type, const std::vector<std::string>& names, long valid_seconds = 86400) {
  EVP_PKEY* key = type == KeyType::ec ? EVP_EC_gen("P-256") : EVP_RSA_gen(2048);
  X509* x = X509_new();
  X509_set_version(x, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
  X509_gmtime_adj(X509_getm_notBefore(x), valid_seconds < 0 ? 2 * valid_seconds : -60);
  X509_gmtime_adj(X509_getm_notAfter(x), valid_seconds);
  X509_set_pubkey(x, key);
  X509_NAME* name = X509_get_subject_name(x);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(names[0].c_str()), -1, -1,
                             0);
  X509_set_issuer_name(x, name);
  std::string alternatives;
  for (const std::string& each : names) alternatives += (alternatives.empty() ? "DNS:" : ",DNS:") + each;
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, alternatives.c_str());
  X509_add_ext(x, extension, -1);
  X509_EXTENSION_free(extension);
  X509_sign(x, key, EVP_sha256());
  PemIdentity out;
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, x);
  out.certificate = pem_text(bio);
  bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  out.key = pem_text(bio);
  X509_free(x);
  EVP_PKEY_free(key);
  return out;
}

// Made once a process: RSA keys are slow to make.
inline const PemIdentity& identity_of(KeyType type) {
  static const PemIdentity ec = make_identity(KeyType::ec, {"www.example.com"});
  static const PemIdentity rsa = make_identity(KeyType::rsa, {"www.example.com"});
  return type == KeyType::ec ? ec : rsa;
}

class TlsClient {
 public:
  struct Options {
    const char* suites = nullptr;
    const char* groups = nullptr;
    const char* signatures = nullptr;
    const char* name = nullptr;
    std::vector<std::string> protocols{};
    int max_version = 0;
    SSL_SESSION* session = nullptr;
  };

  explicit TlsClient(const Options& options) : context_(SSL_CTX_new(TLS_client_method())) {
    if (options.suites) SSL_CTX_set_ciphersuites(context_, options.suites);
    if (options.groups) SSL_CTX_set1_groups_list(context_, options.groups);
    if (options.signatures) SSL_CTX_set1_sigalgs_list(context_, options.signatures);
    if (options.max_version) SSL_CTX_set_max_proto_version(context_, options.max_version);
    // Not in the context's own cache: it marks what it holds as not resumable when it dies.
    SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_set_app_data(context_, this);
    SSL_CTX_sess_set_new_cb(context_, [](SSL* ssl, SSL_SESSION* session) {
      auto* self = static_cast<TlsClient*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
      self->sessions_.push_back(session);
      return 1;
    });
    ssl_ = SSL_new(context_);
    in_ = BIO_new(BIO_s_mem());
    out_ = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(in_, -1);
    SSL_set_bio(ssl_, in_, out_);
    SSL_set_connect_state(ssl_);
    if (options.name) SSL_set_tlsext_host_name(ssl_, options.name);
    std::string protocols;
    for (const std::string& protocol : options.protocols) protocols += static_cast<char>(protocol.size()) + protocol;
    if (!protocols.empty())
      SSL_set_alpn_protos(ssl_, reinterpret_cast<const unsigned char*>(protocols.data()),
                          static_cast<unsigned>(protocols.size()));
    if (options.session) SSL_set_session(ssl_, options.session);
  }
  ~TlsClient() {
    for (SSL_SESSION* session : sessions_) SSL_SESSION_free(session);
    // Without this OpenSSL takes the end for a truncation, and its sessions for not resumable.
    SSL_set_shutdown(ssl_, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(ssl_);
    SSL_CTX_free(context_);
  }
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  SSL* ssl() { return ssl_; }
  bool connected() const { return SSL_is_init_finished(ssl_); }
  const std::vector<SSL_SESSION*>& sessions() const { return sessions_; }

  void feed(std::string_view bytes) {
    if (!bytes.empty()) BIO_write(in_, bytes.data(), static_cast<int>(bytes.size()));
  }
  // Whatever the client wants on the wire.
  std::string take() {
    std::string bytes(BIO_ctrl_pending(out_), 0);
    if (!bytes.empty()) BIO_read(out_, bytes.data(), static_cast<int>(bytes.size()));
    return bytes;
  }
  // One step of the handshake. False when it failed.
  bool step() {
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl_);
    if (result == 1 || SSL_get_error(ssl_, result) == SSL_ERROR_WANT_READ) return true;
    if (!reason_) reason_ = ERR_GET_REASON(ERR_peek_error());
    return false;
  }
  bool write(std::string_view bytes) {
    return bytes.empty() ||
           SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())) == static_cast<int>(bytes.size());
  }
  // Decrypted bytes that have come; last_error() is SSL_ERROR_WANT_READ, _ZERO_RETURN (close_notify) or _SSL
  // afterwards.
  std::string read() {
    std::string all, piece(20000, 0);
    for (;;) {
      ERR_clear_error();
      const int n = SSL_read(ssl_, piece.data(), static_cast<int>(piece.size()));
      if (n <= 0) {
        error_ = SSL_get_error(ssl_, n);
        reason_ = ERR_GET_REASON(ERR_peek_error());
        return all;
      }
      all.append(piece, 0, static_cast<std::size_t>(n));
    }
  }
  int last_error() const { return error_; }
  // The alert that the server sent, when last_error() is SSL_ERROR_SSL or step() failed.
  int alert() const { return reason_ > SSL_AD_REASON_OFFSET ? reason_ - SSL_AD_REASON_OFFSET : -1; }

 private:
  SSL_CTX* context_;
  SSL* ssl_;
  BIO* in_;
  BIO* out_;
  std::vector<SSL_SESSION*> sessions_;
  int error_ = 0;
  int reason_ = 0;
};

}  // namespace sluice::test
