// routes.h - the interfaces of the node and where a destination goes: longest prefix over connected and static routes.
// Compiled at start or by management, immutable, shared by all workers. Own table rather than rte_lpm: that takes 64 MB
// for IPv4 alone, and here are tens of routes whose answer every caller caches (NextHop). One binary search a prefix
// length.
#pragma once

#include <expected>
#include <span>
#include <string>
#include <vector>

#include "dataplane/base/address.h"
#include "dataplane/packet/packet.h"

namespace sluice {

using InterfaceId = std::uint16_t;
inline constexpr InterfaceId no_interface = 0xffff;

// A port, or one VLAN of it, on which the node is a host.
struct Interface {
  PortId port = no_port;
  std::uint16_t vlan = 0;  // 0: untagged
  MacAddress mac;
  std::uint16_t mtu = 1500;
  std::vector<Prefix> addresses;    // our addresses, each with the length of its connected prefix
  PortId exception_port = no_port;  // what is not ours goes there unchanged and comes back from there
};

struct StaticRoute {
  Prefix destination;
  IpAddress gateway;  // on a connected prefix of some interface
};

// A set of addresses given as prefixes: the addresses of services, for which we answer ARP and ND.
class AddressSet {
 public:
  AddressSet() = default;
  explicit AddressSet(std::vector<Prefix> prefixes);
  bool contains(const IpAddress& address) const;
  std::span<const Prefix> prefixes() const { return prefixes_; }

 private:
  struct Range {
    IpAddress first, last;
  };
  std::vector<Prefix> prefixes_;
  std::vector<Range> ranges_;  // sorted, apart from each other
};

class Routes {
 public:
  struct Hop {
    InterfaceId interface = no_interface;
    IpAddress gateway;  // unspecified (all zeros): the destination itself is on the link
  };

  // The error names the interface or route by its place in its list.
  static std::expected<Routes, std::string> compile(std::vector<Interface> interfaces,
                                                    std::vector<StaticRoute> statics);

  std::span<const Interface> interfaces() const { return interfaces_; }
  // Where `destination` goes; interface is no_interface when nowhere. IPv6 link-local destinations are on no one link:
  // nowhere.
  Hop find(const IpAddress& destination) const;
  // The interface of frames with this VLAN (0: none) on this port, or no_interface.
  InterfaceId on(PortId port, std::uint16_t vlan) const;
  // The interface whose exception port this is, or no_interface.
  InterfaceId behind(PortId exception_port) const;
  // The address of ours to speak from on an interface towards `peer`: of its family and, where there is one, its
  // prefix; the interface's link-local address for a link-local peer. Unspecified when there is none.
  IpAddress source(InterfaceId interface, const IpAddress& peer) const;
  // fe80::/64 and the interface's MAC (RFC 4291 appendix A): every interface has this address.
  IpAddress link_local(InterfaceId interface) const;
  // Whether it is an interface's own address.
  bool owns(const IpAddress& address) const;

  struct Own {
    IpAddress address;
    InterfaceId interface;
  };
  // Every address of every interface, the link-local ones among them, sorted; and every gateway.
  std::span<const Own> own() const { return own_; }
  std::span<const Hop> gateways() const { return gateways_; }

 private:
  struct Entry {
    IpAddress prefix;
    Hop hop;
  };
  struct Length {  // entries [begin, end) have this many leading bits of the 128
    std::uint8_t bits;
    std::uint32_t begin, end;
    IpAddress::Words mask;
  };
  std::vector<Interface> interfaces_;
  std::vector<std::uint32_t> keys_;  // port and VLAN of each interface, close together
  std::vector<Length> lengths_;      // longest first
  std::vector<Entry> entries_;       // by length, then by prefix
  std::vector<Own> own_;
  std::vector<Hop> gateways_;
};

}  // namespace sluice
