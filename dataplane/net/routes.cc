#include "dataplane/net/routes.h"

#include <algorithm>

namespace sluice {

namespace {

std::uint8_t bits_of(const Prefix& prefix) {
  return static_cast<std::uint8_t>(prefix.length + (prefix.address.is_v4() ? 96 : 0));
}

IpAddress mask(const IpAddress& address, std::uint8_t bits) {
  IpAddress out = address;
  const std::size_t whole = bits / 8;
  if (bits % 8) out.bytes[whole] &= static_cast<std::uint8_t>(0xff00 >> bits % 8);
  std::fill(out.bytes.begin() + static_cast<std::ptrdiff_t>(whole + (bits % 8 != 0)), out.bytes.end(), 0);
  return out;
}

IpAddress last_of(const IpAddress& first, std::uint8_t bits) {
  IpAddress out = first;
  for (std::size_t bit = bits; bit < 128; ++bit) out.bytes[bit / 8] |= static_cast<std::uint8_t>(0x80 >> bit % 8);
  return out;
}

std::uint32_t key(PortId port, std::uint16_t vlan) { return std::uint32_t{port} << 16 | vlan; }

}  // namespace

AddressSet::AddressSet(std::vector<Prefix> prefixes) : prefixes_(std::move(prefixes)) {
  for (const Prefix& prefix : prefixes_) {
    const IpAddress first = mask(prefix.address, bits_of(prefix));
    ranges_.push_back({first, last_of(first, bits_of(prefix))});
  }
  std::ranges::sort(ranges_, {}, &Range::first);
  // Prefixes either nest or lie apart: what begins inside the one before it is a part of that.
  const auto inside = [](const Range& outer, const Range& inner) { return inner.first <= outer.last; };
  ranges_.erase(std::unique(ranges_.begin(), ranges_.end(), inside), ranges_.end());
}

bool AddressSet::contains(const IpAddress& address) const {
  const auto behind = std::ranges::upper_bound(ranges_, address, {}, &Range::first);
  if (behind == ranges_.begin() || std::prev(behind)->last < address) return false;
  return std::prev(behind)->last.is_v4() == address.is_v4();  // ::/0 holds no IPv4 address
}

std::expected<Routes, std::string> Routes::compile(std::vector<Interface> interfaces,
                                                   std::vector<StaticRoute> statics) {
  struct Found {
    std::uint8_t bits;
    Entry entry;
  };
  Routes routes;
  std::vector<Found> all;
  if (interfaces.size() >= no_interface) return std::unexpected("too many interfaces");
  for (std::size_t i = 0; i < interfaces.size(); ++i) {
    const Interface& interface = interfaces[i];
    const auto wrong = [&](const char* what) {
      return std::unexpected("interface " + std::to_string(i) + ": " + what);
    };
    if (interface.mac.is_multicast() || interface.mac == MacAddress{}) return wrong("its MAC address is no station's");
    if (interface.vlan > 4094) return wrong("its VLAN id is above 4094");
    if (routes.on(interface.port, interface.vlan) != no_interface)
      return wrong("its port and VLAN belong to another already");
    routes.interfaces_.push_back(interface);
    routes.keys_.push_back(key(interface.port, interface.vlan));
    for (const Prefix& address : interface.addresses) {
      if (address.address.is_multicast() || address.address.is_unspecified()) return wrong("an address is no host's");
      routes.own_.push_back({address.address, static_cast<InterfaceId>(i)});
      const Hop hop{static_cast<InterfaceId>(i), {}};
      all.push_back({bits_of(address), {mask(address.address, bits_of(address)), hop}});
    }
    routes.own_.push_back({routes.link_local(static_cast<InterfaceId>(i)), static_cast<InterfaceId>(i)});
  }
  for (std::size_t i = 0; i < statics.size(); ++i) {
    const auto wrong = [&](const char* what) { return std::unexpected("route " + std::to_string(i) + ": " + what); };
    const StaticRoute& route = statics[i];
    if (route.destination.address.is_v4() != route.gateway.is_v4())
      return wrong("destination and gateway are of two families");
    Hop hop{no_interface, route.gateway};
    for (std::size_t at = 0; at < interfaces.size() && hop.interface == no_interface; ++at)
      for (const Prefix& address : interfaces[at].addresses)
        if (address.contains(route.gateway)) hop.interface = static_cast<InterfaceId>(at);
    if (hop.interface == no_interface) return wrong("its gateway is on no interface's prefix");
    routes.gateways_.push_back(hop);
    all.push_back({bits_of(route.destination), {mask(route.destination.address, bits_of(route.destination)), hop}});
  }
  // Stable: of two routes to one prefix the first named wins, and connected ones come first.
  std::ranges::stable_sort(all, [](const Found& a, const Found& b) {
    return a.bits != b.bits ? a.bits > b.bits : a.entry.prefix < b.entry.prefix;
  });
  for (const Found& found : all) {
    const auto at = static_cast<std::uint32_t>(routes.entries_.size());
    if (routes.lengths_.empty() || routes.lengths_.back().bits != found.bits)
      routes.lengths_.push_back({found.bits, at, at, mask(last_of({}, 0), found.bits).words()});
    // 0.0.0.0/0 is ::ffff:0:0/96, so the families meet nowhere but in ::/0 to ::/95, which find() keeps from IPv4.
    routes.entries_.push_back(found.entry);
    ++routes.lengths_.back().end;
  }
  std::ranges::sort(routes.own_, {}, &Own::address);
  return routes;
}

Routes::Hop Routes::find(const IpAddress& destination) const {
  if (destination.is_link_local() || destination.is_multicast()) return {};
  const bool v4 = destination.is_v4();
  const IpAddress::Words words = destination.words();
  for (const Length& length : lengths_) {
    if (v4 && length.bits < 96) break;
    const IpAddress prefix = IpAddress::from_words({words[0] & length.mask[0], words[1] & length.mask[1]});
    const auto begin = entries_.begin() + length.begin, end = entries_.begin() + length.end;
    const auto at =
        std::lower_bound(begin, end, prefix, [](const Entry& e, const IpAddress& p) { return e.prefix < p; });
    if (at != end && at->prefix == prefix) return at->hop;
  }
  return {};
}

InterfaceId Routes::on(PortId port, std::uint16_t vlan) const {
  const auto at = std::ranges::find(keys_, key(port, vlan));
  return at == keys_.end() ? no_interface : static_cast<InterfaceId>(at - keys_.begin());
}

InterfaceId Routes::behind(PortId exception_port) const {
  for (std::size_t i = 0; i < interfaces_.size() && exception_port != no_port; ++i)
    if (interfaces_[i].exception_port == exception_port) return static_cast<InterfaceId>(i);
  return no_interface;
}

IpAddress Routes::source(InterfaceId interface, const IpAddress& peer) const {
  if (peer.is_link_local()) return link_local(interface);
  IpAddress of_family{};
  for (const Prefix& address : interfaces_[interface].addresses) {
    if (address.address.is_v4() != peer.is_v4()) continue;
    if (address.contains(peer)) return address.address;
    if (of_family == IpAddress{}) of_family = address.address;
  }
  return of_family;
}

IpAddress Routes::link_local(InterfaceId interface) const {
  const auto& mac = interfaces_[interface].mac.bytes;
  return {{0xfe, 0x80, 0, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(mac[0] ^ 2), mac[1], mac[2], 0xff, 0xfe, mac[3],
           mac[4], mac[5]}};
}

bool Routes::owns(const IpAddress& address) const {
  return std::ranges::binary_search(own_, address, {}, &Own::address);
}

}  // namespace sluice
