// openssl.h - OpenSSL's objects with an owner each, and the insides of a ServerContext. For this folder's sources only.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "crypto/tls/identity.h"

namespace sluice::tls {

template <auto free_function>
struct FreedBy {
  template <typename T>
  void operator()(T* object) const {
    free_function(object);
  }
};
using SslContext = std::unique_ptr<SSL_CTX, FreedBy<SSL_CTX_free>>;
using Certificate = std::unique_ptr<X509, FreedBy<X509_free>>;
using PrivateKey = std::unique_ptr<EVP_PKEY, FreedBy<EVP_PKEY_free>>;
using Bio = std::unique_ptr<BIO, FreedBy<BIO_free>>;
using BioMethod = std::unique_ptr<BIO_METHOD, FreedBy<BIO_meth_free>>;
using CipherMethod = std::unique_ptr<EVP_CIPHER, FreedBy<EVP_CIPHER_free>>;

// Read-only once built.
struct ServerContext::Inner {
  struct Thread {
    SslContext fallback;            // where every handshake begins; without a certificate when there is no fallback
    std::vector<SslContext> named;  // by identity of `names`
    CipherMethod ticket_cipher;
    OSSL_LIB_CTX* library = nullptr;
  };
  NameTable names;
  bool has_fallback = false;
  std::vector<ProtocolName> protocols;
  const TicketKeyring* keyring = nullptr;
  BioMethod bio_method;
  std::vector<Thread> threads;
};

// The callbacks from OpenSSL into a handshake, which is the SSL's application data.
struct HandshakeCallbacks {
  static BioMethod make_bio_method();
  static void install(SSL_CTX* context);
  // Called by OpenSSL.
  static int read(BIO* bio, char* to, std::size_t size, std::size_t* done);
  static int write(BIO* bio, const char* from, std::size_t size, std::size_t* done);
  static long control(BIO* bio, int command, long number, void* pointer);
  static void keylog(const SSL* ssl, const char* line);
  static int choose_identity(SSL* ssl, int* alert, void* argument);
  static int choose_protocol(SSL* ssl, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                             unsigned in_size, void* argument);
  static int ticket_key(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                        int seal);
};

}  // namespace sluice::tls

// Tested in tests/unit/crypto/tls/server_context_test.cc, tests/unit/crypto/tls/identity_test.cc.
