// registry.h - gives every named object a stable dense id, kept across policies while the name lives.
// Run-time state below mgmt/ is indexed by these ids. A name that leaves the policy keeps its id, and gets it back when
// it returns, until collect() finds that no snapshot and no run-time state refers to it; then the id is free for
// another name, with the next generation. The lowest free id is given first. Ids are below the node's limit of the
// kind. Changes are made in a transaction: after rollback() the registry is as it was. One thread. Endpoints are named
// "cluster/endpoint".
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <queue>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "l7/policy.h"

namespace sluice::mgmt {

struct ObjectRef {
  policy::ObjectKind kind;
  std::uint32_t id;
  std::uint32_t generation;
  bool operator==(const ObjectRef&) const = default;
};

class Registry {
 public:
  explicit Registry(const policy::ObjectLimits& limits);

  // Within a transaction. The id that the name has, or a free one; nullopt when the node has no room.
  std::optional<ObjectRef> assign(policy::ObjectKind kind, std::string_view name);
  // The name leaves the policy. It must be live.
  void release(policy::ObjectKind kind, std::string_view name);
  // Ends a transaction. `policy_generation` is the first one without the names that were released.
  void commit(std::uint64_t policy_generation);
  void rollback();
  // Ids that this transaction gave to a new name: their cells of l7/stats.h are of somebody else still.
  const std::vector<ObjectRef>& newly_assigned() const { return assigned_; }

  // Frees the ids of names that left before every policy that is still alive, where `is_idle` finds no run-time state.
  // Not within a transaction. Returns how many.
  std::size_t collect(std::uint64_t oldest_alive_generation, const std::function<bool(const ObjectRef&)>& is_idle);

  // What is live, for reports.
  std::optional<ObjectRef> find(policy::ObjectKind kind, std::string_view name) const;
  // The name behind an id that is live or leaving; empty for a free one.
  std::string_view name(policy::ObjectKind kind, std::uint32_t id) const;
  std::uint32_t generation(policy::ObjectKind kind, std::uint32_t id) const;
  std::size_t live(policy::ObjectKind kind) const { return kinds_[index(kind)].live; }
  std::size_t leaving(policy::ObjectKind kind) const { return kinds_[index(kind)].leaving; }

 private:
  enum class State : std::uint8_t { free, live, leaving };
  struct Entry {
    std::string name;
    State state = State::free;
    std::uint32_t generation = 0;
    std::uint64_t left_at = 0;  // policy generation; meaningful when leaving
  };
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  struct Kind {
    std::uint32_t limit = 0;
    std::vector<Entry> entries;
    std::unordered_map<std::string, std::uint32_t, TextHash, std::equal_to<>> by_name;  // live and leaving
    std::priority_queue<std::uint32_t, std::vector<std::uint32_t>, std::greater<>> free;
    std::size_t live = 0, leaving = 0;
  };
  struct Undo {
    policy::ObjectKind kind;
    std::uint32_t id;
    State was;
  };

  static std::size_t index(policy::ObjectKind kind) { return static_cast<std::size_t>(kind); }
  static void move(Kind& kind, Entry& entry, State to);
  static void forget(Kind& kind, std::uint32_t id);

  Kind kinds_[policy::object_kinds];
  std::vector<Undo> undo_;
  std::vector<ObjectRef> assigned_;
};

// The registry's name of an endpoint.
std::string endpoint_key(std::string_view cluster, std::string_view endpoint);

}  // namespace sluice::mgmt
