#include "mgmt/decode.h"

#include <gtest/gtest.h>

#include "mgmt/encode.h"
#include "tests/unit/mgmt/sample.h"

namespace sluice::mgmt {
namespace {

TEST(Decode, WhatIsEncodedComesBack) {
  spec::Policy policy = test::sample();
  policy.certificates.push_back({"c", "chain", "key", {"www.example.com"}});
  policy.listeners[0].tls =
      spec::ListenerTls{.certificates = {"c"}, .default_certificate = "c", .alpn = {"http/1.1"}, .tickets = 1};
  policy.listeners[0].limits.max_connections = 7;
  policy.listeners[0].timeouts.idle_ms = 1;
  spec::Route& route = policy.route_tables[0].virtual_hosts[0].routes[0];
  route.queries = {{"q", spec::ValueMatchKind::absent, "", true}};
  route.rewrite = {"h", "/p", ""};
  route.request_fields = {{spec::FieldOperation::remove, "x", ""}};
  route.allow_upgrade = true;
  policy.services[0].timeouts.udp_ms = 5;
  const auto bytes = encode_policy(policy, PrivateKeys::keep);
  const auto back = decode_policy(bytes, {});
  ASSERT_TRUE(back) << back.error()[0].message;
  EXPECT_EQ(*back, policy);
  auto without = policy;
  without.certificates[0].key_pem.clear();
  EXPECT_EQ(decode_policy(encode_policy(policy, PrivateKeys::leave_out), {}).value(), without);
}

TEST(Decode, EveryTruncationIsRefusedOrHarmless) {
  const auto bytes = encode_policy(test::sample(), PrivateKeys::keep);
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    const std::vector<std::uint8_t> cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
    const auto got = decode_policy(cut, {});
    if (!got) { EXPECT_EQ(got.error().size(), 1u); }
  }
}

TEST(Decode, AnUnknownEnumValueIsNamedByItsPath) {
  flatbuffers::FlatBufferBuilder b;
  const auto name = b.CreateString("c");
  const auto cluster = fb::CreateCluster(b, name, static_cast<fb::Balance>(9));
  const auto clusters = b.CreateVector(std::vector{cluster});
  fb::FinishPolicyBuffer(b, fb::CreatePolicy(b, 0, 0, 0, clusters));
  const auto got = decode_policy({b.GetBufferPointer(), b.GetSize()}, {});
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error(), (Faults{{"clusters[0].balance", "value 9 is not known to this sluiced"}}));
}

TEST(Decode, ASmallBufferThatUnfoldsToALotIsRefused) {
  flatbuffers::FlatBufferBuilder b;
  const auto big = b.CreateString(std::string(100'000, 'x'));
  const auto listener =
      fb::CreateListener(b, big, b.CreateVector(std::vector<flatbuffers::Offset<flatbuffers::String>>(20'000, big)));
  const auto listeners = b.CreateVector(std::vector{listener});
  fb::FinishPolicyBuffer(b, fb::CreatePolicy(b, listeners));
  const auto got = decode_policy({b.GetBufferPointer(), b.GetSize()}, {});
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error()[0].message, "the policy unfolds to more than 536870912 bytes");
}

TEST(Decode, SizeIsLimited) {
  const std::vector<std::uint8_t> bytes(2000);
  EXPECT_EQ(decode_policy(bytes, {.bytes = 1000}).error()[0].message, "2000 bytes are more than the limit of 1000");
}

}  // namespace
}  // namespace sluice::mgmt
