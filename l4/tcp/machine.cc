#include "l4/tcp/machine.h"

#include "l4/tcp/join.h"
#include "l4/tcp/pace.h"
#include "l4/tcp/recovery.h"

namespace sluice::tcp {

namespace {

constexpr unsigned packets_per_connection = 64;  // of one output(), so that none starves the others
constexpr unsigned packets_per_output = 1024;
constexpr std::size_t input_burst = 32;
constexpr std::size_t asked_at_once = 4, asked_ahead = 8;  // runs
constexpr unsigned timers_per_turn = 4096;
constexpr unsigned time_waits_per_turn = 1024;

// The two ends as this side sees them. False: a source that no peer can have.
bool read_key(const Packet& packet, std::uint16_t network, Key& key) {
  const Meta& meta = packet.meta();
  const std::uint8_t* ip = packet.data() + meta.l3_offset;
  if (meta.l3 == L3::ip4) {
    key.remote = IpAddress::from_v4_wire(ip + 12);
    key.local = IpAddress::from_v4_wire(ip + 16);
    if (key.remote.v4() == 0xffffffff) return false;
  } else {
    key.remote = IpAddress::from_v6_wire(ip + 8);
    key.local = IpAddress::from_v6_wire(ip + 24);
    if (key.remote.is_v4() || key.local.is_v4()) return false;  // IPv4-mapped addresses have no place on the wire
  }
  key.remote_port = meta.source_port;
  key.local_port = meta.destination_port;
  key.network = network;
  if (key.remote.is_multicast() || key.remote.is_unspecified() || key.local.is_multicast() || key.remote_port == 0)
    return false;
  return !(key.remote == key.local && key.remote_port == key.local_port);
}

}  // namespace

Stack::Machine::Machine(const Config& config, Buffers& buffers, Counters& counters, Nanos start)
    : core(config, buffers, counters),
      connections(config.connections),
      handshakes(config.handshakes),
      time_waits(config.time_waits),
      table(config.connections + config.handshakes + config.time_waits),
      hash(config.secret),
      sip(config.secret),
      cookies(config.secret),
      cookie_gate(config),
      wheel(config.connections + config.handshakes, 1_ms, start, timer_places(connections)),
      latest(start) {
  for (const Nanos ahead : {config.keepalive_idle, config.keepalive_interval, config.fin_wait_2, config.user_timeout,
                            config.connect_timeout, config.rto_max, config.delayed_ack})
    CHECK(ahead < Deadline::furthest);
  CHECK(config.connections < 1u << 30 && config.handshakes < 1u << 30 && config.time_waits < 1u << 30);
  CHECK(config.source_count <= sources_max);
}

std::uint32_t Stack::Machine::lookup(const Key& key, std::uint64_t key_hash) {
  return table.find(key_hash, [&](std::uint32_t value) {
    const std::uint32_t index = tcp::index_of(value);
    switch (kind_of(value)) {
      case Kind::connection: return connections[index].key == key;
      case Kind::handshake: return handshakes[index].key == key;
      default: return time_waits[index].key == key;
    }
  });
}

void Stack::Machine::input(Packet packet, Nanos now, std::uint16_t network) {
  Key key;
  if (!read_key(packet, network, key)) {
    core.counters.add(Counter::tcp_segments_in);
    return drop(std::move(packet), Counter::drop_tcp_bad_source, core.counters);
  }
  input({&packet, 1}, key, hash(key), now);
}

// A million connections do not fit a cache: the table's line is asked for a burst ahead, and some runs ahead what it
// names: the connection's lines and its timer. A prefetch waits for its page to be found, which takes longer than all
// the rest: they stand close together, so that the pages of many are found side by side.
void Stack::Machine::input(std::span<Packet> burst, Nanos now, std::uint16_t network) {
  struct Run {  // a packet and those that continue it (Meta)
    Key key;
    std::uint64_t hash;
    std::size_t begin, size;
    std::uint32_t index;
    bool good;
  };
  std::array<Run, input_burst> runs;
  for (; !burst.empty(); burst = burst.subspan(std::min(burst.size(), input_burst))) {
    const std::size_t n = std::min(burst.size(), input_burst);
    std::size_t count = 0;
    for (std::size_t i = 0; i < n; ++i) {
      if (i > 0 && burst[i].meta().continues) {
        ++runs[count - 1].size;
        continue;
      }
      Run& run = runs[count++];
      run.begin = i;
      run.size = 1;
      run.good = burst[i].meta().protocol == Protocol::tcp && read_key(burst[i], network, run.key);
      run.hash = run.good ? hash(run.key) : 0;
    }
    for (std::size_t i = 0; i < count; ++i)
      if (runs[i].good) table.prefetch(runs[i].hash);
    std::size_t asked = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (asked < std::min(count, i + asked_ahead)) {
        const std::size_t from = asked;
        asked = std::min(count, asked + asked_at_once);
        for (std::size_t k = from; k < asked; ++k) {
          Run& run = runs[k];
          run.index = no_slot;
          if (!run.good || (k > 0 && run.hash == runs[k - 1].hash)) continue;
          const std::uint32_t value = table.candidate(run.hash);
          if (value != KeyTable::none && kind_of(value) == Kind::connection) run.index = tcp::index_of(value);
        }
        for (std::size_t k = from; k < asked; ++k) {
          const std::uint32_t index = runs[k].index;
          if (index == no_slot) continue;
          const bool data = burst[runs[k].begin].meta().payload_size;
          connections.prefetch(index, 0, data ? Tcb::data_lines : Tcb::busy_lines);
          if (!data) wheel.prefetch(index);
        }
      }
      const Run& run = runs[i];
      std::span<Packet> packets = burst.subspan(run.begin, run.size);
      while (run.good && !packets.empty()) packets = packets.subspan(input(packets, run.key, run.hash, now));
      for (Packet& packet : packets) {
        if (packet.meta().protocol == Protocol::tcp) input(std::move(packet), now, network);
        else input_icmp(std::move(packet), now, network);
      }
    }
  }
}

