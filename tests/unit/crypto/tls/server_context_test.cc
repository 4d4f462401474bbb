#include "crypto/tls/server_context.h"

#include "tests/unit/crypto/tls/fixture.h"

namespace sluice::tls {
namespace {

struct ServerContextTest : testing::Test {
  Libraries libraries{2};
  TicketKeyring keyring;
  ServerWarnings warnings;
  std::string error(const ServerConfig& config) {
    const auto built = ServerContext::build(config, libraries, keyring, time(nullptr), &warnings);
    return built ? "" : built.error();
  }
};

TEST_F(ServerContextTest, TakesCertificatesOfBothKindsSideBySide) {
  ServerConfig config;
  config.named = {{{"www.example.com"}, {identity(KeyType::ec), identity(KeyType::rsa)}}};
  EXPECT_EQ(error(config), "");
  EXPECT_TRUE(warnings.lines.empty());
}

TEST_F(ServerContextTest, SaysEveryErrorByItsPlace) {
  ServerConfig config;
  config.named = {{{"a.example.com", "A.example.com"},
                   {{identity(KeyType::ec).certificate_pem, identity(KeyType::rsa).private_key_pem}}},
                  {{"not a name"}, {{"rubbish", "rubbish"}}},
                  {{}, {}}};
  config.fallback = {
      {identity(KeyType::ec).certificate_pem, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"},
      identity(KeyType::rsa),
      identity(KeyType::rsa)};
  config.alpn = {"http/1.1", ""};
  config.suites = {"TLS_AES_128_GCM_SHA256", "TLS_RSA_WITH_RC4_128_MD5"};
  config.groups = {"P-521"};
  const std::string all = error(config);
  for (const char* expected :
       {"named[0].names: \"A.example.com\"", "named[0].identities[0].private_key_pem: does not belong",
        "named[1].names: \"not a name\"", "named[1].identities[0].certificate_pem: holds no certificate",
        "named[2].names: are empty", "named[2].identities: are empty", "fallback[0].private_key_pem: cannot be parsed",
        "fallback[2]: a certificate with this type", "alpn[1]:", "suites[1]: unknown", "groups[0]: unknown"})
    EXPECT_NE(all.find(expected), std::string::npos) << expected << "\nin\n" << all;
  EXPECT_EQ(error({}), "identities: there is no certificate at all");
}

TEST_F(ServerContextTest, ATruncatedCertificateIsAnError) {
  ServerConfig config;
  Identity broken = identity(KeyType::ec);
  broken.certificate_pem += "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
  config.fallback = {broken};
  EXPECT_NE(error(config).find("fallback[0].certificate_pem: cannot be parsed"), std::string::npos) << error(config);
}

TEST_F(ServerContextTest, AnExpiredCertificateOrAnotherNameIsAWarning) {
  const auto old = test::make_identity(KeyType::ec, {"old.example.com"}, -3600);
  ServerConfig config;
  config.named = {{{"new.example.com"}, {{old.certificate, old.key}}}};
  EXPECT_EQ(error(config), "");
  ASSERT_EQ(warnings.lines.size(), 2u);
  EXPECT_EQ(warnings.lines[0], "named[0].identities[0]: the certificate has expired");
  EXPECT_EQ(warnings.lines[1], "named[0].identities[0]: the certificate does not cover new.example.com");
}

}  // namespace
}  // namespace sluice::tls
