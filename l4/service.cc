#include "l4/service.h"

#include <algorithm>
#include <map>
#include <numeric>

namespace sluice {

namespace {

using Kind = ServiceError::Kind;

bool timeouts_are_good(const FlowTimeouts& t) {
  constexpr Nanos least{1'000'000}, most{30LL * 24 * 3600 * 1'000'000'000};
  const Nanos all[] = {t.tcp_syn, t.tcp_established, t.tcp_fin, t.tcp_closed, t.udp, t.udp_one_way};
  return std::ranges::all_of(all, [&](Nanos n) { return n >= least && n <= most; });
}

void check_backends(const ServiceSpec& spec, std::size_t at, std::vector<ServiceError>& errors) {
  if (spec.backends.size() > maglev_backends_max) errors.push_back({Kind::too_many_backends, at});
  std::map<EndpointId, std::size_t> seen;
  for (std::size_t i = 0; i < spec.backends.size(); ++i) {
    const Backend& backend = spec.backends[i];
    if (backend.at.address.is_unspecified() || backend.at.address.is_multicast())
      errors.push_back({Kind::backend_address, at, i});
    if (backend.at.address.is_v4() != spec.vip.address.is_v4()) errors.push_back({Kind::backend_family, at, i});
    if (!seen.emplace(backend.endpoint, i).second) errors.push_back({Kind::duplicate_backend, at, i});
  }
}

void check(const ServiceSpec& spec, std::size_t at, std::vector<ServiceError>& errors) {
  if (spec.protocol != Protocol::tcp && spec.protocol != Protocol::udp) errors.push_back({Kind::protocol, at});
  if (spec.ports.first > spec.ports.last) errors.push_back({Kind::ports, at});
  if (!maglev_size_is_good(spec.maglev_size) || spec.backends.size() > spec.maglev_size)
    errors.push_back({Kind::maglev_size, at});
  if (!timeouts_are_good(spec.timeouts)) errors.push_back({Kind::timeout, at});
  check_backends(spec, at, errors);
}

// One Maglev table serves both: it knows of a backend its place in the list, its address and its weight.
bool choose_alike(const std::vector<Backend>& a, const std::vector<Backend>& b) {
  return std::ranges::equal(a, b,
                            [](const Backend& x, const Backend& y) { return x.at == y.at && x.weight == y.weight; });
}

template <typename T, typename Id>
std::vector<std::uint32_t> sorted_by(const std::vector<T>& objects, Id id) {
  std::vector<std::uint32_t> order(objects.size());
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::sort(order, {}, [&](std::uint32_t i) { return objects[i].*id; });
  return order;
}

// The object with this id, or nullptr.
template <typename T, typename Id, typename Value>
const T* find_by(const std::vector<T>& objects, const std::vector<std::uint32_t>& order, Id id, Value wanted) {
  const auto at = std::ranges::lower_bound(order, wanted, {}, [&](std::uint32_t i) { return objects[i].*id; });
  return at != order.end() && objects[*at].*id == wanted ? &objects[*at] : nullptr;
}

}  // namespace

std::string_view to_text(ServiceError::Kind kind) {
  switch (kind) {
    case Kind::conflict: return "asks for the same packets as another service";
    case Kind::duplicate_id: return "has the same id as another service";
    case Kind::protocol: return "protocol is neither TCP nor UDP";
    case Kind::ports: return "first port is above the last";
    case Kind::maglev_size:
      return "Maglev size is not a prime between 3 and 16777213, or is less than the number of backends";
    case Kind::too_many_backends: return "more than 65535 backends";
    case Kind::backend_family: return "backend is of another address family than the VIP";
    case Kind::duplicate_backend: return "backend is named twice";
    case Kind::backend_address: return "backend's address is unspecified or multicast";
    case Kind::timeout: return "timeout is not between 1 ms and 30 days";
  }
  return "unknown error";
}

const Backend* Service::find(EndpointId endpoint) const {
  return find_by(backends, by_endpoint_, &Backend::endpoint, endpoint);
}

std::expected<Services, std::vector<ServiceError>> Services::compile(std::vector<ServiceSpec> specs,
                                                                     std::uint64_t generation, const Services* before) {
  std::vector<ServiceError> errors;
  std::map<ServiceId, std::size_t> ids;
  std::vector<PrefixPorts::Rule> rules;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    check(specs[i], i, errors);
    const auto [earlier, fresh] = ids.emplace(specs[i].id, i);
    if (!fresh) errors.push_back({Kind::duplicate_id, i, earlier->second});
    rules.push_back({specs[i].vip, specs[i].ports, specs[i].protocol, no_port, static_cast<std::uint32_t>(i)});
  }
  if (!errors.empty()) return std::unexpected(std::move(errors));
  auto match = PrefixPorts::compile(rules);
  if (!match)
    return std::unexpected(std::vector<ServiceError>{{Kind::conflict, match.error().second, match.error().first}});

  Services out;
  out.match_ = std::move(*match);
  out.generation_ = generation;
  out.services_.reserve(specs.size());
  for (ServiceSpec& spec : specs) {
    Service& service = out.services_.emplace_back();
    service.id = spec.id;
    service.protocol = spec.protocol;
    service.mode = spec.mode;
    service.timeouts = spec.timeouts;
    service.backends = std::move(spec.backends);
    const Service* same = before ? before->by_id(spec.id) : nullptr;
    if (same && same->maglev.slots().size() == spec.maglev_size && choose_alike(same->backends, service.backends))
      service.maglev = same->maglev;
    else service.maglev = Maglev(service.backends, spec.maglev_size);
    service.by_endpoint_ = sorted_by(service.backends, &Backend::endpoint);
  }
  out.by_id_ = sorted_by(out.services_, &Service::id);
  return out;
}

std::optional<ServiceMatch> Services::find(const IpAddress& destination, std::uint16_t port, Protocol protocol) const {
  PrefixPorts::Match match;
  if (!match_.find(destination, port, protocol, no_port, match)) return std::nullopt;
  return ServiceMatch{&services_[match.value], match.prefix_bits};
}

const Service* Services::by_id(ServiceId id) const { return find_by(services_, by_id_, &Service::id, id); }

}  // namespace sluice
