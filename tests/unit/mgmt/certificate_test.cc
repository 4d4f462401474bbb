#include "mgmt/certificate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/tls_peer.h"

namespace sluice::mgmt {
namespace {

using testing::ElementsAre;
using testing::Optional;

// Certificates made by OpenSSL on the spot, with these names as subject alternative names.
std::string chain(const std::vector<std::string>& names) {
  return sluice::test::make_identity(sluice::test::KeyType::ec, names).certificate;
}

TEST(ServerNames, AreThoseOfTheLeafInLowerCaseOnce) {
  EXPECT_THAT(server_names_of(chain({"WWW.Example.com", "*.example.org", "www.example.com"})),
              Optional(ElementsAre("www.example.com", "*.example.org")));
  EXPECT_THAT(server_names_of(chain({"leaf.example"}) + chain({"issuer.example"})),
              Optional(ElementsAre("leaf.example")));
}

TEST(ServerNames, WhatIsNoCertificateHasNone) {
  EXPECT_EQ(server_names_of(""), std::nullopt);
  EXPECT_EQ(server_names_of("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), std::nullopt);
  EXPECT_EQ(server_names_of(chain({"a.example"}).substr(0, 200)), std::nullopt);
}

}  // namespace
}  // namespace sluice::mgmt
