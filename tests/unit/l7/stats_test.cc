#include "l7/stats.h"

#include <gtest/gtest.h>

#include <thread>

namespace sluice {
namespace {

TEST(LatencyHistogram, BucketsCoverEveryMicrosecondOnceAndInOrder) {
  std::size_t previous = 0;
  for (std::uint64_t us = 0; us < 300'000; ++us) {
    const std::size_t bucket = LatencyHistogram::bucket_of({static_cast<std::int64_t>(us * 1000 + 999)});
    ASSERT_TRUE(bucket == previous || bucket == previous + 1) << us;
    ASSERT_LE(us, LatencyHistogram::upper_us(bucket));
    if (bucket > 0) { ASSERT_GT(us, LatencyHistogram::upper_us(bucket - 1)); }
    previous = bucket;
  }
}

TEST(LatencyHistogram, ABucketIsAtMostAnEighthWide) {
  for (std::size_t i = 9; i < LatencyHistogram::buckets; ++i) {
    const double low = static_cast<double>(LatencyHistogram::upper_us(i - 1)) + 1;
    EXPECT_LE((static_cast<double>(LatencyHistogram::upper_us(i)) + 1 - low) / low, 0.125) << i;
  }
}

TEST(LatencyHistogram, EndsAreKept) {
  EXPECT_EQ(LatencyHistogram::bucket_of({-5}), 0u);
  EXPECT_EQ(LatencyHistogram::bucket_of(Nanos::never()), LatencyHistogram::buckets - 1);
  EXPECT_EQ(LatencyHistogram::upper_us(LatencyHistogram::buckets - 1), (1u << 27) - 1);
}

TEST(ObjectStats, AnswersCountByClassAndLatencyByBucket) {
  Stats stats{{.listeners = 1, .routes = 1, .clusters = 4, .endpoints = 1, .services = 1}};
  ObjectStats& cluster = stats.cluster(3);
  for (unsigned status : {100u, 200u, 204u, 302u, 404u, 431u, 499u, 503u, 99u, 600u, 0u}) cluster.response(status);
  EXPECT_EQ(cluster.get(Figure::responses_1xx), 1u);
  EXPECT_EQ(cluster.get(Figure::responses_2xx), 2u);
  EXPECT_EQ(cluster.get(Figure::responses_3xx), 1u);
  EXPECT_EQ(cluster.get(Figure::responses_4xx), 3u);
  EXPECT_EQ(cluster.get(Figure::responses_5xx), 1u);
  cluster.latency(Nanos{5'000});
  cluster.latency(Nanos{5'999});
  EXPECT_EQ(cluster.latency_count(5), 2u);
  EXPECT_EQ(cluster.get(Figure::latency_us_sum), 10u);
}

TEST(Stats, ObjectsDoNotShareCells) {
  const policy::ObjectLimits limits{.listeners = 2, .routes = 3, .clusters = 2, .endpoints = 2, .services = 2};
  Stats stats{limits};
  stats.listener(1).add(Figure::requests, 1);
  stats.route(2)->add(Figure::requests, 2);
  stats.cluster(0).add(Figure::requests, 3);
  stats.endpoint(1).add(Figure::requests, 4);
  stats.service(1).add(Figure::requests, 5);
  stats.service(1).sub(Figure::requests, 2);
  std::uint64_t sum = 0;
  for (std::size_t kind = 0; kind < policy::object_kinds; ++kind)
    for (std::uint32_t i = 0; i < limits.of(static_cast<policy::ObjectKind>(kind)); ++i)
      sum += stats.at(static_cast<policy::ObjectKind>(kind), i).get(Figure::requests);
  EXPECT_EQ(sum, 13u);
  EXPECT_EQ(stats.at(policy::ObjectKind::route, 2).get(Figure::requests), 2u);
  EXPECT_EQ(stats.at(policy::ObjectKind::service, 1).get(Figure::requests), 3u);
  EXPECT_EQ(stats.route(policy::no_id), nullptr);
}

TEST(Stats, AReaderSeesOnlyWhatWasWritten) {
  Stats stats{{.listeners = 1, .routes = 1, .clusters = 1, .endpoints = 1, .services = 1}};
  std::thread writer{[&] {
    for (int i = 0; i < 200'000; ++i) stats.cluster(0).add(Figure::requests);
  }};
  std::uint64_t last = 0;
  while (last < 200'000) {
    const std::uint64_t now = stats.at(policy::ObjectKind::cluster, 0).get(Figure::requests);
    ASSERT_GE(now, last);
    ASSERT_LE(now, 200'000u);
    last = now;
  }
  writer.join();
}

}  // namespace
}  // namespace sluice
