#include "l4/listener.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(Listeners, AListenerForEveryDestinationTakesAny) {
  const ListenerRule rules[] = {
      {.id = 3, .destination = *parse_prefix("0.0.0.0/0"), .ports = {80, 80}},
      {.id = 4, .destination = *parse_prefix("192.0.2.10/32"), .ports = {80, 80}, .ingress = 2}};
  const auto listeners = Listeners::compile(rules);
  ASSERT_TRUE(listeners);
  EXPECT_EQ(listeners->find(*parse_ip("203.0.113.9"), 80, 0), 3u);
  EXPECT_EQ(listeners->find(*parse_ip("192.0.2.10"), 80, 0), 3u) << "the nearer rule is for another ingress port";
  EXPECT_EQ(listeners->find(*parse_ip("192.0.2.10"), 80, 2), 4u);
  EXPECT_EQ(listeners->find(*parse_ip("192.0.2.10"), 81, 2), std::nullopt);
  EXPECT_EQ(listeners->find(*parse_ip("2001:db8::1"), 80, 0), std::nullopt);
  EXPECT_EQ(listeners->match(*parse_ip("203.0.113.9"), 80, 0)->prefix_bits, 96);
}

TEST(Listeners, OneListenerMayHaveSeveralRulesButNotTwoTheSame) {
  const ListenerRule rules[] = {{.id = 1, .destination = *parse_prefix("0.0.0.0/0"), .ports = {80, 80}},
                                {.id = 1, .destination = *parse_prefix("::/0"), .ports = {80, 80}},
                                {.id = 2, .destination = *parse_prefix("::/0"), .ports = {80, 80}}};
  EXPECT_TRUE(Listeners::compile(std::span{rules}.first(2)));
  const auto refused = Listeners::compile(rules);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().first, 1u);
  EXPECT_EQ(refused.error().second, 2u);
}

}  // namespace
}  // namespace sluice
