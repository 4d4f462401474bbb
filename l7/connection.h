// connection.h - one TCP connection that speaks HTTP: a client's to us, or ours to an upstream endpoint.
// Bytes move  TCP -> cipher -> (TLS) -> in -> decoder -> exchange  and  exchange -> out -> (TLS) -> TCP.  Without TLS
// the first two are one. What is in `cipher` and `in` stays charged to the TCP connection until it is passed on, so
// that a slow reader closes the window of the fast writer. Plain data in a fixed pool; one worker.
#pragma once

#include "crypto/tls/session.h"
#include "dataplane/base/pool.h"
#include "dataplane/base/timers.h"
#include "l4/tcp/stack.h"
#include "l7/http/h1_decoder.h"
#include "l7/policy.h"

namespace sluice {

struct Exchange;
using ExchangeId = Handle<Exchange>;

enum class Side : std::uint8_t { client, upstream };

struct alignas(64) Connection {
  enum class State : std::uint8_t {
    connecting,   // upstream: TCP's handshake is under way
    handshaking,  // TLS's handshake is under way
    open,
    lingering,  // all is sent, our FIN behind it; what still comes is dropped until the peer's FIN or the deadline
  };

  Connection(Side side, const http::Limits& limits)
      : decoder(side == Side::client ? http::Role::server : http::Role::client, limits), side(side) {}

  // Lines 0 and 1, whatever comes.
  tcp::ConnId tcp;
  tls::SessionId tls;  // none: plain
  http::H1Decoder decoder;
  Chain in;
  ExchangeId exchange;                    // HTTP/1.1: the one under way
  std::uint32_t held = 0;                 // bytes that TCP handed over and that are not yet consumed
  std::uint32_t object = policy::no_id;   // listener or endpoint
  std::uint32_t cluster = policy::no_id;  // of an upstream connection
  std::uint32_t requests = 0;             // begun on this connection
  std::uint32_t pool_generation = 0;      // the pool's
  Side side;
  State state = State::open;
  bool secure : 1 = false;
  bool idle : 1 = false;             // upstream: in its pool
  bool ended : 1 = false;            // the peer sent all that it will send (FIN, or close_notify)
  bool blocked : 1 = false;          // somebody waits for room to write
  bool close_when_sent : 1 = false;  // end the connection as soon as `out` is sealed and sent
  bool truncate : 1 = false;         // and without close_notify, since the message is not whole
  bool dirty : 1 = false;            // stands in the list of those with bytes to seal and send
  bool again : 1 = false;            // stands in the list of those to be looked at in the next turn
  bool counted : 1 = false;          // holds permits and counts as active
  bool own_use : 1 = false;          // speaks from the client's address: never pooled
  Nanos last_active{};
  std::uint64_t acknowledged = 0;  // while lingering: bytes that the peer had taken when last looked at

  // Line 2, TLS and what goes.
  Chain cipher, out;
  // Upstream and idle: neighbours in the endpoint's list.
  std::uint32_t idle_next = Handle<Connection>::none, idle_previous = Handle<Connection>::none;

  static constexpr unsigned coming_lines = 2, lines = 3;
};
static_assert(sizeof(Connection) == 64 * Connection::lines && offsetof(Connection, cipher) == 128,
              "a connection that has slept is far away: each line is waited for");
using ConnectionId = Handle<Connection>;
using ConnectionPool = Pool<Connection, TimerEntry>;

}  // namespace sluice

// Tested in tests/unit/l7/exchanges_test.cc.
