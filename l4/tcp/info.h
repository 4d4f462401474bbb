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
  std::uint64_t delivery_rate = 0;              // bytes/s
  std::uint64_t pacing_rate = 0;                // bytes/s; 0: not paced
  std::uint32_t retransmits = 0, timeouts = 0;  // segments, RTOs
};

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/input_slow_test.cc.
