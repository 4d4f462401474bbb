// ecn_watch.h - what RFC 3168 promises about explicit congestion notification, seen from outside a host: from each
// segment that its TCP takes and from each that it sends. A mark is echoed until CWR comes, and not for ever; an echo
// makes CWR stand on new data, once a window; ECT stands on new data alone, and only where both ends agreed.
//
// Where a host may rightly have seen otherwise (a marked segment that it had no room for), the same must happen a few
// times before it counts. One host; connections by their ends.
#pragma once

#include <array>
#include <map>
#include <string>

#include "l4/tcp/key.h"
#include "l4/tcp/segment.h"

namespace sluice::sim {

class EcnWatch {
 public:
  // As parse left it.
  void received(const Packet& packet);
  // As TCP hands it to its egress: from the IP header on.
  void sent(const Packet& packet);
  const std::string& failure() const { return failure_; }

 private:
  struct Seen {
    tcp::Key key;  // as this host says it
    tcp::Seq seq, ack;
    std::uint8_t flags = 0;
    tcp::EcnField ecn = tcp::EcnField::not_capable;
    std::uint32_t size = 0;  // of payload
    bool has(std::uint8_t mask) const { return flags & mask; }
    tcp::Seq end() const { return seq + size; }
  };
  struct Connection {
    tcp::Seq first_sent, first_received;                                                // the SYNs' numbers
    bool asked = false, was_asked = false, plain_sent = false, plain_received = false;  // in SYNs
    // As a receiver.
    tcp::Seq marked_end, acknowledged;
    bool marked = false;      // data up to marked_end, and nothing echoed since
    unsigned unechoed = 0;    // marked data that was acknowledged without an echo, in a row
    unsigned reductions = 0;  // CWRs since the last mark
    // As a sender.
    tcp::Seq highest, window_end, peer_acknowledged;
    unsigned windows = 0;  // that were echoed, one after another, without CWR
  };
  static Seen view(const Packet& packet, std::uint16_t ip_at, bool out);
  void syn(Connection& c, const Seen& s, bool out);
  void fail(const Seen& s, const char* what);
  Connection* find(const Seen& s);

  std::map<std::array<std::uint8_t, 40>, Connection> connections_;
  std::string failure_;
};

}  // namespace sluice::sim
