// machine.h - what is inside a Stack: the pools, the one table that finds connections, half-open ones and those in
// TIME-WAIT, the lists of those with something to report or to send, and the timer wheel. Private to stack.cc,
// machine.cc, passive.cc, listen.cc, icmp.cc,
// pressure.cc, ports.cc and image.cc.
#pragma once

#include <array>

#include "dataplane/base/timers.h"
#include "l4/tcp/cookie.h"
#include "l4/tcp/engine.h"
#include "l4/tcp/handshake.h"
#include "l4/tcp/key_table.h"
#include "l4/tcp/output.h"
#include "l4/tcp/stack.h"
#include "l4/tcp/time_wait.h"

namespace sluice::tcp {

// A first-in first-out list of connections, linked through one of their fields.
template <std::uint32_t Tcb::* Next>
struct Line {
  std::uint32_t head = no_slot, tail = no_slot, size = 0;
  void push(TcbPool& pool, std::uint32_t index) {
    pool[index].*Next = no_slot;
    (head == no_slot ? head : pool[tail].*Next) = index;
    tail = index;
    ++size;
  }
  std::uint32_t pop(TcbPool& pool) {
    const std::uint32_t index = head;
    head = pool[index].*Next;
    if (head == no_slot) tail = no_slot;
    --size;
    return index;
  }
};

// A value of the table: what kind of thing has the key, and where it is.
enum class Kind : std::uint32_t { connection = 0, handshake = 1u << 30, time_wait = 2u << 30 };
constexpr std::uint32_t value_of(Kind kind, std::uint32_t index) { return static_cast<std::uint32_t>(kind) | index; }
constexpr Kind kind_of(std::uint32_t value) { return static_cast<Kind>(value & 3u << 30); }
constexpr std::uint32_t index_of(std::uint32_t value) { return value & ~(3u << 30); }

struct Stack::Machine {
  Machine(const Config& config, Buffers& buffers, Counters& counters, Nanos start);

  // machine.cc
  void input(Packet packet, Nanos now, std::uint16_t network);
  void input(std::span<Packet> burst, Nanos now, std::uint16_t network);
  std::size_t input(std::span<Packet> run, const Key& key, std::uint64_t key_hash, Nanos now);
  void input_icmp(Packet packet, Nanos now, std::uint16_t network);  // icmp.cc
  void act(Tcb& t, Verdict verdict, const Segment* s, Nanos now);
  void settle(Tcb& t);          // lists, timer, table: what follows from the state after any change
  void settle_output(Tcb& t) {  // after one that only gave it something to send
    if (t.in_output || !wants_output(t)) return;
    t.in_output = true;
    outputs.push(connections, index_of(t));
  }
  void reset_peer(Tcb& t, Nanos now);
  void free_if_done(Tcb& t);
  void leave_table(Tcb& t);
  void output(Egress& egress, Nanos now);
  Nanos expire(Nanos now);
  std::span<const Event> take_events();
  void release(Tcb& t, Nanos now);
  void describe(const Tcb& t, Info& out, Nanos now) const;

  // passive.cc
  void input_listen(const Key& key, std::uint64_t hash, const Segment& s, const Packet& packet, Nanos now,
                    Seq iss_floor, bool has_floor);
  void input_handshake(std::uint32_t index, const Segment& s, Packet packet, std::uint64_t hash, Nanos now);
  void input_time_wait(std::uint32_t index, const Segment& s, const Packet& packet, std::uint64_t hash, Nanos now);
  void remember(const Handshake& h, std::uint64_t hash, Nanos now);  // and answers it
  void enter_time_wait(Tcb& t, Nanos now);
  void drop_time_wait(std::uint32_t index);
  void drop_handshake(std::uint32_t index);
  void handshake_expired(std::uint32_t index, Nanos now);
  Reply syn_ack(const Handshake& h, Nanos now) const;
  void answer_handshake(const Handshake& h, Nanos now);
  void challenge(Handshake& h, Nanos now);
  void answer_nobody(const Key& key, const Segment& s, Nanos now);
  void reply(const Reply& r);
  // Makes the connection of a handshake whose ACK `s` has come, which it then takes. There is room for it.
  void accept(const Handshake& h, std::uint64_t key_hash, std::uint32_t replaces, const Segment& s, Packet packet,
              Nanos now);

  // listen.cc
  void input_nobody(const Key& key, std::uint64_t hash, const Segment& s, Packet packet, Nanos now);
  void answer_by_cookie(const Handshake& h, Nanos now);
  // Whether the segment was the ACK of a cookie, and opened (or would have, had there been room).
  bool input_cookie(const Key& key, std::uint64_t hash, const Segment& s, Packet& packet, ListenerId listener,
                    Nanos now);

  // pressure.cc
  void relieve(Nanos now);  // once a turn
  void cut(Tcb& t, Counter reason, Nanos now);

  // ports.cc
  std::expected<ConnId, ConnectError> connect(const ConnectSpec& spec, Nanos now);
  bool choose_port(const ConnectSpec& spec, const Source& source, Key& key, std::uint32_t& reused, Nanos now);
  // What a tuple's connection begins with: the halves of one keyed hash, one of them beside a clock of 64 ns steps (RFC
  // 6528), the other as the offset of our timestamps.
  struct Origin {
    Seq sequence;
    std::uint32_t timestamps;
  };
  Origin origin(const Key& key, Nanos now) const;
  Tcb* make(const Key& key, std::uint64_t hash, std::uint32_t replaces, Nanos now);  // with its entry in the table

  Tcb* find(ConnId id) {
    Tcb* t = connections.find(id);
    return t && !t->released ? t : nullptr;
  }
  const Tcb* find(ConnId id) const { return const_cast<Machine*>(this)->find(id); }
  std::uint32_t lookup(const Key& key, std::uint64_t hash);
  std::uint32_t index_of(const Tcb& t) const { return connections.index_of(&t); }
  std::uint8_t receive_scale(SettingsId settings) const;

  Core core;
  TcbPool connections;
  Slots<Handshake> handshakes;
  std::uint32_t oldest_handshake = no_slot, newest_handshake = no_slot, handshake_count = 0;
  TimeWaits time_waits;
  KeyTable table;
  KeyHash hash;
  SipHash sip;
  Cookies cookies;
  CookieGate cookie_gate;
  TimerWheel wheel;  // connections, then handshakes
  Nanos latest;      // the last time that was passed
  ListenerView listeners;
  Line<&Tcb::event_next> events;
  Line<&Tcb::output_next> outputs;
  std::array<Event, 256> batch;
  std::array<Reply, 1024> replies;
  std::size_t reply_count = 0;
  std::uint32_t next_source = 0;
  std::array<std::uint32_t, 1024> port_cursor{};
  std::array<std::uint32_t, 1024> time_wait_answered_ms{};           // by the low bits of the entry's index
  std::uint32_t pressure_cursor = 0, greediest = no_slot, most = 0;  // of a round of relieve()
  std::uint64_t scratch = 0;
};

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/input_slow_test.cc, tests/unit/l4/tcp/stack_test.cc.
