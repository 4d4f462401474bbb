// host.h - what makes the node a host on its links, for one worker: next hops, neighbours, ARP, ND, ICMP echo and
// errors. RFC 826 (ARP), RFC 5227 2.3 (announcements), RFC 4861 7.2 (neighbour solicitation and advertisement, hop
// limit 255), RFC 792 / RFC 4443 (echo, errors), RFC 1812 4.3.2.8 (rate limit of errors). Static routes only: no router
// or prefix discovery, no redirects, no duplicate address detection, no multicast groups (the port takes all
// multicast).
//
// Addresses that we answer for: those of the interfaces, each interface's IPv6 link-local address, and the set that L4
// supplies (virtual services). The kernel behind an exception port never sees an ARP request or solicitation for one of
// them, so it does not answer twice; requests for other addresses, and every reply, go on to it once we have learnt
// from them. What the kernel itself sends goes out unread, so that it cannot resolve an address of a service of this
// node.
//
// What a worker learns about neighbours, the others must hear: take_news() after the turn's input, broadcast, learn().
// Owner: one worker; Routes and AddressSet are immutable and outlive their use here.
#pragma once

#include "dataplane/net/neighbours.h"
#include "dataplane/net/routes.h"
#include "dataplane/packet/tx_queue.h"
#include "dataplane/packet/wire/ethernet.h"

namespace sluice {

struct HostLimits {
  NeighbourLimits neighbours;
  std::uint32_t icmp_errors_per_second = 100;
  std::uint32_t icmp_errors_burst = 50;
  std::uint32_t icmp_echoes_per_second = 10'000;
  std::uint32_t icmp_echoes_burst = 1'000;
  bool announces = true;  // one worker of the node does
};

// A caller's cached way to one destination. Default: not looked up yet. Good until the host's routes change.
struct NextHop {
  std::uint32_t version = 0;  // of the host's routes; 0 is none
  InterfaceId interface = no_interface;
  std::uint16_t mtu = 0;  // of IP packets
  Neighbours::Id neighbour;

  explicit operator bool() const { return interface != no_interface; }
};
static_assert(sizeof(NextHop) == 16);

enum class IcmpError : std::uint8_t { port_unreachable, host_unreachable, time_exceeded, too_big };

class Host {
 public:
  // `queues` holds this worker's queue of each port, by PortId; they outlive the host.
  Host(const Routes& routes, std::span<TxQueue* const> queues, Buffers& buffers, Counters& counters,
       const HostLimits& limits = {});
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  // -- the way out --------------------------------------------------------------------------------------------------
  // The way to a destination; false when there is none. Makes no neighbour and sends nothing.
  NextHop route(const IpAddress& destination) const;
  // Whether a cached way was looked up in the routes that hold now.
  bool current(const NextHop& hop) const { return hop.version == version_; }
  // What the port behind it takes (TSO and such), the port, and the address of ours to speak from towards a destination
  // there.
  const PortCaps& caps(const NextHop& hop) const;
  PortId port(const NextHop& hop) const { return routes_->interfaces()[hop.interface].port; }
  IpAddress source(const NextHop& hop, const IpAddress& destination) const;
  // Sends a packet that starts at its IP header; its destination is read there. `hop` is looked up when it is stale.
  // While the neighbour is being resolved the packet waits. Without a route, or over the bounds, it dies with a reason.
  void send(Packet packet, NextHop& hop, Nanos now);
  // The peer behind a hop has answered (TCP made progress): no need to probe it.
  void confirm(const NextHop& hop, Nanos now);
  // Answers a received packet (as parse left it) with an ICMP error, if the rules and the rate allow; the packet is
  // consumed. `mtu` is told with too_big.
  void refuse(Packet packet, IcmpError error, std::uint16_t mtu, Nanos now);

