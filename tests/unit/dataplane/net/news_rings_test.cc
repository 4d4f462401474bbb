#include "dataplane/net/news_rings.h"

#include <gtest/gtest.h>

#include <vector>

namespace sluice {
namespace {

NeighbourNews news(InterfaceId interface) {
  NeighbourNews one;
  one.interface = interface;
  return one;
}

std::vector<InterfaceId> received(NewsRings& rings, unsigned worker) {
  std::vector<InterfaceId> all;
  rings.receive(worker, [&](const NeighbourNews& one) { all.push_back(one.interface); });
  return all;
}

TEST(NewsRings, EveryOtherWorkerHearsItOnce) {
  NewsRings rings{3};
  Counters counters;
  const NeighbourNews two[] = {news(1), news(2)};
  rings.send(0, two, counters);
  rings.send(2, {two, 1}, counters);
  EXPECT_EQ(received(rings, 0), (std::vector<InterfaceId>{1}));
  EXPECT_EQ(received(rings, 1), (std::vector<InterfaceId>{1, 2, 1}));
  EXPECT_EQ(received(rings, 2), (std::vector<InterfaceId>{1, 2}));
  for (unsigned worker = 0; worker < 3; ++worker) EXPECT_TRUE(received(rings, worker).empty());
  EXPECT_EQ(counters.get(Counter::neighbour_news_lost), 0u);
}

TEST(NewsRings, WhatDoesNotFitIsLostAndCounted) {
  NewsRings rings{2, 4};
  Counters counters;
  std::vector<NeighbourNews> many;
  for (InterfaceId i = 0; i < 7; ++i) many.push_back(news(i));
  rings.send(0, many, counters);
  EXPECT_EQ(counters.get(Counter::neighbour_news_lost), 3u);
  EXPECT_EQ(received(rings, 1), (std::vector<InterfaceId>{0, 1, 2, 3}));
}

TEST(NewsRings, AWorkerAloneTellsNobody) {
  NewsRings rings{1, 2};
  Counters counters;
  const NeighbourNews three[] = {news(1), news(2), news(3)};
  rings.send(0, three, counters);
  EXPECT_EQ(counters.get(Counter::neighbour_news_lost), 0u);
  EXPECT_TRUE(received(rings, 0).empty());
}

}  // namespace
}  // namespace sluice