// The first of `run` with those behind it that join it, or the ACK that it gives way to. Returns how many they were.
std::size_t Stack::Machine::input(std::span<Packet> run, const Key& key, std::uint64_t key_hash, Nanos now) {
  Packet packet = std::move(run.front());
  std::size_t count = 1;
  latest = now;
  auto segment = parse_segment(packet);
  const std::uint32_t value = segment ? lookup(key, key_hash) : KeyTable::none;
  if (!segment) {
    drop(std::move(packet), Counter::drop_malformed, core.counters);
  } else if (value == KeyTable::none) {
    input_nobody(key, key_hash, *segment, std::move(packet), now);
  } else if (const std::uint32_t index = tcp::index_of(value); kind_of(value) == Kind::connection) {
    Tcb& t = connections[index];
    if (run.size() > 1 && t.state == State::established && segment->seq == t.rcv_nxt && t.transit->reassembly.empty()) {
      if (segment->size) {
        count += join(packet, *segment, run.subspan(1));
      } else if (const auto last = parse_segment(run.back()); last && gives_way(t, *segment, last->ack)) {
        packet = std::move(run.back());
        for (Packet& other : run.subspan(1)) other = {};
        segment = last;
        count = run.size();
      }
      core.counters.add(Counter::tcp_segments_joined, count - 1);
    }
    const Verdict verdict = tcp::input(t, *segment, std::move(packet), core, now);
    act(t, verdict, &*segment, now);
  } else if (kind_of(value) == Kind::handshake) {
    input_handshake(index, *segment, std::move(packet), key_hash, now);
  } else {
    input_time_wait(index, *segment, packet, key_hash, now);
  }
  core.counters.add(Counter::tcp_segments_in, count);
  return count;
}

void Stack::Machine::reset_peer(Tcb& t, Nanos now) {
  Reply r{t.key, {}};
  // What lies beyond the peer's window it would not look at (RFC 9293 3.10.7.4): a byte that probes a shut one is
  // there.
  r.header.seq = earlier(t.snd_nxt, t.snd_una + t.snd_wnd);
  r.header.ack = t.rcv_nxt;
  r.header.flags = flag_rst | flag_ack;
  r.header.has_timestamps = t.timestamps;  // RFC 7323 3.2
  r.header.ts_value = t.ts_now(now);
  r.header.ts_echo = t.ts_recent;
  core.counters.add(Counter::tcp_resets_sent);
  reply(r);
}

