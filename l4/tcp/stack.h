// stack.h - one worker's TCP (RFC 9293; 7323, 2018, 6675, 8985, 6298, 5682, 6937, 9438, 9406, 6928, 3168, 5961, 6528,
// 4987, 1191, 8201, 4821):
// segments in, byte chains out. Each turn: input() every segment of the local lane, take_events() until it is empty,
// act, output(), expire(). Nothing is sent outside output(). All memory is taken by the constructor; one owner thread;
// time is an argument, secrets are in Config. A ConnId lives until release() and misses harmlessly afterwards: every
// call with a stale id does nothing and returns zero, nullptr or false.
//
// Not here: urgent data is passed in line (no pointer), no TCP Fast Open (data on SYN is not acknowledged, the peer
// sends it again), no AccECN (RFC 3168's ECN only).
#pragma once

#include <expected>
#include <memory>
#include <span>

#include "dataplane/base/address.h"
#include "dataplane/base/pool.h"
#include "dataplane/packet/chain.h"
#include "l4/tcp/config.h"
#include "l4/tcp/egress.h"
#include "l4/tcp/info.h"
#include "l4/tcp/listening.h"

namespace sluice::tcp {

struct Tcb;
using ConnId = Handle<Tcb>;

// What happened to a connection since it was last reported.
enum EventBits : std::uint16_t {
  event_accepted = 1 << 0,   // a passive open completed; Event::listener says whose
  event_connected = 1 << 1,  // an active open completed
  event_readable = 1 << 2,   // receive() has bytes that it had not before
  event_writable = 1 << 3,   // send_room() answered 0 before and has room now
  event_finished = 1 << 4,   // the peer's FIN came, all bytes before it can be received
  event_reset = 1 << 5,      // the peer reset (or refused) it, or an import or restart ended it
  event_timed_out = 1 << 6,  // connect, user or keepalive timeout
  event_cut = 1 << 8,        // beside event_reset: this side ended it, because buffers were short
  event_closed = 1 << 7,     // TCP is done with it (after the two above, or both FINs): release() is all that is left
};

struct Event {
  ConnId id;
  std::uint64_t user;
  ListenerId listener;  // with event_accepted whose, else no_listener
  std::uint16_t bits;
};
inline constexpr ListenerId no_listener = ~ListenerId{0};

struct ConnectSpec {
  Endpoint remote;
  IpAddress local{};             // unspecified: the next of Config::sources in the remote's family
  std::uint16_t local_port = 0;  // 0: chosen so that the reply comes home (Config::port_owner)
  std::uint16_t network = 0;     // network id, part of the connection key
  bool transparent = false;      // local is not an address of ours (the client's own): ports from 1024 up may be chosen
  Nanos timeout{};               // zero: Config::connect_timeout
  std::uint64_t user = 0;
  SettingsId settings = 0;
};
enum class ConnectError : std::uint8_t { pool_full, no_source, no_port, in_use };

// Stream offsets of what was sent, for retries: all count payload bytes from the start of the connection.
struct SendProgress {
  std::uint64_t queued = 0;       // given to send()
  std::uint64_t transmitted = 0;  // put on the wire at least once
  std::uint64_t acknowledged = 0;
};

enum class ImportError : std::uint8_t { malformed, version, pool_full, no_buffers, exists };

class Stack {
 public:
  // `counters` and `buffers` outlive the stack. `start` is the earliest time that will ever be passed.
  Stack(const Config& config, Buffers& buffers, Counters& counters, Nanos start);
  ~Stack();
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  // Consulted for SYNs; set once a turn, from the policy in force.
  void set_listeners(ListenerView listeners);

  // A segment of the local lane. parse has filled Meta and verified lengths; checksums are verified by now. `network`
  // is the id of the network that it came from.
  void input(Packet segment, Nanos now, std::uint16_t network = 0);
  // The same for the local lane of a burst, ICMP errors among it; the packets are taken.
  void input(std::span<Packet> segments, Nanos now, std::uint16_t network = 0);
  // An ICMP error that quotes a segment of ours (l4/icmp_inner.h), as parse left it: of no interest, it is dropped.
  void input_icmp(Packet error, Nanos now, std::uint16_t network = 0);
  // The next connections that something happened to, each once; empty when there are no more. Valid until the next
  // call.
  std::span<const Event> take_events();

