// covers: mgmt/decode.cc mgmt/validate.cc mgmt/validate_listeners.cc mgmt/validate_routes.cc mgmt/encode.cc
// fuzz_policy.cc - any bytes as a Policy buffer: decoding ends within its budget, what it gives comes back from encode
// as it was, and validate and the rooms judge it without falling over, valid or not. What is valid compiles or is
// refused with a path.
#include <cstdlib>

#include "crypto/tls/tickets.h"
#include "mgmt/compile.h"
#include "mgmt/decode.h"
#include "mgmt/encode.h"

namespace sluice::mgmt {
namespace {

constexpr DecodeLimits limits{.bytes = 1 << 20, .tables = 20'000, .decoded_bytes = 4 << 20};

struct Rooms {
  tls::Libraries libraries{1};
  tls::TicketKeyring keyring;
  route::DatabaseCache databases;
  Means means{libraries, keyring, databases, NodeFacts{.limits = {}, .ports = {"eth0", "eth1"}}, 1};
  Compiled nothing = compile_nothing(means);
};

// What the rooms would spend seconds on says nothing about the code here.
bool is_small(const spec::Policy& policy) {
  std::uint64_t slots = 0;
  for (const spec::Service& each : policy.services) slots += each.maglev_slots;
  return slots < 200'000;
}

void check(ByteView bytes) {
  static Rooms rooms;
  const auto policy = decode_policy(bytes, limits);
  if (!policy) {
    CHECK(!policy.error().empty());
    return;
  }
  const auto again = decode_policy(encode_policy(*policy, PrivateKeys::keep), {});
  CHECK(again && *again == *policy);
  const Verdict verdict = validate(*policy, rooms.means.node);
  CHECK(verdict.faults.size() <= faults_max + 1);
  for (const Fault& each : verdict.faults) CHECK(!each.message.empty());
  if (is_small(*policy)) {
    const Verdict judged = check_rooms(*policy, rooms.nothing, rooms.means, 1'800'000'000);
    for (const Fault& each : judged.faults) CHECK(!each.path.empty() && !each.message.empty());
  }
}

}  // namespace
}  // namespace sluice::mgmt

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sluice::mgmt::check({data, size});
  return 0;
}
