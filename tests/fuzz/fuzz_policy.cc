// covers: mgmt/decode.cc mgmt/validate.cc mgmt/validate_listeners.cc mgmt/validate_routes.cc mgmt/encode.cc
// fuzz_policy.cc - any bytes as a Policy buffer: decoding ends within its budget, what it gives comes back from encode
// as it was, and validate and the rooms judge it without falling over, valid or not. What is valid compiles or is
// refused with a path. Its endpoints serve as a delta as well, against the policy itself.
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
  Means means{libraries, keyring, databases,
              NodeFacts{.limits = {.listeners = 4, .routes = 6, .clusters = 4, .endpoints = 6, .services = 4},
                        .ports = {"eth0", "eth1"},
                        .speaks = {{.address = *parse_ip("192.0.2.1"), .ports = {32768, 60999}, .use = LocalUse::snat},
                                   {.address = *parse_ip("192.0.2.1"), .ports = {10000, 20000}}}},
              1};
  Compiled nothing = compile_nothing(means);
};

// What the rooms would spend seconds on says nothing about the code here.
bool is_small(const spec::Policy& policy) {
  std::uint64_t slots = 0;
  for (const spec::Service& each : policy.services) slots += each.maglev_slots;
  return slots < 200'000;
}

void check(const Faults& faults) {
  CHECK(faults.size() <= faults_max + 1);
  for (const Fault& each : faults) CHECK(!each.message.empty());
}

// The endpoints of a policy, sent as a delta: half set, half removed.
void check_delta(const spec::Policy& policy) {
  flatbuffers::FlatBufferBuilder builder;
  std::vector<flatbuffers::Offset<fb::Endpoint>> set;
  std::vector<flatbuffers::Offset<fb::EndpointName>> remove;
  for (std::size_t i = 0; i < policy.endpoints.size(); ++i) {
    const spec::Endpoint& each = policy.endpoints[i];
    const auto cluster = builder.CreateString(each.cluster), name = builder.CreateString(each.name);
    if (i % 2) remove.push_back(fb::CreateEndpointName(builder, cluster, name));
    else set.push_back(fb::CreateEndpoint(builder, cluster, name, builder.CreateString(each.address), each.weight));
  }
  builder.Finish(fb::CreateEndpointDelta(builder, builder.CreateVector(set), builder.CreateVector(remove)));
  const auto* sent = flatbuffers::GetRoot<fb::EndpointDelta>(builder.GetBufferPointer());
  const auto delta = decode_delta(*sent, limits);
  CHECK(delta && delta->set.size() == set.size() && delta->remove.size() == remove.size());
  if (!set.empty()) CHECK(!decode_delta(*sent, {.decoded_bytes = 8}));
  const Verdict verdict = validate_delta(*delta, policy);
  check(verdict.faults);
  // Against a policy that has none of it: everything is unknown.
  CHECK(set.size() + remove.size() == 0 || !validate_delta(*delta, {}).ok());
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
  check(verdict.faults);
  const Verdict of_endpoints = validate_endpoints(*policy, rooms.means.node);
  check(of_endpoints.faults);
  CHECK(of_endpoints.ok() || !verdict.ok());
  check_delta(*policy);
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