  // -- the way in ---------------------------------------------------------------------------------------------------
  // Why a frame is not for us: its port and VLAN are no interface, or its MAC is another station's (a promiscuous port
  // brings such). Nothing: it is for us, or for many.
  std::optional<Counter> not_ours(const Packet& packet) const;
  // Whether we answer for this address.
  bool owns(const IpAddress& address) const { return routes_->owns(address) || services_->contains(address); }
  // The host lane: ARP, ND, ICMP, as parse left them. What is not for us (or an ICMP error) goes to the exception port.
  void input(Packet packet, Nanos now);
  // A frame goes unchanged to the exception port of the interface it came in by, or from an exception port to its
  // interface.
  void to_exception(Packet packet, Nanos now);
  void from_exception(Packet packet, Nanos now);
  bool is_exception_port(PortId port) const { return routes_->behind(port) != no_interface; }

  // -- neighbours of the other workers ------------------------------------------------------------------------------
  // What was learnt since the last call; valid until the next input(). Beyond 64 a turn, news is lost.
  std::span<const NeighbourNews> take_news();
  void learn(const NeighbourNews& news, Nanos now);

  // -- time and change ----------------------------------------------------------------------------------------------
  // Timers and announcements, bounded; once a turn.
  void tick(Nanos now);
  // Announces all our addresses (gratuitous ARP, unsolicited advertisements) over the next ticks. Call when ports are
  // up.
  void announce();
  // New addresses of services: answered for from now on, and announced if they are others than before. nullptr: none.
  // The set before is not read any more: it may be gone.
  void set_services(const AddressSet* services);
  // New interfaces or routes: next hops are stale, neighbours are forgotten.
  void set_routes(const Routes& routes);

  Neighbours& neighbours() { return neighbours_; }

 private:
  static constexpr std::size_t news_max = 64;

  // arp.cc, nd.cc, icmp.cc: evidence out of a packet, and the answer to it.
  void input_arp(Packet packet, InterfaceId interface, Nanos now);
  void input_neighbour6(Packet packet, InterfaceId interface, Nanos now);
  void input_echo(Packet packet, InterfaceId interface, Nanos now);
  void send_arp(InterfaceId interface, std::uint16_t operation, const IpAddress& sender, const MacAddress& target_mac,
                const IpAddress& target, const MacAddress& destination, Nanos now);
  void send_solicitation(const Neighbours::Solicit& solicit, Nanos now);
  void send_advertisement(InterfaceId interface, const IpAddress& target, const IpAddress& to,
                          const MacAddress& destination, bool solicited, Nanos now);
  void send_request(const Neighbours::Solicit& solicit, Nanos now);

  void pass_on(Packet packet, InterfaceId interface, Nanos now);
  // Whether an address lies on the interface's own link, and so may become a neighbour there by asking us.
  bool on_link(InterfaceId interface, const IpAddress& address) const;
  void evidence(const NeighbourNews& news, Nanos now);
  NextHop way(const Routes::Hop& found) const;
  Neighbours::Neighbour* resolve(const IpAddress& destination, NextHop& hop, Nanos now);
  // A packet that starts behind its Ethernet header goes straight onto a link.
  void transmit(Packet packet, const MacAddress& destination, InterfaceId interface, wire::EtherType type, Nanos now);
  void announce_some(Nanos now);
  void announce_one(InterfaceId interface, const IpAddress& address, Nanos now);

  const Routes* routes_;
  const AddressSet* services_;
  std::uint64_t services_mark_ = 0;  // tells them from others
  std::span<TxQueue* const> queues_;
  Buffers& buffers_;
  Counters& counters_;
  HostLimits limits_;
  Neighbours neighbours_;
  TokenBucket errors_;
  TokenBucket echoes_;
  std::uint32_t version_ = 1;
  std::size_t news_count_ = 0;
  std::array<NeighbourNews, news_max> news_;
  std::uint8_t rounds_left_ = 0;  // of announcements
  std::size_t announced_ = 0;     // addresses of the current round that are done
  Nanos next_round_{};
  Nanos next_sweep_{};
  bool gateways_pinned_ = false;
};

}  // namespace sluice
