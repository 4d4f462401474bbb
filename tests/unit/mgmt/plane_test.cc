#include "mgmt/plane.h"

#include <chrono>
#include <thread>

#include "tests/unit/mgmt/running.h"

namespace sluice::mgmt {
namespace {

using test::running;

TEST(Plane, PortsAreThoseOfTheNodeFileInItsOrder) {
  const Plane& plane = *running().plane;
  ASSERT_EQ(plane.ports().size(), 2u);
  EXPECT_EQ(plane.ports()[0].name, "front");
  EXPECT_EQ(plane.ports()[1].name, "back");
  EXPECT_EQ(plane.ports()[0].device->driver(), "net_null");
  EXPECT_EQ(plane.port_id("front"), 0);
  EXPECT_EQ(plane.port_id("back"), 1);
  EXPECT_EQ(plane.port_id("other"), no_port);
}

TEST(Plane, AJobRunsOnItsOwnWorkerAndIsWaitedFor) {
  Plane& plane = *running().plane;
  std::thread::id threads[2];
  for (unsigned worker = 0; worker < 2; ++worker) {
    const Nanos before = plane.clock().now();
    Nanos at;
    ASSERT_TRUE(plane.ask(
        worker,
        [&](Pipeline&, Nanos now) {
          threads[worker] = std::this_thread::get_id();
          at = now;
        },
        Nanos{20'000'000'000}));
    EXPECT_GE(at, before - Nanos{1'000'000'000});
    EXPECT_LE(at, plane.clock().now());
  }
  EXPECT_NE(threads[0], threads[1]);
  EXPECT_NE(threads[0], std::this_thread::get_id());
}

TEST(Plane, AWorkerThatDoesNotComeInTimeIsNotWaitedFor) {
  Plane& plane = *running().plane;
  std::atomic<bool> begun{false}, go{false}, ran{false};
  std::thread first{[&] {
    EXPECT_TRUE(plane.ask(
        0,
        [&](Pipeline&, Nanos) {
          begun = true;
          while (!go) std::this_thread::yield();
        },
        Nanos{30'000'000'000}));
  }};
  while (!begun) std::this_thread::yield();
  EXPECT_FALSE(plane.ask(0, [&](Pipeline&, Nanos) { ran = true; }, Nanos{5'000'000}));
  go = true;
  first.join();
  EXPECT_TRUE(plane.ask(0, [](Pipeline&, Nanos) {}, Nanos{20'000'000'000}));
  EXPECT_FALSE(ran) << "a job that was given up is not run later: what it refers to is gone";
}

TEST(Plane, WorkersReportThatTheyAreQuiet) {
  running().apply(test::sample());
  running().apply(test::sample());
  for (int i = 0; i < 500 && running().publisher->status().snapshots_alive > 1; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
    running().publisher->housekeep();
  }
  EXPECT_EQ(running().publisher->status().snapshots_alive, 1u);
}

}  // namespace
}  // namespace sluice::mgmt
