#include "mgmt/publish.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <unordered_set>

#include "mgmt/encode.h"

namespace sluice::mgmt {

namespace {

using policy::ObjectKind;

std::uint64_t unix_ms() {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count());
}

std::optional<ObjectKind> kind_of(Object object) {
  switch (object) {
    case Object::listener: return ObjectKind::listener;
    case Object::cluster: return ObjectKind::cluster;
    case Object::endpoint: return ObjectKind::endpoint;
    case Object::service: return ObjectKind::service;
    case Object::certificate:
    case Object::route_table: break;
  }
  return std::nullopt;
}

template <typename F>
void each_named_route(const spec::Policy& policy, F&& f) {
  for (std::size_t t = 0; t < policy.route_tables.size(); ++t)
    for (const spec::VirtualHost& host : policy.route_tables[t].virtual_hosts)
      for (const spec::Route& route : host.routes)
        if (!route.name.empty()) f(route.name);
}

std::size_t route_count(const spec::Policy& policy) {
  std::size_t count = 0;
  for (const spec::RouteTable& table : policy.route_tables)
    for (const spec::VirtualHost& host : table.virtual_hosts) count += host.routes.size();
  return count;
}

class Stopwatch {
 public:
  std::uint32_t ms() const {
    const auto passed = std::chrono::steady_clock::now() - start_;
    return static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::milliseconds>(passed).count());
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// What was begun and not committed when this goes is undone, whichever way it goes.
template <typename Undo>
class Transaction {
 public:
  explicit Transaction(Undo undo) : undo_(std::move(undo)) {}
  ~Transaction() {
    if (!committed_) undo_();
  }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit() { committed_ = true; }

