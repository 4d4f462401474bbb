#include "mgmt/handshake_threads.h"

#include <set>

#include "tests/unit/crypto/tls/fixture.h"

namespace sluice::mgmt {
namespace {

using tls::Conversation;

struct HandshakeThreadsTest : tls::TlsTest {
  const Clock clock;
  // Goes on until all are through, or a minute is over.
  bool all_shake_hands(std::vector<std::unique_ptr<Conversation>>& talks) {
    for (const Nanos until = clock.now() + Nanos{60'000'000'000}; clock.now() < until; std::this_thread::yield()) {
      bool all = true;
      for (auto& talk : talks) {
        talk->client.step();
        talk->pump();
        all &= talk->announced && talk->client.connected();
      }
      worker->sessions.take_finished_jobs(now);
      if (all) return true;
    }
    return false;
  }
};

TEST_F(HandshakeThreadsTest, EveryWorkerHasALineToEveryHelper) {
  const HandshakeThreads helpers{2, 3, Nanos{1'000'000'000}, {}, clock};
  std::set<const tls::HandshakeLine*> lines;
  for (unsigned worker = 0; worker < 2; ++worker) {
    ASSERT_EQ(helpers.lines(worker).size(), 3u);
    for (unsigned helper = 0; helper < 3; ++helper) {
      EXPECT_EQ(helpers.lines(worker)[helper]->thread(), 2 + helper) << "its place in Libraries";
      lines.insert(helpers.lines(worker)[helper]);
    }
  }
  EXPECT_EQ(lines.size(), 6u);
  const HandshakeThreads none{2, 0, Nanos{1'000'000'000}, {}, clock};
  EXPECT_TRUE(none.lines(1).empty());
}

TEST_F(HandshakeThreadsTest, TheyShakeHandsForAWorker) {
  const tls::ServerContext server = context();  // Libraries has room for thread 1: the helper
  now = clock.now();
  HandshakeThreads helpers{1, 1, Nanos{60'000'000'000}, {}, clock};
  worker->sessions.use_helpers(helpers.lines(0));
  {
    std::vector<std::unique_ptr<Conversation>> talks;
    for (int i = 0; i < 8; ++i)
      talks.push_back(std::make_unique<Conversation>(*worker, server, tls::TlsClient::Options{}, now));
    ASSERT_TRUE(all_shake_hands(talks));
    talks[3]->send("served elsewhere");
    EXPECT_EQ(talks[3]->client.read(), "served elsewhere");
  }
  helpers.stop();
  worker->sessions.take_finished_jobs(now);
}

}  // namespace
}  // namespace sluice::mgmt
