#include "mgmt/reports.h"

#include <algorithm>

#include "tests/unit/mgmt/running.h"

namespace sluice::mgmt {
namespace {

using policy::ObjectKind;
using test::running;

// Counts on a worker, where alone it may be done.
void count(unsigned worker, std::uint32_t cluster, Figure figure, std::uint64_t n) {
  ASSERT_TRUE(running().plane->ask(
      worker, [&](Pipeline&, Nanos) { running().plane->workers()[worker]->stats->cluster(cluster).add(figure, n); },
      Nanos{5'000'000'000}));
}

template <typename T>
const T* finished(flatbuffers::FlatBufferBuilder& out, flatbuffers::Offset<T> root) {
  out.Finish(root);
  flatbuffers::Verifier verifier{out.GetBufferPointer(), out.GetSize()};
  EXPECT_TRUE(verifier.VerifyBuffer<T>(nullptr));
  return flatbuffers::GetRoot<T>(out.GetBufferPointer());
}

TEST(Reports, StatusTellsPolicyWorkersAndPorts) {
  running().apply(test::sample());
  flatbuffers::FlatBufferBuilder out;
  const fb::StatusReport* status = finished(out, report_status(out, running().sources()));
  EXPECT_EQ(status->pid(), static_cast<std::uint32_t>(getpid()));
  EXPECT_EQ(status->generation(), running().publisher->status().generation);
  EXPECT_EQ(status->clusters(), 3u);
  EXPECT_EQ(status->endpoints(), 5u);
  EXPECT_EQ(status->services(), 1u);
  EXPECT_FALSE(status->draining());
  ASSERT_EQ(status->workers()->size(), 2u);
  EXPECT_EQ(status->workers()->Get(1)->worker(), 1u);
  ASSERT_EQ(status->ports()->size(), 2u);
  EXPECT_EQ(status->ports()->Get(0)->name()->str(), "front");
  EXPECT_EQ(status->ports()->Get(1)->driver()->str(), "net_null");
}

TEST(Reports, FiguresAreSummedOverWorkersAndBeginWithTheObject) {
  spec::Policy policy = test::sample();
  policy.clusters.push_back({.name = "first"});
  policy.endpoints.push_back({"first", "1", "10.0.9.1:80", 1});
  running().apply(policy);
  const std::uint32_t id = running().cluster("first");
  const auto now = [&](Figure figure) {
    return running().baselines.now(*running().plane, ObjectKind::cluster, id).get(figure);
  };
  count(0, id, Figure::requests, 3);
  count(1, id, Figure::requests, 4);
  count(1, id, Figure::active_requests, 2);
  EXPECT_EQ(now(Figure::requests), 7u);
  EXPECT_EQ(now(Figure::active_requests), 2u);

  running().apply(policy);  // the same name: it goes on
  EXPECT_EQ(now(Figure::requests), 7u);

  running().apply(test::sample());
  for (int i = 0; i < 500 && running().publisher->status().snapshots_alive > 1; ++i) {
    running().plane->ask(0, [](Pipeline&, Nanos) {});
    running().plane->ask(1, [](Pipeline&, Nanos) {});
    running().publisher->housekeep();
  }
  policy.clusters.back().name = "second";
  policy.endpoints.back().cluster = "second";
  running().apply(policy);
  ASSERT_EQ(running().cluster("second"), id) << "the id is used again";
  EXPECT_EQ(now(Figure::requests), 0u) << "what the one before counted is not told of this one";
  EXPECT_EQ(now(Figure::active_requests), 2u) << "a gauge is what it is";
  count(0, id, Figure::requests, 1);
  EXPECT_EQ(now(Figure::requests), 1u);
}

TEST(Reports, StatsTellTheKindsThatWereAskedFor) {
  running().apply(test::sample());
  const auto names = [&](std::vector<fb::ObjectKind> kinds) {
    flatbuffers::FlatBufferBuilder question, out;
    question.Finish(fb::CreateStatsDirect(question, &kinds));
    const auto* request = flatbuffers::GetRoot<fb::Stats>(question.GetBufferPointer());
    const fb::StatsReport* report = finished(out, report_stats(out, running().sources(), *request));
    std::vector<std::string> found;
    if (report->objects())
      for (const auto* each : *report->objects()) found.push_back(each->name()->str());
    std::ranges::sort(found);
    return found;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(names({fb::ObjectKind::cluster}), (Names{"a", "b", "dns"}));
  EXPECT_EQ(names({fb::ObjectKind::listener, fb::ObjectKind::route}), (Names{"canary", "web"}));
  EXPECT_EQ(names({}).size(), 1u + 1 + 3 + 5 + 1) << "all of them";
}

TEST(Reports, ServicesTellTheirBackends) {
  running().apply(test::sample());
  flatbuffers::FlatBufferBuilder out;
  const fb::ServicesReport* report = finished(out, report_services(out, running().sources()));
  ASSERT_EQ(report->services()->size(), 1u);
  EXPECT_EQ(report->services()->Get(0)->name()->str(), "dns");
  EXPECT_EQ(report->services()->Get(0)->backends()->size(), 2u);
}

TEST(Reports, ConnectionsAreListedUpToTheLimitAndWithDetailOnlyWhenAsked) {
  running().apply(test::sample());
  std::vector<tcp::ConnId> opened[2];
  for (unsigned worker = 0; worker < 2; ++worker)
    ASSERT_TRUE(running().plane->ask(
        worker,
        [&](Pipeline& pipeline, Nanos now) {
          for (std::uint16_t i = 0; i < 100; ++i) {
            const auto id = pipeline.tcp().connect({.remote = *parse_endpoint("10.0.0.9:80"),
                                                    .local = *parse_ip("10.0.0.254"),
                                                    .local_port = static_cast<std::uint16_t>(20'000 + i)},
                                                   now);
            if (id) opened[worker].push_back(*id);
          }
        },
        Nanos{5'000'000'000}));
  flatbuffers::FlatBufferBuilder some, all, named;
  const auto ask = [&](flatbuffers::FlatBufferBuilder& out, std::uint32_t limit, bool detail, const char* listener) {
    flatbuffers::FlatBufferBuilder question;
    question.Finish(fb::CreateConnectionsDirect(question, listener, limit, detail));
    const auto* request = flatbuffers::GetRoot<fb::Connections>(question.GetBufferPointer());
    return finished(out, report_connections(out, running().sources(), *request));
  };
  const auto* first = ask(some, 150, false, nullptr);
  ASSERT_EQ(first->connections()->size(), 150u);
  EXPECT_FALSE(first->partial());
  EXPECT_EQ(first->connections()->Get(0)->detail(), nullptr);

  const auto* each = ask(all, 1000, true, nullptr);
  ASSERT_EQ(each->connections()->size(), 200u);
  EXPECT_EQ(each->total(), 200u);
  const auto* one = each->connections()->Get(199);
  EXPECT_EQ(one->worker(), 1u);
  EXPECT_EQ(one->state()->str(), "syn-sent");
  EXPECT_EQ(one->remote()->str(), "10.0.0.9:80");
  ASSERT_NE(one->detail(), nullptr);
  EXPECT_EQ(one->detail()->ssthresh(), 0u) << "never set";
  EXPECT_GE(one->detail()->rto_us(), 1'000'000u) << "RFC 6298 2.1";

  EXPECT_EQ(ask(named, 1000, true, "web")->total(), 0u) << "they belong to no listener";
  for (unsigned worker = 0; worker < 2; ++worker)
    ASSERT_TRUE(running().plane->ask(
        worker,
        [&](Pipeline& pipeline, Nanos now) {
          for (const tcp::ConnId id : opened[worker]) {
            pipeline.tcp().abort(id, now);
            pipeline.tcp().release(id, now);
          }
        },
        Nanos{5'000'000'000}));
}

TEST(Reports, ACounterIsTheSumOfTheWorkers) {
  Plane& plane = *running().plane;
  const std::uint64_t before = sum_counter(plane, Counter::http_timeouts);
  for (unsigned worker = 0; worker < 2; ++worker)
    ASSERT_TRUE(plane.ask(
        worker, [&](Pipeline&, Nanos) { plane.workers()[worker]->counters.add(Counter::http_timeouts, 5 + worker); },
        Nanos{5'000'000'000}));
  EXPECT_EQ(sum_counter(plane, Counter::http_timeouts) - before, 11u);
}

}  // namespace
}  // namespace sluice::mgmt
