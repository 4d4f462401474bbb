#include "tests/support/tcp_shim/tcp_info.h"

#include <linux/tcp.h>

#include <algorithm>
#include <cstring>

namespace sluice::shim {

namespace {

// Numbers of enum tcp_state in net/tcp_states.h, which no header for programs has.
std::uint8_t state_of(const Shim&, const Socket& s, const tcp::Info& info) {
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

std::uint32_t in_segments(std::uint32_t bytes, std::uint32_t segment) { return (bytes + segment - 1) / segment; }

}  // namespace

int segment_size(const tcp::Info& info, std::uint16_t mtu) {
  const int ip = info.remote.address.is_v4() ? 20 : 40;
  return std::min<int>(info.mss, mtu - ip - 20) - (info.timestamps ? 12 : 0);
}

int put_tcp_info(const Shim& t, const Socket& s, void* value, socklen_t* size) {
  const tcp::Info info = t.info(s);
  const Traffic& traffic = s.traffic;
  const auto segment = static_cast<std::uint32_t>(std::max(segment_size(info, t.options.mtu), 1));
  ::tcp_info out{};
  out.tcpi_state = state_of(t, s, info);
  if (s.listening) {
    out.tcpi_unacked = static_cast<std::uint32_t>(s.accepted.size());
    out.tcpi_sacked = s.backlog;
  } else if (info.mss) {
    out.tcpi_options =
        static_cast<std::uint8_t>((info.timestamps ? TCPI_OPT_TIMESTAMPS : 0) | (info.sack ? TCPI_OPT_SACK : 0) |
                                  (info.send_scale || info.receive_scale ? TCPI_OPT_WSCALE : 0));
    out.tcpi_snd_wscale = info.send_scale & 15;
    out.tcpi_rcv_wscale = info.receive_scale & 15;
    out.tcpi_ca_state = info.in_recovery ? TCP_CA_Recovery : TCP_CA_Open;
    out.tcpi_rto = static_cast<std::uint32_t>(info.rto.micros());
    out.tcpi_snd_mss = segment;
    out.tcpi_unacked = in_segments(info.in_flight, segment);
    out.tcpi_rtt = static_cast<std::uint32_t>(info.rtt.micros());
    out.tcpi_rttvar = static_cast<std::uint32_t>(info.rtt_variance.micros());
    out.tcpi_min_rtt = info.rtt_min > Nanos{} ? static_cast<std::uint32_t>(info.rtt_min.micros()) : ~0u;
    out.tcpi_snd_ssthresh = info.ssthresh >= 1u << 30 ? 0x7fffffff : info.ssthresh / segment;
    out.tcpi_snd_cwnd = info.cwnd / segment;
    out.tcpi_pmtu = t.options.mtu;
    out.tcpi_snd_wnd = info.peer_window;
    out.tcpi_rcv_space = info.our_window;
    out.tcpi_delivery_rate = info.delivery_rate;
    out.tcpi_bytes_acked = info.bytes_acknowledged;
    out.tcpi_bytes_received = info.bytes_received;
    out.tcpi_notsent_bytes =
        static_cast<std::uint32_t>(info.bytes_acknowledged + info.send_queue -
                                   std::min(info.bytes_sent, info.bytes_acknowledged + info.send_queue));
    out.tcpi_total_retrans = info.retransmits;
  }
  out.tcpi_segs_out = traffic.segments_out;
  out.tcpi_segs_in = traffic.segments_in;
  out.tcpi_data_segs_out = traffic.data_segments_out;
  out.tcpi_data_segs_in = traffic.data_segments_in;
  out.tcpi_bytes_sent = traffic.data_bytes_out;
  out.tcpi_last_data_sent = ms_since(traffic.data_sent, t.now);
  out.tcpi_last_data_recv = ms_since(traffic.data_received, t.now);
  out.tcpi_last_ack_recv = ms_since(traffic.ack_received, t.now);
  const std::size_t n = std::min<std::size_t>(*size, sizeof out);
  std::memcpy(value, &out, n);
  *size = static_cast<socklen_t>(n);
  return 0;
}

}  // namespace sluice::shim
