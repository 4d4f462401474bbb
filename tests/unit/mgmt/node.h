// node.h - a publisher with all that it needs and a worker that does nothing but report.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <new>

#include "crypto/tls/tickets.h"
#include "mgmt/encode.h"
#include "mgmt/publish.h"
#include "tests/unit/mgmt/sample.h"

namespace sluice::mgmt::test {

struct QuietRunTime : RunTime {
  void assigned(std::span<const ObjectRef> ids) override { given += ids.size(); }
  void publishing(const Policy& next) override {
    if (fails) throw std::bad_alloc{};
    announced = next.generation;
  }
  bool is_idle(const ObjectRef&) override { return idle; }
  std::atomic<std::size_t> given{0};
  std::atomic<std::uint64_t> announced{0};
  std::atomic<bool> idle{true}, fails{false};
};

struct Node {
  explicit Node(Store* store = nullptr)
      : publisher({libraries, keyring, databases, facts(), 1}, {}, qsbr, run_time, store) {}
  ApplyResult apply(const spec::Policy& policy) { return publisher.apply(encode_policy(policy, PrivateKeys::keep)); }

  tls::Libraries libraries{1};
  tls::TicketKeyring keyring;
  route::DatabaseCache databases;
  Qsbr qsbr{1};
  QuietRunTime run_time;
  Publisher publisher;
};

}  // namespace sluice::mgmt::test
