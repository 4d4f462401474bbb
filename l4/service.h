// service.h - L4 services as the packet path sees them: a virtual address (or prefix), ports and protocol, the backends
// behind it, how packets are forwarded and how long idle flows live. Compiled from policy, immutable, swapped as a
// whole; read by every worker. Forwarding: full-NAT today. The form is meant for NAT, DSR, IPIP and GUE as well: a mode
// per service, one Maglev choice. VIP and backends are of one family; NAT46 and NAT64 are not there yet, compile()
// refuses them.
#pragma once

#include <optional>
#include <string_view>

#include "dataplane/base/units.h"
#include "l4/maglev.h"
#include "l4/prefix_ports.h"

namespace sluice {

// Stable id of a service, from mgmt's registry.
using ServiceId = std::uint32_t;

enum class ForwardMode : std::uint8_t { full_nat };

// How long a flow lives without packets, by what was seen of it. semantics.md, "L4 balancing".
struct FlowTimeouts {
  Nanos tcp_syn{5'000'000'000};
  Nanos tcp_established{900'000'000'000};
  Nanos tcp_fin{30'000'000'000};
  Nanos tcp_closed{5'000'000'000};
  Nanos udp{300'000'000'000};
  Nanos udp_one_way{30'000'000'000};
};

struct ServiceSpec {
  ServiceId id = 0;
  Prefix vip{};
  PortRange ports{};                  // default: any port
  Protocol protocol = Protocol::tcp;  // tcp or udp
  ForwardMode mode = ForwardMode::full_nat;
  FlowTimeouts timeouts{};
  std::uint32_t maglev_size = maglev_default_size;
  std::vector<Backend> backends{};
};

struct ServiceError {
  enum class Kind : std::uint8_t {
    conflict,      // `other` asks for the same packets
    duplicate_id,  // `other` has the same id
    protocol,      // neither TCP nor UDP
    ports,         // first above last
    maglev_size,   // not a prime within bounds, or fewer slots than backends
    too_many_backends,
    backend_family,     // backend number `other` is of another family than the VIP
    duplicate_backend,  // backend number `other` has an endpoint id that an earlier one has
    backend_address,    // backend number `other`: unspecified or multicast
    timeout,            // a timeout is not between 1 ms and 30 days
  };
  Kind kind;
  std::size_t service;    // place in the input
  std::size_t other = 0;  // place of another service, or of a backend
};
std::string_view to_text(ServiceError::Kind kind);

struct Service {
  ServiceId id;
  Protocol protocol;
  ForwardMode mode;
  FlowTimeouts timeouts{};
  std::vector<Backend> backends{};
  Maglev maglev;

  const Backend* find(EndpointId endpoint) const;

 private:
  friend class Services;
  std::vector<std::uint32_t> by_endpoint_;  // indexes of backends, sorted by endpoint id
};

struct ServiceMatch {
  const Service* service;
  std::uint8_t prefix_bits;
};

class Services {
 public:
  Services() = default;
  // All errors at once. `generation` must differ between any two sets that a forwarder is shown: what a flow learnt
  // from one set is checked again under the next. Maglev tables of services whose backends are the same in `before`,
  // which may be nullptr, are copied from there instead of built.
  static std::expected<Services, std::vector<ServiceError>> compile(std::vector<ServiceSpec> specs,
                                                                    std::uint64_t generation,
                                                                    const Services* before = nullptr);

  std::optional<ServiceMatch> find(const IpAddress& destination, std::uint16_t port, Protocol protocol) const;
  const Service* by_id(ServiceId id) const;
  std::span<const Service> all() const { return services_; }

  std::uint64_t generation() const { return generation_; }

 private:
  PrefixPorts match_;
  std::vector<Service> services_;
  std::vector<std::uint32_t> by_id_;  // indexes of services, sorted by id
  std::uint64_t generation_ = 0;
};

}  // namespace sluice