 private:
  Undo undo_;
  bool committed_ = false;
};

void join(Faults& into, Faults more) {
  for (Fault& fault : more)
    if (std::ranges::find(into, fault) == into.end()) into.push_back(std::move(fault));
}

// The whole list is judged, but the operator wrote a delta: "endpoints[17].address" is "set[2].address".
void speak_of_the_delta(Faults& faults, const spec::EndpointDelta& delta,
                        const std::vector<spec::Endpoint>& endpoints) {
  for (Fault& fault : faults) {
    constexpr std::string_view list = "endpoints[";
    const std::size_t end = fault.path.find(']');
    if (!fault.path.starts_with(list) || end == std::string::npos) continue;
    const std::size_t at = std::stoul(fault.path.substr(list.size(), end - list.size()));
    const auto in_delta = std::ranges::find_if(delta.set, [&](const spec::Endpoint& each) {
      return at < endpoints.size() && each.cluster == endpoints[at].cluster && each.name == endpoints[at].name;
    });
    if (in_delta != delta.set.end())
      fault.path = fmt::format("set[{}]{}", in_delta - delta.set.begin(), fault.path.substr(end + 1));
  }
}

}  // namespace

Publisher::Publisher(Means means, const DecodeLimits& limits, Qsbr& qsbr, RunTime& run_time, Store* store)
    : means_(std::move(means)),
      limits_(limits),
      qsbr_(qsbr),
      run_time_(run_time),
      store_(store),
      registry_(means_.node.limits),
      running_(compile_nothing(means_)),
      published_(std::make_unique<const Policy>(running_.policy)) {
  update_status();
}

Publisher::~Publisher() = default;

ApplyResult Publisher::refuse(Faults faults, Faults warnings) const {
  ApplyResult result;
  result.generation = running_.policy.generation;
  result.faults = std::move(faults);
  result.warnings = std::move(warnings);
  limit_faults(result.faults);
  return result;
}

ApplyResult Publisher::other_generation(std::uint64_t wanted) const {
  ApplyResult result =
      refuse({{"", fmt::format("generation {} was expected, {} runs", wanted, running_.policy.generation)}});
  result.kind = ApplyResult::Kind::other_generation;
  return result;
}

void Publisher::give(ObjectKind kind, std::string_view name, std::string path, Faults& faults) {
  if (registry_.assign(kind, name)) return;
  faults.push_back(
      {std::move(path), fmt::format("the node has no room for another one: {} are in use and {} that were removed are "
                                    "not idle yet, of {}",
                                    registry_.live(kind), registry_.leaving(kind), means_.node.limits.of(kind))});
}

bool Publisher::assign_ids(const spec::Policy& wanted, const std::vector<Action>& changes, Faults& faults) {
  for (const Action& change : changes)
    if (const auto kind = kind_of(change.object); kind && change.kind == ChangeKind::removed)
      registry_.release(*kind, change.name);
  if (!(wanted.route_tables == running_.spec.route_tables)) {
    std::unordered_set<std::string_view> stay;
    each_named_route(wanted, [&](std::string_view name) { stay.insert(name); });
    each_named_route(running_.spec, [&](std::string_view name) {
      if (!stay.contains(name) && registry_.find(ObjectKind::route, name)) registry_.release(ObjectKind::route, name);
    });
    // One that finds no room has no statistics; validate() has warned.
    for (const std::string_view name : stay) registry_.assign(ObjectKind::route, name);
  }
  for (std::size_t i = 0; i < wanted.listeners.size(); ++i)
    give(ObjectKind::listener, wanted.listeners[i].name, fmt::format("listeners[{}]", i), faults);
  for (std::size_t i = 0; i < wanted.clusters.size(); ++i)
    give(ObjectKind::cluster, wanted.clusters[i].name, fmt::format("clusters[{}]", i), faults);
  for (std::size_t i = 0; i < wanted.endpoints.size(); ++i)
    give(ObjectKind::endpoint, endpoint_key(wanted.endpoints[i].cluster, wanted.endpoints[i].name),
         fmt::format("endpoints[{}]", i), faults);
  for (std::size_t i = 0; i < wanted.services.size(); ++i)
    give(ObjectKind::service, wanted.services[i].name, fmt::format("services[{}]", i), faults);
  return faults.empty();
}

IdOf Publisher::ids() const {
  return [this](ObjectKind kind, std::string_view name) {
    const auto found = registry_.find(kind, name);
    CHECK(found || kind == ObjectKind::route);
    return found.value_or(ObjectRef{kind, policy::no_id, 0});
  };
}

// What run-time state must know comes first: if it fails, nothing has happened.
void Publisher::publish(std::unique_ptr<const Policy> next) {
  run_time_.assigned(registry_.newly_assigned());
  run_time_.publishing(*next);
  registry_.commit(next->generation);
  published_.publish(std::move(next), qsbr_);
}

ApplyResult Publisher::take(spec::Policy wanted, Mode mode, bool keep_it, std::uint64_t generation) {
  const Stopwatch stopwatch;
  Verdict verdict = validate(wanted, means_.node);
  const auto now = static_cast<std::int64_t>(unix_ms() / 1000);
  if (!verdict.ok()) {
    Verdict rooms = check_rooms(wanted, running_, means_, now);
    join(verdict.faults, std::move(rooms.faults));
    return refuse(std::move(verdict.faults), std::move(verdict.warnings));
  }
  ApplyResult result;
  result.changes = plan(running_.spec, wanted);
  Transaction transaction{[this] { registry_.rollback(); }};
  Faults faults;
  if (!assign_ids(wanted, result.changes, faults)) return refuse(std::move(faults), std::move(verdict.warnings));
  auto compiled = compile(std::move(wanted), running_, generation, means_, ids(), now, verdict.warnings);
  if (!compiled) return refuse(std::move(compiled.error()), std::move(verdict.warnings));

  result.kind = ApplyResult::Kind::applied;
  result.warnings = std::move(verdict.warnings);
  if (mode == Mode::publish) {
    publish(std::make_unique<const Policy>(compiled->policy));
    transaction.commit();
    running_ = std::move(*compiled);
    if (keep_it) keep([&] { return store_->save(running_.spec, generation); }, result.warnings);
    update_status();
  }
  result.generation = running_.policy.generation;
  result.took_ms = stopwatch.ms();
  return result;
}

std::expected<void, Faults> Publisher::restore(std::vector<std::string>& warnings) {
  if (!store_) return {};
  auto loaded = store_->load();
  if (!loaded) return std::unexpected{Faults{{"", loaded.error()}}};
  if (!*loaded) return {};
  for (std::string& each : (*loaded)->warnings) warnings.push_back(std::move(each));
  ApplyResult result =
      take(std::move((*loaded)->policy), Mode::publish, false, std::max<std::uint64_t>((*loaded)->generation, 1));
  if (result.kind != ApplyResult::Kind::applied) return std::unexpected{std::move(result.faults)};
  return {};
}

ApplyResult Publisher::apply(ByteView bytes, std::uint64_t if_generation) {
  if (if_generation != 0 && if_generation != running_.policy.generation) return other_generation(if_generation);
  auto wanted = decode_policy(bytes, limits_);
  if (!wanted) return refuse(std::move(wanted.error()));
  return take(std::move(*wanted), Mode::publish, true, running_.policy.generation + 1);
}

ApplyResult Publisher::dry_run(ByteView bytes) {
  auto wanted = decode_policy(bytes, limits_);
  if (!wanted) return refuse(std::move(wanted.error()));
  return take(std::move(*wanted), Mode::judge, false, running_.policy.generation + 1);
}

ApplyResult Publisher::apply(const spec::EndpointDelta& delta, std::uint64_t if_generation) {
  if (if_generation != 0 && if_generation != running_.policy.generation) return other_generation(if_generation);
  const Stopwatch stopwatch;
  if (Verdict verdict = validate_delta(delta, running_.spec); !verdict.ok()) return refuse(std::move(verdict.faults));

  // The running spec lends its routes and gets them back, changed endpoints or not.
  std::vector<spec::Endpoint> before = running_.spec.endpoints;
  spec::Policy& wanted = running_.spec;
  Transaction transaction{[&] {
    registry_.rollback();
    wanted.endpoints = std::move(before);
  }};
  const auto refuse_delta = [&](Faults faults) {
    speak_of_the_delta(faults, delta, wanted.endpoints);
    return refuse(std::move(faults));
  };
  apply_delta(delta, wanted.endpoints);
  if (Verdict verdict = validate_endpoints(wanted, means_.node); !verdict.ok())
    return refuse_delta(std::move(verdict.faults));

  ApplyResult result;
  result.changes = plan_endpoints(before, wanted.endpoints);
  Faults faults;
  for (const Action& change : result.changes) {
    if (change.kind == ChangeKind::removed) registry_.release(ObjectKind::endpoint, change.name);
    if (change.kind == ChangeKind::added) give(ObjectKind::endpoint, change.name, "set", faults);
  }
  if (!faults.empty()) return refuse_delta(std::move(faults));
  auto next = compile_endpoints(wanted, running_, running_.policy.generation + 1, ids());
  if (!next) return refuse_delta(std::move(next.error()));

  publish(std::make_unique<const Policy>(*next));
  transaction.commit();
  running_.policy = std::move(*next);
  keep([&] { return store_->append(delta, running_.spec, running_.policy.generation); }, result.warnings);
  update_status();
  result.kind = ApplyResult::Kind::applied;
  result.generation = running_.policy.generation;
  result.took_ms = stopwatch.ms();
  return result;
}

std::vector<std::uint8_t> Publisher::copy() const { return encode_policy(running_.spec, PrivateKeys::leave_out); }

void Publisher::housekeep() {
  qsbr_.reclaim();
  const std::uint32_t alive = published_.alive();
  // Snapshots die in the order of their generations, which differ by one.
  const std::uint64_t generation = running_.policy.generation;
  const std::uint64_t oldest = generation >= alive - 1 ? generation - (alive - 1) : 0;
  registry_.collect(oldest, [this](const ObjectRef& id) { return run_time_.is_idle(id); });
  const std::lock_guard lock{mutex_};
  status_.snapshots_alive = alive;
}

// What runs is published by now: a disk or a memory that is short is told, and changes nothing.
template <typename Save>
void Publisher::keep(Save&& save, Faults& warnings) {
  if (!store_) return;
  std::string error;
  try {
    if (const std::expected<void, std::string> result = save(); !result) error = result.error();
  } catch (const std::exception& failure) { error = fmt::format("the policy could not be kept: {}", failure.what()); }
  if (!error.empty()) warnings.push_back({"", fmt::format("it runs, but is not kept on disk: {}", error)});
  const std::lock_guard lock{mutex_};
  status_.store_error = std::move(error);
}

void Publisher::update_status() {
  const std::size_t routes = route_count(running_.spec);
  // An endpoint delta leaves the routes as they are, names and all.
  const bool renamed = current_.routes != running_.policy.routes;
  std::map<std::uint32_t, std::string> names;
  if (renamed)
    for (const spec::RouteTable& table : running_.spec.route_tables)
      for (const spec::VirtualHost& host : table.virtual_hosts)
        for (const spec::Route& route : host.routes)
          if (const auto ref =
                  route.name.empty() ? std::nullopt : registry_.find(policy::ObjectKind::route, route.name))
            names.emplace(ref->id, route.name);
  const std::lock_guard lock{mutex_};
  if (renamed) route_names_.swap(names);  // the old ones die when nobody waits for the lock
  current_ = running_.policy;
  status_.generation = running_.policy.generation;
  if (status_.generation > 0) status_.applied_unix_ms = unix_ms();
  status_.snapshots_alive = published_.alive();
  status_.listeners = running_.spec.listeners.size();
  status_.routes = routes;
  status_.clusters = running_.spec.clusters.size();
  status_.endpoints = running_.spec.endpoints.size();
  status_.services = running_.spec.services.size();
}

Publisher::Status Publisher::status() const {
  const std::lock_guard lock{mutex_};
  return status_;
}

std::string Publisher::route_name(std::uint32_t id) const {
  const std::lock_guard lock{mutex_};
  const auto name = route_names_.find(id);
  return name == route_names_.end() ? std::string{} : name->second;
}

void Publisher::each_route(const std::function<void(std::uint32_t id, const std::string& name)>& f) const {
  const std::lock_guard lock{mutex_};
  for (const auto& [id, name] : route_names_) f(id, name);
}

Policy Publisher::current() const {
  const std::lock_guard lock{mutex_};
  return current_;
}

}  // namespace sluice::mgmt
