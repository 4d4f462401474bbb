#include "dataplane/base/address.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(Address, TextRoundTripsInBothFamilies) {
  for (const char* text : {"10.1.2.3", "0.0.0.0", "::", "::1", "2001:db8::1", "fe80::1:2"}) {
    const auto address = parse_ip(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(to_text(*address).view(), text);
  }
  EXPECT_TRUE(parse_ip("10.1.2.3")->is_v4());
  EXPECT_EQ(parse_ip("10.1.2.3")->v4(), 0x0a010203u);
  EXPECT_EQ(IpAddress::from_v4(0x0a010203), *parse_ip("10.1.2.3"));
  EXPECT_EQ(parse_ip("10.1.2.3")->wire().size(), 4u);
}

TEST(Address, RefusesWhatIsNotWhollyAnAddress) {
  for (const char* text : {"", "10.1.2", "10.1.2.256", "10.1.2.3 ", "host", "1::2::3", "::1%eth0"})
    EXPECT_FALSE(parse_ip(text)) << text;
  EXPECT_FALSE(parse_mac("00:11:22:33:44"));
  EXPECT_FALSE(parse_mac("00:11:22:33:44:5g"));
  EXPECT_FALSE(parse_prefix("10.0.0.0/33"));
  EXPECT_FALSE(parse_prefix("10.0.0.0"));
  EXPECT_FALSE(parse_endpoint("10.0.0.1:65536"));
  EXPECT_FALSE(parse_endpoint("::1:80"));
  EXPECT_FALSE(parse_endpoint("[10.0.0.1]:80"));
}

TEST(Address, PrefixContainsByBits) {
  const Prefix p = *parse_prefix("10.1.0.0/17");
  EXPECT_TRUE(p.contains(*parse_ip("10.1.127.255")));
  EXPECT_FALSE(p.contains(*parse_ip("10.1.128.0")));
  EXPECT_FALSE(p.contains(*parse_ip("::10.1.0.1")));
  EXPECT_TRUE(parse_prefix("::/0")->contains(*parse_ip("2001:db8::1")));
  EXPECT_FALSE(parse_prefix("::/0")->contains(*parse_ip("1.2.3.4")));
  EXPECT_EQ(to_text(parse_prefix("10.1.255.9/17")->masked()).view(), "10.1.128.0/17");
  EXPECT_EQ(to_text(parse_prefix("2001:db8:ffff::1/33")->masked()).view(), "2001:db8:8000::/33");
}

TEST(Address, EndpointsAndMacs) {
  EXPECT_EQ(to_text(*parse_endpoint("10.0.0.1:80")).view(), "10.0.0.1:80");
  EXPECT_EQ(to_text(*parse_endpoint("[2001:db8::1]:443")).view(), "[2001:db8::1]:443");
  EXPECT_EQ(to_text(*parse_mac("02:00:00:00:00:fe")).view(), "02:00:00:00:00:fe");
}

}  // namespace
}  // namespace sluice
