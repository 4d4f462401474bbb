// parse.h - what a received frame is: fills its Meta, cuts its padding off, checks lengths and checksums.
// Ethernet II, one 802.1Q tag (RFC 894, IEEE 802.1Q), ARP, IPv4 with options (RFC 791), IPv6 with hop-by-hop, routing,
// fragment and destination-option headers (RFC 8200), TCP, UDP, ICMP, ICMPv6. Anything else passes with l3 or protocol
// telling so, and is for the kernel. Asks nothing about whose addresses these are.
//
// Meta of what passed: offsets lie within the first segment; payload_size bytes lie behind payload_offset. `protocol`
// holds any IP protocol number. The hash is symmetric over the tuple (ports are 0 for what has none); for fragments it
// is over addresses, protocol and fragment id (design: they meet there). A later fragment has no ports and its payload
// begins at l4_offset.
//
// Limits: at most 8 extension headers; type 0 routing headers with segments left die (RFC 5095); a first fragment must
// hold its transport header whole (RFC 1858, RFC 7112); headers lie in the first segment, or the frame is made one
// segment where it has the room, else it dies. The port must leave VLAN tags in the frame (no stripping).
#pragma once

#include <span>

#include "dataplane/packet/packet.h"

namespace sluice {

inline constexpr unsigned extension_headers_max = 8;

// False: the frame was malformed or its checksum wrong; it is dropped and counted, and `packet` is empty.
// `meta().port` is the receiver's to fill, before or after. Checksums that hardware has verified (mbuf's ol_flags) are
// not verified again; with `verify_checksums` false, those it has not are taken on trust.
// Frames whose L4 checksum the sender left to hardware (L4_CKSUM_NONE: a virtual link) get it filled in.
bool parse(Packet& packet, bool verify_checksums, Counters& counters);

// Parses a burst behind prefetches. What is malformed dies; the rest moves to the front in order. Returns how many.
// Runs of one flow are told by Meta::continues: TCP data that begins where that of the packet before it ends; or an ACK
// without data behind such an ACK, which acknowledges more. Both with no flag but ACK (PSH may end a run), and the same
// headers but for lengths, sums, IPv4's id and, of ACKs, the window. So what follows a head needs neither a second look
// at its headers nor one of its own at any table.
std::size_t parse(std::span<Packet> burst, bool verify_checksums, Counters& counters);

}  // namespace sluice
