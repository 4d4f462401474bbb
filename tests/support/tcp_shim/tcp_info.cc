#include "tests/support/tcp_shim/tcp_info.h"

#include <linux/tcp.h>

#include <algorithm>
#include <cstring>

namespace sluice::shim {

namespace {

// Numbers of enum tcp_state in net/tcp_states.h, which no header for programs has.
std::uint8_t state_of(const Socket& s, const tcp::Info& info) {
  constexpr std::uint8_t closed = 7, listen = 10;
  if (s.listening) return listen;
  if (!s.open) return closed;
  switch (info.state) {
    case tcp::State::established: return 1;
    case tcp::State::syn_sent: return 2;
    case tcp::State::syn_received: return 3;
    case tcp::State::fin_wait_1: return 4;
    case tcp::State::fin_wait_2: return 5;
    case tcp::State::time_wait: return 6;
    case tcp::State::close_wait: return 8;
    case tcp::State::last_ack: return 9;
    case tcp::State::closing: return 11;
    case tcp::State::closed: break;
  }
  return closed;
}

std::uint32_t ms_since(Nanos then, Nanos now) {
  return then == Nanos{} ? 0 : static_cast<std::uint32_t>((now - then).millis());
}

std::uint32_t micros(Nanos time) { return static_cast<std::uint32_t>(time.micros()); }

// What the connection's own state tells.
void from_stack(Shim& t, const Socket& s, const tcp::Info& info, ::tcp_info& out) {
  const auto segment = static_cast<std::uint32_t>(std::max(segment_size(t, info), 1));
  const bool scaled = info.send_scale || info.receive_scale;
  out.tcpi_options =
      static_cast<std::uint8_t>((info.timestamps ? TCPI_OPT_TIMESTAMPS : 0) | (info.sack ? TCPI_OPT_SACK : 0) |
                                (scaled ? TCPI_OPT_WSCALE : 0) | (info.ecn ? TCPI_OPT_ECN : 0));
  out.tcpi_snd_wscale = info.send_scale & 15;
  out.tcpi_rcv_wscale = info.receive_scale & 15;
  out.tcpi_ca_state = static_cast<std::uint8_t>(info.congestion_state);  // in Linux's order
  out.tcpi_retransmits = info.unanswered;
  out.tcpi_backoff = info.back_off;
  out.tcpi_rto = micros(info.rto);
  out.tcpi_snd_mss = segment;
  out.tcpi_rcv_mss = info.receive_mss;
  out.tcpi_advmss = static_cast<std::uint32_t>(offered_mss(t, s, info) - (info.timestamps ? 12 : 0));
  out.tcpi_pmtu = path_mtu(t, info);
  out.tcpi_unacked = info.segments_out;
  out.tcpi_lost = info.segments_lost;
  out.tcpi_sacked = info.segments_sacked;
  out.tcpi_retrans = info.segments_again;
  out.tcpi_delivered = info.segments_delivered;
  out.tcpi_dsack_dups = info.duplicates_told;
  out.tcpi_rtt = micros(info.rtt);
  out.tcpi_rttvar = micros(info.rtt_variance);
  out.tcpi_min_rtt = info.rtt_min > Nanos{} ? micros(info.rtt_min) : ~0u;
  out.tcpi_snd_ssthresh = info.ssthresh_segments;
  out.tcpi_snd_cwnd = info.cwnd_segments;
  out.tcpi_reordering = info.reordering_threshold;
  out.tcpi_reord_seen = info.reordering;
  out.tcpi_snd_wnd = info.peer_window;
  out.tcpi_rcv_space = out.tcpi_rcv_ssthresh = info.our_window;
  out.tcpi_delivery_rate = info.delivery_rate;
  out.tcpi_delivery_rate_app_limited = info.delivery_rate_app_limited;
  out.tcpi_pacing_rate = info.pacing_rate ? info.pacing_rate : ~0ull;
  out.tcpi_max_pacing_rate = ~0ull;
  // SND.UNA less the initial sequence number: an active open's SYN counts, and so does a FIN.
  const bool synchronized = info.state >= tcp::State::established;
  const bool fin = info.state == tcp::State::fin_wait_2 || info.state == tcp::State::time_wait;
  out.tcpi_bytes_acked = info.bytes_acknowledged + (synchronized && !info.passive) + fin;
  out.tcpi_bytes_received = info.bytes_received;
  out.tcpi_total_retrans = info.retransmits;
}

}  // namespace

std::uint16_t path_mtu(const Shim& t, const tcp::Info& info) {
  return info.path_mtu ? info.path_mtu : t.path_to(info.remote.address);
}

int offered_mss(Shim& t, const Socket& s, const tcp::Info& info) {
  const int ip = info.remote.address.is_v4() ? 20 : 40;
  return std::min<int>(t.stack->settings(s.settings()).mss_max, t.path_to(info.remote.address) - ip - 20);
}

int segment_size(const Shim& t, const tcp::Info& info) {
  const int ip = info.remote.address.is_v4() ? 20 : 40;
  return std::min<int>(info.mss, path_mtu(t, info) - ip - 20) - (info.timestamps ? 12 : 0);
}

int put_tcp_info(Shim& t, const Socket& s, void* value, socklen_t* size) {
  const tcp::Info info = t.info(s);
  const Traffic& traffic = s.traffic;
  ::tcp_info out{};
  out.tcpi_state = state_of(s, info);
  if (s.listening) {
    out.tcpi_unacked = static_cast<std::uint32_t>(s.accepted.size());
    out.tcpi_sacked = s.backlog;
  } else if (info.mss) {
    from_stack(t, s, info, out);
  }
  if (s.open && !s.connecting) out.tcpi_notsent_bytes = t.unsent(s);
  out.tcpi_segs_out = traffic.segments_out;
  out.tcpi_segs_in = traffic.segments_in;
  out.tcpi_data_segs_out = traffic.data_segments_out;
  out.tcpi_data_segs_in = traffic.data_segments_in;
  out.tcpi_bytes_sent = traffic.data_bytes_out;
  // SendProgress counts what was sent once.
  if (s.open) out.tcpi_bytes_retrans = traffic.data_bytes_out - std::min(traffic.data_bytes_out, info.bytes_sent);
  using Holds = Traffic::Holds;
  const auto held = [&](Holds what) {
    const Nanos running = s.open && traffic.holds == what ? t.now - traffic.since : Nanos{};
    return static_cast<std::uint64_t>((traffic.times[static_cast<std::size_t>(what)] + running).micros());
  };
  out.tcpi_rwnd_limited = held(Holds::peer_window);
  out.tcpi_sndbuf_limited = held(Holds::send_buffer);
  out.tcpi_busy_time = held(Holds::sending) + out.tcpi_rwnd_limited + out.tcpi_sndbuf_limited;
  out.tcpi_last_data_sent = ms_since(traffic.data_sent, t.now);
  out.tcpi_last_data_recv = ms_since(traffic.data_received, t.now);
  out.tcpi_last_ack_recv = ms_since(traffic.ack_received, t.now);
  const std::size_t n = std::min<std::size_t>(*size, sizeof out);
  std::memcpy(value, &out, n);
  *size = static_cast<socklen_t>(n);
  return 0;
}

}  // namespace sluice::shim
