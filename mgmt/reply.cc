#include "mgmt/reply.h"

#include <algorithm>

namespace sluice::mgmt {

namespace {

constexpr std::size_t listed_max = 1000;

using flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;

Bytes finish(FlatBufferBuilder& builder, Offset<fb::Reply> reply) {
  builder.FinishSizePrefixed(reply);
  return {builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize()};
}

Offset<flatbuffers::Vector<Offset<fb::Fault>>> write(FlatBufferBuilder& builder, const Faults& faults) {
  std::vector<Offset<fb::Fault>> out;
  for (const Fault& each : faults)
    out.push_back(fb::CreateFaultDirect(builder, each.path.c_str(), each.message.c_str()));
  return builder.CreateVector(out);
}

}  // namespace

Bytes plain_reply(std::uint64_t id, fb::Outcome outcome, std::string_view message) {
  FlatBufferBuilder builder;
  const auto text =
      message.empty() ? Offset<flatbuffers::String>{} : builder.CreateString(message.data(), message.size());
  return finish(builder, fb::CreateReply(builder, id, outcome, text));
}

Bytes apply_reply(std::uint64_t id, const ApplyResult& result) {
  FlatBufferBuilder builder;
  if (result.kind != ApplyResult::Kind::applied) {
    const auto faults = write(builder, result.faults);
    const auto text = builder.CreateString(result.kind == ApplyResult::Kind::other_generation
                                               ? "refused: another generation runs"
                                               : "refused: what ran before still runs");
    return finish(builder, fb::CreateReply(builder, id, fb::Outcome::refused, text, faults));
  }
  std::vector<Offset<fb::Change>> changes;
  for (const Action& each : result.changes) {
    if (changes.size() == listed_max) break;
    const auto object = builder.CreateString(to_text(each.object).data(), to_text(each.object).size());
    const auto name = builder.CreateString(each.name);
    changes.push_back(fb::CreateChange(builder, static_cast<fb::ChangeKind>(each.kind), object, name));
  }
  Faults listed = result.warnings;
  listed.resize(std::min(listed.size(), listed_max));
  const auto warnings = write(builder, listed);
  const auto all = builder.CreateVector(changes);
  const auto applied =
      fb::CreateApplied(builder, result.generation, all,
                        static_cast<std::uint32_t>(result.changes.size() - changes.size()), warnings, result.took_ms);
  return finish(builder, fb::CreateReply(builder, id, fb::Outcome::ok, 0, 0, fb::Result::Applied, applied.Union()));
}

Bytes copy_reply(std::uint64_t id, std::uint64_t generation, ByteView policy) {
  FlatBufferBuilder builder{policy.size() + 256};
  const auto bytes = builder.CreateVector(policy.data(), policy.size());
  const auto copy = fb::CreatePolicyCopy(builder, generation, bytes);
  return finish(builder, fb::CreateReply(builder, id, fb::Outcome::ok, 0, 0, fb::Result::PolicyCopy, copy.Union()));
}

}  // namespace sluice::mgmt