void Stack::Machine::act(Tcb& t, Verdict verdict, const Segment* s, Nanos now) {
  switch (verdict) {
    case Verdict::kept:
    case Verdict::closed: break;
    case Verdict::reset: reset_peer(t, now); break;
    case Verdict::refuse: answer_nobody(t.key, *s, now); break;
    case Verdict::time_wait: enter_time_wait(t, now); break;
  }
  settle(t);
}

void Stack::Machine::leave_table(Tcb& t) {
  if (!t.in_table) return;
  table.erase(hash(t.key), value_of(Kind::connection, index_of(t)));
  t.in_table = false;
}

void Stack::Machine::settle(Tcb& t) {
  const bool rested = rest(t, core);
  const std::uint32_t index = index_of(t);
  if (t.state == State::closed) [[unlikely]] {
    leave_table(t);
    wheel.cancel(index);
    t.armed_at = Nanos::never();
  } else {
    // A later deadline waits until the earlier one comes round, but for a connection that goes to sleep: by then it
    // would be far away.
    if (const Deadline deadline = t.deadline();
        deadline.before(t.armed_at) || (rested && t.armed_at.before(deadline))) {
      t.armed_at = deadline;
      wheel.arm(index, deadline.nanos(latest));
    }
    settle_output(t);
  }
  if (t.events && !t.in_events && !t.released) {
    t.in_events = true;
    events.push(connections, index);
  }
  if (t.state == State::closed && t.released) free_if_done(t);
}

void Stack::Machine::free_if_done(Tcb& t) {
  if (t.state != State::closed || !t.released || t.in_events || t.in_output) return;
  CHECK(!t.in_table && t.queue.size() == 0 && t.transit->board.empty() && t.transit->reassembly.empty());
  connections.free(&t);
}

std::span<const Event> Stack::Machine::take_events() {
  std::size_t count = 0;
  while (events.size && count < batch.size()) {
    Tcb& t = connections[events.pop(connections)];
    t.in_events = false;
    if (t.released) {
      free_if_done(t);
      continue;
    }
    const ListenerId listener = t.events & event_accepted ? t.listener : no_listener;  // else it stays far away
    batch[count++] = {connections.handle(&t), t.user, listener, t.events};
    t.events = 0;
  }
  return {batch.data(), count};
}

void Stack::Machine::output(Egress& egress, Nanos now) {
  latest = now;
  for (std::size_t i = 0; i < reply_count; ++i) send_reply(replies[i], core, egress, now);
  reply_count = 0;
  unsigned left = packets_per_output;
  for (std::uint32_t waiting = outputs.size; waiting > 0 && left > 0; --waiting) {
    const std::uint32_t index = outputs.pop(connections);
    Tcb& t = connections[index];
    t.in_output = false;
    unsigned budget = std::min(packets_per_connection, left);
    const unsigned given = budget;
    const bool more = tcp::output(t, core, egress, now, budget);
    left -= given - budget;
    if (more && t.state != State::closed) {
      t.in_output = true;
      outputs.push(connections, index);
    }
    settle(t);
  }
}

Nanos Stack::Machine::expire(Nanos now) {
  latest = now;
  wheel.advance(now, timers_per_turn, [&](std::uint32_t index) {
    if (index >= core.config.connections) return handshake_expired(index - core.config.connections, now);
    Tcb& t = connections[index];
    t.armed_at = Nanos::never();
    act(t, tcp::expire(t, core, now), nullptr, now);
  });
  core.acks.advance(now, timers_per_turn, [&](Tcb& t) {
    t.ack_place = DelayedAcks::none;
    t.acknowledge_now();
    settle(t);
  });
  for (unsigned n = 0; n < time_waits_per_turn && time_waits.oldest() != no_slot; ++n) {
    if (!time_waits.expired(time_waits.oldest(), now)) break;
    drop_time_wait(time_waits.oldest());
  }
  core.path_mtus.expire(now);
  relieve(now);
  return std::min(wheel.next(), core.acks.next());
}

void Stack::Machine::release(Tcb& t, Nanos now) {
  const bool unread = !t.received.empty();
  core.held -= t.unconsumed_buffers;
  t.unconsumed_buffers = t.unconsumed_bytes = 0;
  t.received.clear();
  t.released = true;
  t.events = 0;
  if (t.state == State::syn_sent) {
    close(t, 0, core);
  } else if (t.state != State::closed && (unread || t.state == State::syn_received)) {
    close(t, 0, core);
    reset_peer(t, now);
  } else if (t.state != State::closed) {
    t.fin_queued = true;
    if (t.state == State::fin_wait_2) t.idle_at = now + core.config.fin_wait_2;
  }
  settle(t);
}

