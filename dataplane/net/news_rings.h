// news_rings.h - what one worker learns about neighbours reaches all the others: an SPSC ring for each ordered pair.
// A full ring loses news, counted; the neighbour is then resolved again by whoever missed it.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "dataplane/base/counters.h"
#include "dataplane/base/ring.h"
#include "dataplane/net/neighbours.h"

namespace sluice {

class NewsRings {
 public:
  explicit NewsRings(unsigned workers, std::size_t ring_size = 256) : workers_(workers) {
    for (unsigned i = 0; i < workers * workers; ++i)
      rings_.push_back(std::make_unique<SpscRing<NeighbourNews>>(ring_size));
  }

  // Worker `from`.
  void send(unsigned from, std::span<const NeighbourNews> news, Counters& counters) {
    for (unsigned to = 0; to < workers_; ++to)
      if (to != from)
        for (const NeighbourNews& one : news)
          if (!ring(from, to).push(one)) counters.add(Counter::neighbour_news_lost);
  }
  // Worker `to`: calls f(news) for all that has come.
  template <typename F>
  void receive(unsigned to, F&& f) {
    for (unsigned from = 0; from < workers_; ++from)
      for (NeighbourNews one; from != to && ring(from, to).pop(one);) f(one);
  }

 private:
  SpscRing<NeighbourNews>& ring(unsigned from, unsigned to) { return *rings_[from * workers_ + to]; }

  unsigned workers_;
  std::vector<std::unique_ptr<SpscRing<NeighbourNews>>> rings_;
};

}  // namespace sluice
