// running.h - a data plane that runs, on ports of DPDK's null driver, with a policy: what tests of mgmt ask and read.
// EAL starts once a process, so there is one for the whole program.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "mgmt/encode.h"
#include "mgmt/publish.h"
#include "mgmt/reports.h"
#include "tests/unit/mgmt/sample.h"

namespace sluice::mgmt::test {

class Running : public testing::Environment, public RunTime {
 public:
  static constexpr std::uint16_t workers = 2;

  void SetUp() override {
    NodeConfig config;
    config.name = "under-test";
    config.prefix = "unit-mgmt-" + std::to_string(getpid());
    config.hugepages = Hugepages::never;
    config.workers = workers;
    config.memory_mib = 256;
    config.connections = config.flows = 1024;
    config.tls_sessions = 64;
    for (const char* name : {"front", "back"}) {
      PortConfig port;
      port.name = name;
      port.device = std::string{"net_null_"} + name + ",no-rx=1";
      port.addresses = {*parse_prefix(config.ports.empty() ? "192.0.2.1/24" : "10.0.0.254/24")};
      config.ports.push_back(port);
    }
    const auto topology = plan_topology(config, allowed_cpus());
    ASSERT_TRUE(topology);
    auto opened = Plane::open(config, *topology);
    ASSERT_TRUE(opened) << opened.error().text;
    plane = std::move(*opened);
    publisher = std::make_unique<Publisher>(Means{plane->libraries(), keyring, databases, facts(), workers},
                                            DecodeLimits{}, plane->qsbr(), *this, nullptr);
    const auto started = plane->start_workers(publisher->published());
    ASSERT_TRUE(started) << started.error().text;
  }
  void TearDown() override {
    if (!plane) return;
    plane->stop_workers();
    publisher->housekeep();
    plane->drop_pipelines();
    publisher.reset();
    plane.reset();
  }

  void assigned(std::span<const ObjectRef> ids) override { baselines.begin(*plane, ids); }
  void publishing(const Policy&) override {}
  bool is_idle(const ObjectRef&) override { return true; }

  void apply(const spec::Policy& policy) {
    const ApplyResult result = publisher->apply(encode_policy(policy, PrivateKeys::keep));
    ASSERT_EQ(result.kind, ApplyResult::Kind::applied) << result.faults[0].path << ": " << result.faults[0].message;
  }
  std::uint32_t cluster(const char* name) const {
    for (const auto& each : publisher->current().clusters->clusters)
      if (each.name == name) return each.id;
    return policy::no_id;
  }
  ReportSources sources() { return {*plane, *publisher, baselines, Nanos{}, false}; }

  tls::TicketKeyring keyring;
  route::DatabaseCache databases;
  Baselines baselines;
  std::unique_ptr<Plane> plane;
  std::unique_ptr<Publisher> publisher;
};

inline Running& running() {
  static auto* const environment =
      static_cast<Running*>(testing::AddGlobalTestEnvironment(new Running));  // gtest's from here on
  return *environment;
}

}  // namespace sluice::mgmt::test