std::uint8_t Stack::Machine::receive_scale(SettingsId settings) const {
  std::uint8_t scale = 0;
  while (scale < 14 && (65535u << scale) < core.settings[settings].receive_limit) ++scale;
  return scale;
}

namespace {

void describe_recovery(const Tcb& t, const Config& c, Info& out) {
  out.congestion_state = static_cast<CongestionState>(t.mode);
  out.ecn = t.ecn;
  out.segment_size = t.segment_size;
  out.cwnd_segments = t.congestion.cwnd();
  out.ssthresh_segments = t.congestion.unlimited() ? 0x7fffffff : t.congestion.ssthresh();
  out.segments_out = t.transit->board.out();
  out.segments_sacked = t.transit->board.sacked();
  out.segments_lost = t.transit->board.lost();
  out.segments_again = t.transit->board.again();
  out.segments_delivered = t.rate.delivered;
  out.duplicates_told = t.duplicates_told;
  out.reordering_threshold = t.reordering;
  out.reordering = t.reordering_seen;
  out.back_off = t.back_off;
  out.unanswered = t.unanswered;
  out.delivery_rate = t.rate.bytes_per_second(t.segment_size);
  out.delivery_rate_app_limited = t.rate.sample_app_limited;
  out.pacing_rate = paces(t, c) ? pacing_rate(t) : 0;
}

}  // namespace

void Stack::Machine::describe(const Tcb& t, Info& out, Nanos now) const {
  out = {};
  out.local = {t.key.local, t.key.local_port};
  out.remote = {t.key.remote, t.key.remote_port};
  out.user = t.user;
  out.listener = t.listener;
  out.network = t.key.network;
  out.state = t.state;
  out.limited_by = t.unsent() == 0                                       ? Limit::application
                   : t.transit->board.in_flight() >= t.congestion.cwnd() ? Limit::congestion
                   // The whole of a segment does not fit (RFC 9293 3.8.6.2.1).
                   : t.snd_wnd < t.flight() + std::min<std::uint32_t>(t.unsent(), t.segment_size) ? Limit::peer_window
                                                                                                  : Limit::nothing;
  out.passive = t.passive;
  out.timestamps = t.timestamps;
  out.sack = t.sack;
  out.in_recovery = t.mode >= Mode::recovery;
  out.released = t.released;
  out.send_scale = t.snd_scale;
  out.receive_scale = t.rcv_scale;
  out.mss = t.mss;
  out.receive_mss = t.rcv_mss;
  out.path_mtu = static_cast<std::uint16_t>(t.mss + 20 + ip_header_size(t.key));
  out.unreachable = t.unreachable;
  out.cwnd = t.congestion.cwnd() * t.segment_size;
  out.ssthresh = t.congestion.unlimited() ? 0 : t.congestion.ssthresh() * t.segment_size;
  out.in_flight = std::min(t.transit->board.in_flight() * t.segment_size, t.flight());
  out.lost = t.transit->board.lost() * t.segment_size;
  out.sacked = t.transit->board.sacked() * t.segment_size;
  out.peer_window = t.snd_wnd;
  out.our_window = t.window();
  out.send_queue = t.queue.size();
  out.receive_queue = t.received.size();
  out.out_of_order = t.transit->reassembly.bytes();
  out.rtt = t.rtt.smoothed();
  out.rtt_variance = t.rtt.variance();
  out.rtt_min = t.rtt.min();
  out.rto = t.rto(core.config);
  out.reordering_window = Nanos{1'000} * std::int64_t{reordering_window_us(t)};
  out.age = Nanos{1'000'000} * static_cast<std::int64_t>(static_cast<std::uint32_t>(now.millis()) - t.created_ms);
  out.bytes_acknowledged = t.bytes_acknowledged;
  out.bytes_sent = t.bytes_acknowledged + (t.queue.size() - t.unsent());
  out.bytes_received = t.bytes_received();
  describe_recovery(t, core.config, out);
  out.retransmits = t.retransmits;
  out.timeouts = t.timeouts;
}

}  // namespace sluice::tcp
