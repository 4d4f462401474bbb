// The image of a connection: its state in network byte order, then its bytes. Times are relative, so that another
// process with another clock can go on. What was in flight counts as lost there: the peer's ACKs and our retransmission
// bridge the gap. Congestion control starts anew (RFC 5681 4.1); the round-trip time is kept.
#include "l4/tcp/machine.h"

namespace sluice::tcp {

namespace {

constexpr std::uint32_t image_magic = 0x534c5443;  // "SLTC"
constexpr std::uint16_t image_version = 4;
constexpr std::size_t fixed_size = 4 + 2 + 40 + 2 + 1 + 9 * 4 + 2 * 4 + 4 + 3 * 2 + 2 + 2 * 4 + 4 + 2 * 8 + 4 + 5 * 4;
enum : std::uint8_t {
  is_passive = 1,
  has_ts = 2,
  has_sack = 4,
  fin_is_queued = 8,
  fin_was_seen = 16,
  fin_was_received = 32,
  is_transparent = 64
};
enum : std::uint8_t { ecn_agreed = 1, ecn_echo_due = 2, ecn_cwr_due = 4, ecn_seen = 8, ecn_no_ect = 16 };

std::uint32_t hole_count(const Reassembly& r, const Holes& holes) {
  std::uint32_t n = 0;
  for (std::uint32_t i = r.head(); i != no_slot; i = holes[i].next) ++n;
  return n;
}

void put_chain(Writer& out, const Chain& chain) {
  out.u32(chain.size());
  for (const rte_mbuf* m = chain.first(); m; m = m->next)
    out.put(ByteView{rte_pktmbuf_mtod(m, const std::uint8_t*), m->data_len});
}

bool take_chain(Reader& in, Chain& out, Buffers& buffers, bool& starved) {
  const ByteView bytes = in.view(in.u32());
  if (!in.ok()) return false;
  if (bytes.empty() || out.append_bytes(bytes, buffers)) return true;
  starved = true;
  return false;
}

}  // namespace

std::size_t Stack::image_size(ConnId id) const {
  const Tcb* t = machine_->find(id);
  if (!t || !t->synchronized()) return 0;
  return fixed_size + 4 + t->received.size() + 4 + t->queue.size() + t->transit->reassembly.bytes() +
         8 * std::size_t{hole_count(t->transit->reassembly, machine_->core.holes)};
}

std::size_t Stack::export_image(ConnId id, MutableBytes to, Nanos now) const {
  const Tcb* t = machine_->find(id);
  if (!t || !t->synchronized()) return 0;
  const Holes& holes = machine_->core.holes;
  Writer out{to};
  out.u32(image_magic);
  out.u16(image_version);
  out.put(ByteView{t->key.local.bytes});
  out.put(ByteView{t->key.remote.bytes});
  out.u16(t->key.local_port);
  out.u16(t->key.remote_port);
  out.u16(t->key.network);
  out.u16(0);
  out.u8(static_cast<std::uint8_t>(t->state));
  out.u8(static_cast<std::uint8_t>((t->ecn ? ecn_agreed : 0) | (t->echo_due ? ecn_echo_due : 0) |
                                   (t->cwr_due ? ecn_cwr_due : 0) | (t->ect_seen ? ecn_seen : 0) |
                                   (t->ecn_quiet ? ecn_no_ect : 0)));
  out.u8(static_cast<std::uint8_t>((t->passive ? is_passive : 0) | (t->timestamps ? has_ts : 0) |
                                   (t->sack ? has_sack : 0) | (t->fin_queued ? fin_is_queued : 0) |
                                   (t->fin_seen ? fin_was_seen : 0) | (t->fin_received ? fin_was_received : 0) |
                                   (t->transparent ? is_transparent : 0)));
  for (const Seq seq : {t->snd_una, t->snd_nxt, t->snd_wl1, t->snd_wl2, t->rcv_nxt, t->rcv_edge, t->last_ack_sent,
                        t->transit->fin_seq, t->queue.begin()})
    out.u32(seq.value);
  out.u32(t->snd_wnd);
  out.u32(t->snd_wnd_max);
  out.u32(t->ts_recent);
  out.u16(t->search_mss);
  out.u16(t->peer_mss);
  out.u16(t->rcv_mss);
  out.u8(t->snd_scale);
  out.u8(t->rcv_scale);
  out.u32(static_cast<std::uint32_t>(now.ns / 1'000'000'000) - t->ts_recent_at);
  out.u32(t->ts_now(now));
  out.u32(t->listener);
  out.u64(t->bytes_acknowledged);
  out.u64(t->bytes_received());
  out.u32(static_cast<std::uint32_t>(t->rtt.smoothed().micros()));
  out.u32(t->rcv_window);
  out.u32(t->retransmits);
  out.u32(t->timeouts);
  out.u32(t->unconsumed_bytes - t->received.size());  // taken by l7 already
  out.u32(hole_count(t->transit->reassembly, holes));
  put_chain(out, t->received);
  put_chain(out, t->queue.chain());
  for (std::uint32_t i = t->transit->reassembly.head(); i != no_slot; i = holes[i].next) {
    out.u32(holes[i].begin.value);
    put_chain(out, holes[i].data);
  }
  return out.ok() ? out.size() : 0;
}

void Stack::forget(ConnId id) {
  Machine& m = *machine_;
  Tcb* t = m.find(id);
  if (!t) return;
  close(*t, 0, m.core);
  m.release(*t, Nanos{});
}

// Whole: a list of fields in the order of the image, and what follows from them.
std::expected<ConnId, ImportError> Stack::import_image(ByteView image, std::uint64_t user, Nanos now) {
  Machine& m = *machine_;
  Reader in{image};
  if (in.u32() != image_magic) return std::unexpected(ImportError::malformed);
  if (in.u16() != image_version) return std::unexpected(ImportError::version);
  Key key;
  const ByteView local = in.view(16), remote = in.view(16);
  if (!in.ok()) return std::unexpected(ImportError::malformed);
  std::memcpy(key.local.bytes.data(), local.data(), 16);
  std::memcpy(key.remote.bytes.data(), remote.data(), 16);
  key.local_port = in.u16();
  key.remote_port = in.u16();
  key.network = in.u16();
  in.u16();
  // A state of its own first: the pool is asked only when the whole image is good.
  Tcb image_state;
  Tcb& s = image_state;
  s.state = static_cast<State>(in.u8());
  const std::uint8_t ecn = in.u8();
  const std::uint8_t flags = in.u8();
  Seq fin_seq, queue_begin;
  for (Seq* seq : {&s.snd_una, &s.snd_nxt, &s.snd_wl1, &s.snd_wl2, &s.rcv_nxt, &s.rcv_edge, &s.last_ack_sent, &fin_seq,
                   &queue_begin})
    seq->value = in.u32();
  s.snd_wnd = in.u32();
  s.snd_wnd_max = in.u32();
  s.ts_recent = in.u32();
  s.search_mss = in.u16();
  s.peer_mss = in.u16();
  s.rcv_mss = in.u16();
  s.snd_scale = in.u8();
  s.rcv_scale = in.u8();
  const std::uint32_t ts_age = in.u32(), ts_clock = in.u32();
  s.listener = in.u32();
  s.bytes_acknowledged = in.u64();
  s.received_before = in.u64();
  const std::uint32_t srtt_us = in.u32();
  s.rcv_window = in.u32();
  s.retransmits = in.u32();
  s.timeouts = in.u32();
  in.u32();
  const std::uint32_t holes = in.u32();
  bool starved = false;
  Chain received, queued;
  const bool ends =
      key.local.is_v4() == key.remote.is_v4() && key.local_port && key.remote_port && !(key.local == key.remote);
  bool good = in.ok() && ends && s.synchronized() && s.state <= State::last_ack &&
              (s.search_mss == 0 || s.search_mss >= 48) && s.peer_mss >= 48 && s.rcv_mss >= 48 && s.snd_scale <= 14 &&
              s.rcv_scale <= 14 && holes <= Reassembly::ranges_max &&
              take_chain(in, received, m.core.buffers, starved) && take_chain(in, queued, m.core.buffers, starved);
  const std::uint32_t fin = flags & fin_is_queued ? 1 : 0;
  good = good && s.snd_una <= s.snd_nxt && queue_begin <= s.snd_nxt && s.rcv_nxt <= s.rcv_edge &&
         (queue_begin == s.snd_una || s.snd_una == queue_begin + queued.size() + fin) &&
         s.snd_nxt <= queue_begin + queued.size() + fin;
  if (!good) return std::unexpected(starved ? ImportError::no_buffers : ImportError::malformed);

  const std::uint64_t key_hash = m.hash(key);
  if (m.lookup(key, key_hash) != KeyTable::none) return std::unexpected(ImportError::exists);
  // What is in flight needs a record, or nothing would ever send it again.
  const bool in_flight = s.snd_una < s.snd_nxt, under_way = in_flight || holes > 0 || flags & fin_was_seen;
  if ((in_flight && m.core.records.left() == 0) || (under_way && m.core.transits.left() == 0))
    return std::unexpected(ImportError::pool_full);
  Tcb* t = m.make(key, key_hash, KeyTable::none, now);
  if (!t) return std::unexpected(ImportError::pool_full);
  t->user = user;
  t->state = s.state;
  t->passive = flags & is_passive;
  t->timestamps = flags & has_ts;
  t->sack = flags & has_sack;
  t->fin_queued = flags & fin_is_queued;
  t->fin_seen = flags & fin_was_seen;
  t->fin_received = flags & fin_was_received;
  t->transparent = flags & is_transparent;
  t->ecn = ecn & ecn_agreed;
  t->echo_due = ecn & ecn_echo_due;
  t->cwr_due = ecn & ecn_cwr_due;
  t->ect_seen = ecn & ecn_seen;
  t->ecn_quiet = ecn & ecn_no_ect;
  t->snd_una = s.snd_una;
  t->snd_nxt = s.snd_nxt;
  t->snd_wl1 = s.snd_wl1;
  t->snd_wl2 = s.snd_wl2;
  t->rcv_nxt = s.rcv_nxt;
  t->rcv_edge = s.rcv_edge;
  t->last_ack_sent = s.last_ack_sent;
  t->snd_wnd = s.snd_wnd;
  t->snd_wnd_max = s.snd_wnd_max;
  t->ts_recent = s.ts_recent;
  t->ts_recent_at = static_cast<std::uint32_t>(now.ns / 1'000'000'000) - ts_age;
  t->ts_offset = ts_clock - static_cast<std::uint32_t>(now.millis());
  t->search_mss = s.search_mss;  // a black hole that was found stays found
  t->search_at = now + PathMtus::lasts;
  t->peer_mss = s.peer_mss;
  t->rcv_mss = s.rcv_mss;
  t->snd_scale = s.snd_scale;
  t->rcv_scale = s.rcv_scale;
  t->listener = s.listener;
  t->bytes_acknowledged = s.bytes_acknowledged;
  t->received_before = s.received_before;
  t->received_low = static_cast<std::uint32_t>(s.received_before);
  t->rcv_window =
      std::clamp(s.rcv_window, first_receive_window, std::max(m.core.config.receive_limit, first_receive_window));
  t->taken_mark = t->received_low;
  t->taken_at = now;
  t->retransmits = s.retransmits;
  t->timeouts = s.timeouts;
  t->round_end = t->snd_nxt;
  if (under_way) {
    CHECK(wake(*t, m.core));
    t->transit->recovery_point = t->snd_nxt;
    t->transit->fin_seq = fin_seq;
  }
  if (srtt_us) {
    t->rtt.sample_min(srtt_us, now);
    t->rtt.sample(Nanos{1'000} * static_cast<std::int64_t>(srtt_us), m.core.config.rto_min, t->snd_una, t->snd_nxt);
  }
  t->congestion.start(m.core.config.initial_window_segments);
  sync_mss(*t, m.core, now);
  t->progress_at = now;
  t->last_sent_ms = static_cast<std::uint32_t>(now.millis());
  t->start_queue(queue_begin);
  m.core.held += queued.segments() + received.segments();
  t->unconsumed_bytes = received.size();
  t->unconsumed_buffers = received.segments();
  t->received = std::move(received);
  t->append(std::move(queued));
  t->events |= event_writable;  // whoever was promised this event is promised it still
  if (t->received.size()) t->events |= event_readable;
  if (t->fin_received) t->events |= event_finished;
  for (std::uint32_t i = 0; i < holes; ++i) {
    const Seq begin{in.u32()};
    Chain data;
    if (!take_chain(in, data, m.core.buffers, starved) || data.empty() || begin <= t->rcv_nxt)
      break;  // the peer sends it again
    const std::uint32_t before = t->transit->reassembly.buffers();
    t->transit->reassembly.insert(m.core.holes, begin, std::move(data), m.core.buffers, m.core.counters);
    m.core.held += t->transit->reassembly.buffers() - before;
    m.core.out_of_order_held += t->transit->reassembly.buffers() - before;
  }
  if (t->snd_una < t->snd_nxt) {
    // When it left is not known: no round trip is measured by it.
    t->transit->board.sent(m.core.records, t->snd_una, t->snd_nxt, t->segments_of(t->flight()), is_resent,
                           t->rate.on_sent(true, stamp_of(now)), stamp_of(now));
    t->transit->board.mark_lost(m.core.records, t->transit->board.head());
    t->mode = Mode::loss;
    t->resend = Resend::lost;
  }
  restart_keepalive(*t, m.core, now);
  t->acknowledge_now();
  m.settle(*t);
  return m.connections.handle(t);
}

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/deliver_test.cc.
