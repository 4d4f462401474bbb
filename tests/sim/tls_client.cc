// RAND_set_rand_method is how every context's generator can be taken over at once.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "tests/sim/tls_client.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <utility>

#include "dataplane/base/check.h"
#include "dataplane/base/rng.h"

namespace sluice::sim {

namespace {

Rng random_numbers{1};

int random_bytes(unsigned char* to, int size) {
  for (int i = 0; i < size; ++i) to[i] = static_cast<unsigned char>(random_numbers.next() >> 32);
  return 1;
}

const RAND_METHOD method{.seed = nullptr,
                         .bytes = random_bytes,
                         .cleanup = nullptr,
                         .add = nullptr,
                         .pseudorand = random_bytes,
                         .status = [] { return 1; }};

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<std::size_t>(size));
  BIO_free(bio);
  return text;
}

PemPair make_identity() {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* x = X509_new();
  X509_set_version(x, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
  ASN1_TIME_set_string(X509_getm_notBefore(x), "20200101000000Z");
  ASN1_TIME_set_string(X509_getm_notAfter(x), "20490101000000Z");
  X509_set_pubkey(x, key);
  X509_NAME* name = X509_get_subject_name(x);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("www.example.com"), -1,
                             -1, 0);
  X509_set_issuer_name(x, name);
  X509_EXTENSION* extension =
      X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "DNS:www.example.com,DNS:*.example.com");
  X509_add_ext(x, extension, -1);
  X509_EXTENSION_free(extension);
  CHECK(X509_sign(x, key, EVP_sha256()) > 0);
  PemPair pair;
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, x);
  pair.certificate = text_of(bio);
  bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  pair.key = text_of(bio);
  X509_free(x);
  EVP_PKEY_free(key);
  return pair;
}

// One for the process; it trusts the one certificate.
SSL_CTX* client_context() {
  static SSL_CTX* const context = [] {
    SSL_CTX* c = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION);
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(c, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER, nullptr);
    BIO* bio = BIO_new_mem_buf(server_identity().certificate.data(), -1);
    X509* x = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(c), x);
    X509_free(x);
    BIO_free(bio);
    return c;
  }();
  return context;
}

}  // namespace

void seed_openssl(std::uint64_t seed) {
  random_numbers = Rng{seed};
  CHECK(RAND_set_rand_method(&method) == 1);
}

const PemPair& server_identity() {
  static const PemPair pair = make_identity();
  return pair;
}

TlsClient::TlsClient() : ssl_(SSL_new(client_context())), in_(BIO_new(BIO_s_mem())), out_(BIO_new(BIO_s_mem())) {
  BIO_set_mem_eof_return(in_, -1);
  SSL_set_bio(ssl_, in_, out_);
  SSL_set_connect_state(ssl_);
  SSL_set_tlsext_host_name(ssl_, "www.example.com");
  SSL_set1_host(ssl_, "www.example.com");
}

TlsClient::~TlsClient() {
  SSL_set_shutdown(ssl_, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  SSL_free(ssl_);
}

bool TlsClient::receive(std::string_view wire, std::string& plaintext) {
  if (failed_) return false;
  if (wire.empty()) return true;  // all that came before is read
  BIO_write(in_, wire.data(), static_cast<int>(wire.size()));
  char piece[16384];
  for (;;) {
    ERR_clear_error();
    const bool established = SSL_is_init_finished(ssl_);
    const int n = established ? SSL_read(ssl_, piece, sizeof piece) : SSL_do_handshake(ssl_);
    if (n > 0) {
      if (established) plaintext.append(piece, static_cast<std::size_t>(n));
      continue;
    }
    const int error = SSL_get_error(ssl_, n);
    if (error == SSL_ERROR_WANT_READ) return true;
    if (error == SSL_ERROR_ZERO_RETURN) return closed_ = true;
    failed_ = true;
    return false;
  }
}

std::string TlsClient::take() {
  if (!std::exchange(begun_, true)) {
    ERR_clear_error();
    SSL_do_handshake(ssl_);
  }
  if (SSL_is_init_finished(ssl_) && !waiting_.empty()) {
    SSL_write(ssl_, waiting_.data(), static_cast<int>(waiting_.size()));
    waiting_.clear();
  }
  std::string bytes(BIO_ctrl_pending(out_), 0);
  if (!bytes.empty()) BIO_read(out_, bytes.data(), static_cast<int>(bytes.size()));
  return bytes;
}

void TlsClient::close() {
  if (!failed_ && SSL_is_init_finished(ssl_)) SSL_shutdown(ssl_);
}

}  // namespace sluice::sim
