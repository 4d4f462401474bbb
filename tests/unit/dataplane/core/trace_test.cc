#include "dataplane/core/trace.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

const IpAddress client = *parse_ip("10.0.0.7"), service = *parse_ip("192.0.2.1");

TEST(Trace, TellsTheNextNStoriesThatMatchEitherWay) {
  Qsbr qsbr{1};
  Trace trace{1, 8};
  EXPECT_FALSE(trace.on());
  EXPECT_EQ(trace.match(client, 1000, service, 80, Protocol::tcp), 0u);
  trace.watch(
      TraceFilter{.one = parse_prefix("10.0.0.0/8"), .other = {}, .port = 80, .protocol = Protocol::tcp, .count = 2},
      qsbr);
  EXPECT_TRUE(trace.on());
  EXPECT_EQ(trace.match(client, 1000, service, 443, Protocol::tcp), 0u);
  EXPECT_EQ(trace.match(client, 1000, service, 80, Protocol::udp), 0u);
  EXPECT_EQ(trace.match(service, 1000, service, 80, Protocol::tcp), 0u);
  const std::uint32_t first = trace.match(client, 1000, service, 80, Protocol::tcp);
  const std::uint32_t second = trace.match(service, 80, client, 1000, Protocol::tcp);
  EXPECT_NE(first, 0u);
  EXPECT_NE(second, 0u);
  EXPECT_NE(first, second);
  EXPECT_EQ(trace.match(client, 1000, service, 80, Protocol::tcp), 0u) << "two were asked for";
  EXPECT_FALSE(trace.on());
  qsbr.reclaim();
}

TEST(Trace, EventsArriveWholeAndLossIsCounted) {
  Qsbr qsbr{1};
  Trace trace{1, 2};
  const std::string long_text(500, 'x');
  trace.tell(0, {5}, 0, "parse", "no story, no event");
  trace.tell(0, {7}, 3, "a stage with a very long name", long_text);
  trace.tell(0, {8}, 3, "route", "api to cluster blue");
  trace.tell(0, {9}, 3, "lost", "");
  std::array<TraceEvent, 4> events;
  ASSERT_EQ(trace.take(events), 2u);
  EXPECT_EQ(events[0].at, Nanos{7});
  EXPECT_EQ(events[0].story, 3u);
  EXPECT_EQ(events[0].stage_view(), "a stage with a v");
  EXPECT_EQ(events[0].text_view(), long_text.substr(0, 96));
  EXPECT_EQ(events[1].text_view(), "api to cluster blue");
  EXPECT_EQ(trace.lost(), 1u);
}

}  // namespace
}  // namespace sluice
