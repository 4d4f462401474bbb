#include "mgmt/registry.h"

#include <utility>

namespace sluice::mgmt {

Registry::Registry(const policy::ObjectLimits& limits) {
  for (std::size_t i = 0; i < policy::object_kinds; ++i)
    kinds_[i].limit = limits.of(static_cast<policy::ObjectKind>(i));
}

void Registry::move(Kind& kind, Entry& entry, State to) {
  if (entry.state == State::live) --kind.live;
  if (entry.state == State::leaving) --kind.leaving;
  entry.state = to;
  if (to == State::live) ++kind.live;
  if (to == State::leaving) ++kind.leaving;
}

void Registry::forget(Kind& kind, std::uint32_t id) {
  Entry& entry = kind.entries[id];
  kind.by_name.erase(entry.name);
  entry.name.clear();
  move(kind, entry, State::free);
  kind.free.push(id);
}

std::optional<ObjectRef> Registry::assign(policy::ObjectKind what, std::string_view name) {
  Kind& kind = kinds_[index(what)];
  if (const auto found = kind.by_name.find(name); found != kind.by_name.end()) {
    Entry& entry = kind.entries[found->second];
    if (entry.state == State::leaving) {
      undo_.push_back({what, found->second, State::leaving});
      move(kind, entry, State::live);
    }
    return ObjectRef{what, found->second, entry.generation};
  }
  if (kind.free.empty()) {
    if (kind.entries.size() >= kind.limit) return std::nullopt;
    kind.entries.emplace_back();
    kind.free.push(static_cast<std::uint32_t>(kind.entries.size() - 1));
  }
  // The way back is written down first: whatever throws from here on, rollback() mends.
  const std::uint32_t id = kind.free.top();
  undo_.push_back({what, id, State::free});
  kind.free.pop();
  Entry& entry = kind.entries[id];
  entry.name = name;
  ++entry.generation;
  kind.by_name.emplace(entry.name, id);
  move(kind, entry, State::live);
  assigned_.push_back({what, id, entry.generation});
  return assigned_.back();
}

void Registry::release(policy::ObjectKind what, std::string_view name) {
  Kind& kind = kinds_[index(what)];
  const auto found = kind.by_name.find(name);
  CHECK(found != kind.by_name.end());
  Entry& entry = kind.entries[found->second];
  CHECK(entry.state == State::live);
  undo_.push_back({what, found->second, State::live});
  move(kind, entry, State::leaving);
}

void Registry::commit(std::uint64_t policy_generation) {
  for (const Undo& each : undo_) {
    Entry& entry = kinds_[index(each.kind)].entries[each.id];
    if (each.was == State::live && entry.state == State::leaving) entry.left_at = policy_generation;
  }
  undo_.clear();
  assigned_.clear();
}

void Registry::rollback() {
  for (auto each = undo_.rbegin(); each != undo_.rend(); ++each) {
    Kind& kind = kinds_[index(each->kind)];
    if (each->was == State::free) forget(kind, each->id);
    else move(kind, kind.entries[each->id], each->was);
  }
  undo_.clear();
  assigned_.clear();
}

std::size_t Registry::collect(std::uint64_t oldest_alive_generation,
                              const std::function<bool(const ObjectRef&)>& is_idle) {
  CHECK(undo_.empty());
  std::size_t freed = 0;
  for (std::size_t k = 0; k < policy::object_kinds; ++k) {
    Kind& kind = kinds_[k];
    for (std::uint32_t id = 0; id < kind.entries.size() && kind.leaving > 0; ++id) {
      const Entry& entry = kind.entries[id];
      if (entry.state != State::leaving || entry.left_at > oldest_alive_generation) continue;
      if (!is_idle({static_cast<policy::ObjectKind>(k), id, entry.generation})) continue;
      forget(kind, id);
      ++freed;
    }
  }
  return freed;
}

std::optional<ObjectRef> Registry::find(policy::ObjectKind what, std::string_view name) const {
  const Kind& kind = kinds_[index(what)];
  const auto found = kind.by_name.find(name);
  if (found == kind.by_name.end() || kind.entries[found->second].state != State::live) return std::nullopt;
  return ObjectRef{what, found->second, kind.entries[found->second].generation};
}

std::string_view Registry::name(policy::ObjectKind what, std::uint32_t id) const {
  const Kind& kind = kinds_[index(what)];
  return id < kind.entries.size() ? std::string_view{kind.entries[id].name} : std::string_view{};
}

std::uint32_t Registry::generation(policy::ObjectKind what, std::uint32_t id) const {
  const Kind& kind = kinds_[index(what)];
  return id < kind.entries.size() ? kind.entries[id].generation : 0;
}

std::string endpoint_key(std::string_view cluster, std::string_view endpoint) {
  std::string key;
  key.reserve(cluster.size() + 1 + endpoint.size());
  return key.append(cluster).append(1, '/').append(endpoint);
}

}  // namespace sluice::mgmt