  std::expected<ConnId, ConnectError> connect(const ConnectSpec& spec, Nanos now);

  // Moves what is in order to the end of `out`. It stays charged to the connection until consumed().
  void receive(ConnId id, Chain& out);
  // l7 is done with that many received bytes (sent on, or dropped): the window opens. Back-pressure is not calling
  // this.
  void consumed(ConnId id, std::uint32_t bytes, Nanos now);
  // l7 is about to say so, or to send: what that touches of a connection that has slept is far away, and asked for.
  void prefetch(ConnId id) const;
  // Bytes that send() should be given now at most. Answering 0 promises a writable event. It is advice: one chain may
  // overshoot.
  std::uint32_t send_room(ConnId id);
  // Queues bytes; they leave in output(). After shutdown(), or on a connection that is gone, they are dropped.
  void send(ConnId id, Chain bytes);
  // FIN after what is queued. Receiving goes on.
  void shutdown(ConnId id, Nanos now);
  // RST; nothing more is sent or received. No event follows.
  void abort(ConnId id, Nanos now);
  // l7 forgets the connection; the id is stale at once. Bytes that were received and not taken make it a reset (RFC
  // 2525 2.17); else a FIN goes out behind what is queued, if it has not yet, and TCP finishes alone.
  void release(ConnId id, Nanos now);

  // The sets of what connections may differ in, 0 to Config::settings - 1. A change counts at once for those that use
  // it, but keepalive's from the next segment or use() on.
  Settings& settings(SettingsId id);
  void use(ConnId id, SettingsId settings, Nanos now);

  // l7's own handle. Only while the id is valid; a stale id gets a scratch word.
  std::uint64_t& user(ConnId id);
  bool valid(ConnId id) const;
  // Whether a segment to `local` from `remote` belongs to a connection here (a live one, a half-open one, or one in
  // TIME-WAIT).
  bool has(const Endpoint& local, const Endpoint& remote, std::uint16_t network = 0) const;
  // Established, or closing with data still to move; false before the handshake is over and after the end.
  bool open(ConnId id) const;
  // The peer's FIN has come and receive() took all that was before it.
  bool at_end(ConnId id) const;
  Endpoint local(ConnId id) const;
  Endpoint remote(ConnId id) const;
  ListenerId listener(ConnId id) const;
  SendProgress progress(ConnId id) const;

  // Sends all that may be sent now.
  void output(Egress& egress, Nanos now);
  // Fires timers that are due; what they cause is sent by the next output(). Returns the time of the next (a bound).
  Nanos expire(Nanos now);

  // For management, called on the worker: copies the state of one connection, or of the live ones from pool index
  // `from` on, into out; returns the index to go on from, or 0 at the end. A call looks at looked_at_max places at
  // most, so that a large pool makes no long turn: `count` may be 0 before the end.
  static constexpr std::uint32_t looked_at_max = 1024;
  bool info(ConnId id, Info& out, Nanos now) const;
  std::uint32_t list(std::uint32_t from, std::span<Info> out, std::size_t& count, Nanos now) const;
  std::uint32_t connection_count() const;
  std::uint32_t handshake_count() const;
  std::uint32_t time_wait_count() const;
  std::uint32_t held_buffers() const;   // buffers charged to all queues
  std::uint32_t transits_used() const;  // connections with something on its way

  // For tests: what of the queues, pools, timers and the table does not agree with the rest, or nullptr. Not in the
  // middle of a turn.
  const char* audit() const;

  // A versioned, pointer-free image of one connection: state, unacknowledged, unread and out-of-order bytes. Exporting
  // into too small a span gives 0; image_size() says what is needed. The exporter then calls forget(): no segment is
  // sent.
  std::size_t image_size(ConnId id) const;
  std::size_t export_image(ConnId id, MutableBytes out, Nanos now) const;
  void forget(ConnId id);
  std::expected<ConnId, ImportError> import_image(ByteView image, std::uint64_t user, Nanos now);

 private:
  struct Machine;
  std::unique_ptr<Machine> machine_;
};

}  // namespace sluice::tcp
