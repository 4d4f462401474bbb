// config.h - sizes and times of one worker's TCP. Plain data, fixed when the stack is made.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/base/address.h"
#include "dataplane/base/hash.h"
#include "dataplane/base/units.h"

namespace sluice::tcp {

using namespace sluice::literals;

// An address that active opens speak from, and its ports.
struct Source {
  IpAddress address;
  std::uint16_t port_low = 10000;  // both inclusive
  std::uint16_t port_high = 65535;
};
inline constexpr std::size_t sources_max = 32;

// When a SYN is answered by a cookie and not remembered (cookie.h).
enum class SynCookies : std::uint8_t { never, under_pressure, always };

// Whether the reply to a segment from (local, port) to remote comes home to this worker: steer's owner function. Asked
// on the worker, so it must be pure. The default says yes to all.
struct PortOwner {
  bool (*mine)(const void* context, const IpAddress& local, std::uint16_t local_port, const Endpoint& remote) = nullptr;
  const void* context = nullptr;
  bool operator()(const IpAddress& local, std::uint16_t local_port, const Endpoint& remote) const {
    return !mine || mine(context, local, local_port, remote);
  }
};

// What connections may differ in. Set 0 is Config's own, and the only one in the appliance; others are made by
// Stack::settings().
struct Settings {
  std::uint32_t receive_limit = 0, send_limit = 0;  // as in Config
  std::uint16_t mss_max = 0;
  std::uint8_t keepalive_probes = 0;
  bool nagle = false;  // a small segment waits while one is unacknowledged (RFC 9293 3.7.4, Minshall's form)
  bool cork = false;   // a small segment waits, a retransmission timeout long at most
  bool more = false;   // more is coming at once: no PSH where the queue ends
  Nanos delayed_ack{}, keepalive_idle{}, keepalive_interval{}, user_timeout{};  // delayed_ack zero: at once
};
using SettingsId = std::uint16_t;

// Explicit congestion notification: never, where the peer asks for it, or asked for in active opens as well.
enum class Ecn : std::uint8_t { off, accept, ask };

struct Config {
  // Pools. Memory is taken at start; each full pool is a counted refusal.
  std::uint32_t connections = 16 * 1024;
  std::uint32_t handshakes = 4 * 1024;          // half-open passive opens (SYN cache)
  std::uint32_t time_waits = 32 * 1024;         // the oldest is recycled
  std::uint32_t transmit_records = 128 * 1024;  // one for each range in flight; shared by all connections

  std::uint32_t transits = 16 * 1024;  // connections with something on its way (transit.h); memory is touched as needed

  // Packet buffers that receive, reassembly and send queues of this worker may hold together (held_max of design.md 2).
  std::uint32_t held_buffers_max = 16 * 1024;
  std::uint32_t out_of_order_buffers_max = 4 * 1024;  // of these, out of order

  // Per connection, in bytes of buffer memory (receive) and of payload (send). Bounds: windows and queues begin at
  // 64 kB and follow delay x bandwidth.
  std::uint32_t receive_limit = 4 * 1024 * 1024;
  std::uint32_t out_of_order_limit = 4 * 1024 * 1024;
  std::uint32_t send_limit = 4 * 1024 * 1024;

  Nanos rto_min = 200_ms, rto_max = 120_s, rto_initial = 1_s;
  Nanos delayed_ack = 40_ms;
  Nanos handshake_timeout = 15_s;  // a half-open passive open is dropped
  Nanos connect_timeout = 5_s;     // where ConnectSpec names none
  Nanos user_timeout = 120_s;      // unacknowledged data this old ends the connection (RFC 5482)
  Nanos keepalive_idle = 120_s, keepalive_interval = 15_s;
  std::uint8_t keepalive_probes = 5;  // unanswered; 0 switches keepalive off
  Nanos fin_wait_2 = 60_s;            // after release(): nobody reads any more
  Nanos time_wait = 60_s;             // 2 x MSL

  std::uint16_t mss_max = 8960;                // what we offer and use at most, before the path's MTU
  std::uint16_t initial_window_segments = 10;  // RFC 6928
  bool timestamps = true, sack = true, window_scaling = true;
  SettingsId settings = 1;  // sets of Settings
  SynCookies syn_cookies = SynCookies::under_pressure;
  std::uint32_t cookie_rate = 100'000;  // SYNs a second that nobody completes
  std::uint32_t path_mtus = 1024;       // destinations whose path's MTU is kept
  bool black_hole_detection = true;     // RFC 4821
  Ecn ecn = Ecn::accept;                // RFC 3168
  bool pacing = false;                  // segments spread over the round trip
  bool idle_restart = true;             // an unused window shrinks (RFC 2861)
  std::uint8_t quick_acks = 0;          // ACKs that go at once at the start of a flow, before they are delayed; at most
  // Of the worker. A connection sends one challenge ACK in 500 ms at most, whatever comes. When a host goes, the resets
  // of all its connections come at once, and those beyond what was lost need a challenge each.
  std::uint32_t resets_per_second = 1000, challenge_acks_per_second = 10'000;

  SipHash::Key secret{};  // for ISNs, timestamp offsets, port choice and the connection table
  std::array<Source, sources_max> sources{};
  std::uint8_t source_count = 0;
  PortOwner port_owner;

  Settings defaults() const {
    return {.receive_limit = receive_limit,
            .send_limit = send_limit,
            .mss_max = mss_max,
            .keepalive_probes = keepalive_probes,
            .delayed_ack = delayed_ack,
            .keepalive_idle = keepalive_idle,
            .keepalive_interval = keepalive_interval,
            .user_timeout = user_timeout};
  }
};

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/deliver_test.cc.
