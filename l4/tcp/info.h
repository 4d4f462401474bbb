// info.h - what `ss -ti` would show of a connection. Plain copies, made on the worker.
#pragma once

#include <cstdint>
#include <string_view>

#include "dataplane/base/address.h"
#include "dataplane/base/units.h"

namespace sluice::tcp {

enum class State : std::uint8_t {
  closed,
  syn_sent,
  syn_received,
  established,
  fin_wait_1,
  fin_wait_2,
  close_wait,
  closing,
  last_ack,
  time_wait
};
std::string_view to_text(State state);

// Why nothing more is being sent.
enum class Limit : std::uint8_t { nothing, application, peer_window, congestion, buffers };
std::string_view to_text(Limit limit);

// What ICMP said of the way to the peer, last.
enum class Unreachable : std::uint8_t { no, network, host, protocol, port, prohibited, time_exceeded, parameter };
std::string_view to_text(Unreachable why);

// Of the sender; in Linux's order (tcpi_ca_state).
enum class CongestionState : std::uint8_t { open, disorder, cwr, recovery, loss };
std::string_view to_text(CongestionState state);

struct Info {
  Endpoint local, remote;
  std::uint64_t user = 0;
  std::uint32_t listener = 0;
  std::uint16_t network = 0;
  State state = State::closed;
  Limit limited_by = Limit::nothing;
  bool passive = false, timestamps = false, sack = false, ecn = false;
  bool in_recovery = false, reordering = false, released = false;
  std::uint8_t send_scale = 0, receive_scale = 0;
  std::uint16_t mss = 0, receive_mss = 0, path_mtu = 0;
  Unreachable unreachable = Unreachable::no;
  std::uint32_t cwnd = 0, ssthresh = 0;                               // bytes; ssthresh 0: never set
  std::uint32_t in_flight = 0, lost = 0, sacked = 0;                  // bytes
  std::uint32_t peer_window = 0, our_window = 0;                      // bytes
  std::uint32_t send_queue = 0, receive_queue = 0, out_of_order = 0;  // bytes
  Nanos rtt{}, rtt_variance{}, rtt_min{}, rto{}, reordering_window{}, age{};
  std::uint64_t bytes_sent = 0, bytes_acknowledged = 0, bytes_received = 0;
  // Loss recovery, in segments as Linux counts.
  CongestionState congestion_state = CongestionState::open;
  bool delivery_rate_app_limited = false;
  std::uint8_t back_off = 0, unanswered = 0;  // timeouts since a round trip was measured / since progress
  std::uint16_t segment_size = 0;             // payload of a full segment: mss less the options
  std::uint16_t reordering_threshold = 0;     // duplicates that tell a loss
  std::uint32_t cwnd_segments = 0;
  std::uint32_t ssthresh_segments = 0;  // 0x7fffffff: never reduced
  std::uint32_t segments_out = 0, segments_sacked = 0, segments_lost = 0, segments_again = 0;
  std::uint32_t segments_delivered = 0, duplicates_told = 0;
  std::uint64_t pacing_rate = 0;                // bytes/s; 0: not paced
  std::uint64_t delivery_rate = 0;              // bytes/s, measured
  std::uint32_t retransmits = 0, timeouts = 0;  // segments, RTOs
};

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/input_slow_test.cc.
