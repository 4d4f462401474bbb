#include "crypto/aead.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>

namespace sluice {
namespace {

TEST(Aead, SuitesAreThoseOfRfc8446WithTheirKeyAndHashSizes) {
  SSL_CTX* context = SSL_CTX_new(TLS_method());
  SSL* ssl = SSL_new(context);
  for (const SuiteInfo& info : suites) {
    const unsigned char wire[] = {static_cast<unsigned char>(static_cast<unsigned>(info.suite) >> 8),
                                  static_cast<unsigned char>(info.suite)};
    const SSL_CIPHER* cipher = SSL_CIPHER_find(ssl, wire);
    ASSERT_NE(cipher, nullptr) << info.name;
    EXPECT_EQ(SSL_CIPHER_get_name(cipher), info.name);
    EXPECT_EQ(SSL_CIPHER_get_bits(cipher, nullptr), static_cast<int>(key_size(info.aead) * 8));
    EXPECT_EQ(EVP_MD_get_size(SSL_CIPHER_get_handshake_digest(cipher)), static_cast<int>(hash_size(info.hash)));
    EXPECT_EQ(find_suite(info.suite), &info);
  }
  SSL_free(ssl);
  SSL_CTX_free(context);
  EXPECT_EQ(find_suite(static_cast<Suite>(0x1304)), nullptr);
  EXPECT_EQ(find_suite(Suite::none), nullptr);
}

}  // namespace
}  // namespace sluice
