#include "l7/transport.h"

namespace sluice {

void Transport::send_wire(Connection& connection, Chain& wire) {
  if (!wire.empty()) tcp_.send(connection.tcp, std::move(wire));
}

Transport::Input Transport::pull(Connection& c, Nanos now) {
  const std::uint32_t before = c.in.size();
  Chain& first = c.secure ? c.cipher : c.in;
  const std::uint32_t had = first.size();
  tcp_.receive(c.tcp, first);
  c.held += first.size() - had;
  if (c.held) c.last_active = now;
  Input result = Input::nothing;
  if (c.secure) {
    Chain wire;
    switch (tls_.receive(c.tls, c.cipher, c.in, wire, now)) {
      case tls::Progress::established: result = Input::established; break;
      case tls::Progress::closed: c.ended = true; break;
      case tls::Progress::error: result = Input::dead; break;
      case tls::Progress::no_buffers: result = Input::starved; break;
      default: break;
    }
    send_wire(c, wire);
  }
  if (tcp_.at_end(c.tcp)) c.ended = true;
  if (result == Input::nothing && c.in.size() != before) result = Input::bytes;
  return result;
}

void Transport::consumed(Connection& c, Nanos now) {
  const std::uint32_t waiting = (c.secure ? c.cipher.size() : 0) + c.in.size();
  if (c.held <= waiting) return;
  tcp_.consumed(c.tcp, c.held - waiting, now);
  c.held = waiting;
}

std::uint32_t Transport::room(Connection& c) {
  const std::uint32_t room = tcp_.send_room(c.tcp);
  if (room > c.out.size()) return room - c.out.size();
  c.blocked = true;
  return 0;
}

bool Transport::flush(Connection& c, Nanos now) {
  if (!c.out.empty()) {
    c.last_active = now;
    if (c.secure) {
      Chain wire;
      const bool all = tls_.send(c.tls, c.out, wire, now);
      send_wire(c, wire);
      if (!all) return false;
    } else {
      tcp_.send(c.tcp, std::move(c.out));
    }
  }
  if (c.close_when_sent && c.state != Connection::State::lingering) {
    if (c.secure && !c.truncate) {
      Chain wire;
      tls_.close(c.tls, wire);
      send_wire(c, wire);
    }
    tcp_.shutdown(c.tcp, now);
    c.state = Connection::State::lingering;
  }
  return true;
}

}  // namespace sluice
