// transport.h - moves the bytes of a connection between TCP, TLS and the chains that HTTP reads and writes.
// Sealing waits until flush(), so that all records of a turn are made in one loop. One worker.
#pragma once

#include "l7/connection.h"

namespace sluice {

class Transport {
 public:
  enum class Input : std::uint8_t {
    nothing,      // no new bytes for HTTP
    bytes,        // `in` has grown
    established,  // TLS: the handshake is over (there may be bytes as well)
    starved,      // records wait and no buffer is free: pull again in a later turn
    dead,         // TLS failed; what the peer shall hear is queued: the connection has to be given up
  };

  Transport(tcp::Stack& tcp, tls::Sessions& tls) : tcp_(tcp), tls_(tls) {}

  // Takes what TCP has, opens its records, appends to connection.in. Sets `ended` when the peer will send no more.
  Input pull(Connection& connection, Nanos now);
  // HTTP has taken bytes from `in`: TCP's window may open by as many.
  void consumed(Connection& connection, Nanos now);
  // Payload bytes that may be added to `out` now. 0 sets `blocked`: a writable event, or flush(), will say when it is
  // over.
  std::uint32_t room(Connection& connection);
  // Seals and sends `out`; with close_when_sent also ends our direction. False when buffers ran out: call it again.
  bool flush(Connection& connection, Nanos now);

 private:
  // The order on the wire: what the session had to say goes before.
  void send_wire(Connection& connection, Chain& wire);

  tcp::Stack& tcp_;
  tls::Sessions& tls_;
};

}  // namespace sluice

// Tested in tests/unit/l7/exchanges_test.cc.
