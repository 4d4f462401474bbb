// socket.h - one descriptor of the shim: a socket with the state that Linux keeps beside TCP's own, or an epoll set.
// Private to tests/support/tcp_shim. Everything is used under Shim::mutex.
#pragma once

#include <sys/epoll.h>
#include <sys/socket.h>

#include <deque>
#include <map>
#include <memory>
#include <string>

#include "l4/tcp/stack.h"

namespace sluice::shim {

struct File {
  explicit File(bool is_socket) : socket(is_socket) {}
  virtual ~File() = default;
  const bool socket;
  bool closed = false;  // its descriptor is gone; a call that sleeps in it ends with EBADF
  bool close_on_exec = false;
};

// What setsockopt set. Buffer sizes are as getsockopt tells them (twice what was asked for).
struct SocketOptions {
  int rcvbuf = 0, sndbuf = 0, rcvlowat = 1;
  linger lingers{};
  bool reuse_address = false, reuse_port = false, keepalive = false, v6_only = false;
  bool no_delay = false, cork = false, rcvbuf_fixed = false, sndbuf_fixed = false, tell_inq = false;
  int quick_ack = -1;  // -1: not said
  int max_segment = 0, keep_idle = 7200, keep_interval = 75, keep_count = 9;
  unsigned user_timeout_ms = 0, unsent_low = 0;  // unsent_low: TCP_NOTSENT_LOWAT
  std::uint16_t port_low = 0, port_high = 0;     // IP_LOCAL_PORT_RANGE
  int syn_count = 0, linger2 = 0, defer_accept = 0;
  timeval receive_timeout{}, send_timeout{};
  std::map<std::pair<int, int>, int> kept;  // (level, name): told again, without effect
};

// Segments of one connection, as they passed the wire.
struct Traffic {
  std::uint32_t segments_out = 0, segments_in = 0, data_segments_out = 0, data_segments_in = 0;
  std::uint64_t data_bytes_out = 0;  // with what was sent again
  Nanos data_sent{}, data_received{}, ack_received{};
  // What held data back, for how long (Linux's chronographs), and since when the present one does.
  enum class Holds : std::uint8_t { nothing, sending, peer_window, send_buffer } holds = Holds::nothing;
  Nanos times[4]{}, since{};
};

struct Socket final : File {
  // Linux's sock->state: what connect() looks at.
  enum class Phase : std::uint8_t { unconnected, connecting, connected };

  Socket(std::uint32_t number, int family) : File(true), serial(number), domain(family) {}
  // Which of the stack's sets is its own: by turns, because a closed socket's connection lives on for a while.
  tcp::SettingsId settings() const { return static_cast<tcp::SettingsId>(1 + serial % (settings_max - 1)); }
  static constexpr tcp::SettingsId settings_max = 4096;

  const std::uint32_t serial;  // also the ListenerId, and Stack's `user`
  const int domain;
  bool nonblocking = false;
  Phase phase = Phase::unconnected;
  bool bound = false;        // it has a local port
  bool address_set = false;  // and bind() gave it its address
  bool listening = false;
  std::uint32_t backlog = 0;
  std::deque<std::shared_ptr<Socket>> accepted;

  bool open = false;  // `id` names a connection of the stack; else TCP is in CLOSED (or LISTEN)
  tcp::ConnId id;
  bool connecting = false;  // SYN-SENT, or SYN-RECEIVED after a simultaneous open
  Endpoint local, remote;
  int error = 0, soft_error = 0;                             // sk_err and sk_err_soft
  bool shut_read = false, shut_write = false, done = false;  // done: the peer's FIN came
  Chain inbox;                                               // taken from the stack, not read yet
  tcp::Info last;                                            // what the connection was when it ended
  tcp::State state_at_end = tcp::State::closed;
  Traffic traffic;
  std::uint64_t activity = 1;  // wake-ups so far: what edge-triggered epoll counts
  bool more = false;           // the last send said MSG_MORE; held: nothing was heard since, so small segments wait
  bool held = false;
  // Behind a MSG_EOR, each piece to the stack when all before it has left; ended: what comes next begins a piece.
  std::deque<Chain> pieces;
  bool ended = false;
  std::uint32_t tail = 0;        // bytes in the last buffer that Linux would have, sent or not
  std::uint32_t window_max = 0;  // that the peer ever offered
  bool no_space = false;         // somebody was told that there is no room to send
  SocketOptions options;
};

struct Epoll final : File {
  struct Watch {
    std::weak_ptr<Socket> socket;
    epoll_event asked{};
    std::uint64_t seen = 0;  // edge-triggered: the socket's activity when it was last told
    bool spent = false;      // one shot, used
  };
  Epoll() : File(false) {}
  std::map<int, Watch> watches;
};

}  // namespace sluice::shim
