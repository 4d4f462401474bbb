#include "mgmt/diff.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "mgmt/registry.h"

namespace sluice::mgmt {

namespace {

template <typename T>
std::string name_of(const T& object) {
  return object.name;
}
template <>
std::string name_of(const spec::Endpoint& endpoint) {
  return endpoint_key(endpoint.cluster, endpoint.name);
}

template <typename T>
void compare(Object object, const std::vector<T>& running, const std::vector<T>& wanted, std::vector<Action>& out) {
  std::unordered_map<std::string, const T*> before;
  for (const T& each : running) before.emplace(name_of(each), &each);
  for (const T& each : wanted) {
    std::string name = name_of(each);
    const auto found = before.find(name);
    if (found == before.end()) {
      out.push_back({ChangeKind::added, object, std::move(name)});
      continue;
    }
    if (*found->second != each) out.push_back({ChangeKind::changed, object, std::move(name)});
    before.erase(found);
  }
  for (const T& each : running)
    if (const auto left = before.find(name_of(each)); left != before.end() && left->second == &each)
      out.push_back({ChangeKind::removed, object, left->first});
}

void sort(std::vector<Action>& actions) {
  const auto rank = [](const Action& action) {
    return action.kind == ChangeKind::removed ? 0 : action.kind == ChangeKind::changed ? 1 : 2;
  };
  std::ranges::stable_sort(actions, {}, rank);
}

}  // namespace

std::vector<Action> plan(const spec::Policy& running, const spec::Policy& wanted) {
  std::vector<Action> actions;
  compare(Object::listener, running.listeners, wanted.listeners, actions);
  compare(Object::certificate, running.certificates, wanted.certificates, actions);
  compare(Object::route_table, running.route_tables, wanted.route_tables, actions);
  compare(Object::cluster, running.clusters, wanted.clusters, actions);
  compare(Object::endpoint, running.endpoints, wanted.endpoints, actions);
  compare(Object::service, running.services, wanted.services, actions);
  sort(actions);
  return actions;
}

std::vector<Action> plan_endpoints(const std::vector<spec::Endpoint>& running,
                                   const std::vector<spec::Endpoint>& wanted) {
  std::vector<Action> actions;
  compare(Object::endpoint, running, wanted, actions);
  sort(actions);
  return actions;
}

std::string_view to_text(Object object) {
  constexpr std::string_view names[] = {"listener", "certificate", "route_table", "cluster", "endpoint", "service"};
  return names[static_cast<std::size_t>(object)];
}

}  // namespace sluice::mgmt
