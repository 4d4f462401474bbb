// The text given to tcp_shim_new.
#include <charconv>
#include <functional>
#include <string_view>

#include "tests/support/tcp_shim/shim.h"

namespace sluice::shim {

namespace {

bool number(std::string_view text, std::int64_t low, std::int64_t high, std::int64_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size() && out >= low && out <= high;
}

struct Key {
  std::string_view name, also;  // `also`: the sysctl's name
  std::int64_t low, high;
  void (*set)(Options& o, std::int64_t value);
};

constexpr std::int64_t million = 1'000'000, billion = 1'000'000'000;
constexpr std::int64_t timeout_max_ms = 60 * million;  // what tcp::Deadline can tell

// Whole numbers, in the order of tcp_shim.h.
constexpr Key keys[] = {
    {"mtu", "", 576, 9000, [](Options& o, std::int64_t v) { o.mtu = static_cast<std::uint16_t>(v); }},
    {"seed", "", 0, INT64_MAX, [](Options& o, std::int64_t v) { o.seed = static_cast<std::uint64_t>(v); }},
    {"start_us", "", 0, billion* million, [](Options& o, std::int64_t v) { o.start = Nanos{v * 1000}; }},
    {"spin_us", "", 0, million, [](Options& o, std::int64_t v) { o.spin = Nanos{v * 1000}; }},
    {"grace_us", "", 0, million, [](Options& o, std::int64_t v) { o.grace = Nanos{v * 1000}; }},
    {"first_fd", "", 0, million, [](Options& o, std::int64_t v) { o.first_fd = static_cast<int>(v); }},
    {"timestamps", "tcp_timestamps", 0, 2, [](Options& o, std::int64_t v) { o.timestamps = v; }},
    {"sack", "tcp_sack", 0, 1, [](Options& o, std::int64_t v) { o.sack = v; }},
    {"window_scaling", "tcp_window_scaling", 0, 1, [](Options& o, std::int64_t v) { o.window_scaling = v; }},
    {"rcvbuf", "", 4096, 16 << 20,
     [](Options& o, std::int64_t v) {
       o.rcvbuf = static_cast<int>(v);
       o.rcvbuf_fixed = true;
     }},
    {"rcvbuf_max", "", 4096, 64 << 20, [](Options& o, std::int64_t v) { o.rcvbuf_max = static_cast<int>(v); }},
    {"ecn", "tcp_ecn", 0, 2,
     [](Options& o, std::int64_t v) {
       constexpr tcp::Ecn what[] = {tcp::Ecn::off, tcp::Ecn::ask, tcp::Ecn::accept};
       o.ecn = what[v];
     }},
    {"quick_acks", "", 0, 255, [](Options& o, std::int64_t v) { o.quick_acks = static_cast<std::uint8_t>(v); }},
    {"slow_start_after_idle", "tcp_slow_start_after_idle", 0, 1,
     [](Options& o, std::int64_t v) { o.idle_restart = v; }},
    {"pacing", "", 0, 1, [](Options& o, std::int64_t v) { o.pacing = v; }},
    {"mtu_probing", "tcp_mtu_probing", 0, 2, [](Options& o, std::int64_t v) { o.mtu_probing = v; }},
    {"challenge_ack_limit", "tcp_challenge_ack_limit", 1, INT32_MAX,
     [](Options& o, std::int64_t v) { o.challenge_acks = static_cast<std::uint32_t>(v); }},
    {"syncookies", "tcp_syncookies", 0, 2,
     [](Options& o, std::int64_t v) {
       constexpr tcp::SynCookies when[] = {tcp::SynCookies::never, tcp::SynCookies::under_pressure,
                                           tcp::SynCookies::always};
       o.syn_cookies = when[v];
     }},
    {"sndbuf", "", 4608, 16 << 20, [](Options& o, std::int64_t v) { o.sndbuf = static_cast<int>(v); }},
    {"initial_window", "", 1, 100,
     [](Options& o, std::int64_t v) { o.initial_window = static_cast<std::uint16_t>(v); }},
    {"syn_retries", "tcp_syn_retries", 1, 14, [](Options& o, std::int64_t v) { o.syn_retries = static_cast<int>(v); }},
    {"synack_retries", "tcp_synack_retries", 0, 14,
     [](Options& o, std::int64_t v) { o.synack_retries = static_cast<int>(v); }},
    {"user_timeout_ms", "", 1, timeout_max_ms, [](Options& o, std::int64_t v) { o.user_timeout = Nanos{v * million}; }},
    {"fin_timeout_ms", "", 1, timeout_max_ms, [](Options& o, std::int64_t v) { o.fin_timeout = Nanos{v * million}; }},
    {"fin_timeout", "tcp_fin_timeout", 1, timeout_max_ms / 1000,
     [](Options& o, std::int64_t v) { o.fin_timeout = Nanos{v * billion}; }},
    {"time_wait_ms", "", 1, million * 100, [](Options& o, std::int64_t v) { o.time_wait = Nanos{v * million}; }},
    {"delayed_ack_ms", "", 1, 500, [](Options& o, std::int64_t v) { o.delayed_ack = Nanos{v * million}; }},
    {"rto_min_ms", "", 1, 60000, [](Options& o, std::int64_t v) { o.rto_min = Nanos{v * million}; }},
    {"nodelay", "", 0, 1, [](Options& o, std::int64_t v) { o.no_delay = v; }},
    {"tso", "", 0, 2, [](Options& o, std::int64_t v) { o.tso = static_cast<Options::Tso>(v); }},
    {"somaxconn", "core.somaxconn", 0, 65535, [](Options& o, std::int64_t v) { o.somaxconn = static_cast<int>(v); }},
    {"buffers", "", 256, 1 << 15, [](Options& o, std::int64_t v) { o.buffers = static_cast<unsigned>(v); }},
};

bool set_ports(std::string_view value, Options& out) {
  const std::size_t dash = value.find('-');
  std::int64_t low, high;
  if (dash == value.npos || !number(value.substr(0, dash), 1, 65535, low) ||
      !number(value.substr(dash + 1), low, 65535, high))
    return false;
  out.port_low = static_cast<std::uint16_t>(low);
  out.port_high = static_cast<std::uint16_t>(high);
  return true;
}

bool set(std::string_view key, std::string_view value, Options& out) {
  if (key == "local") {
    const auto address = parse_ip(value);
    if (!address || address->is_unspecified() || address->is_multicast() || out.local.size() == 30) return false;
    out.local.push_back(*address);
    return true;
  }
  if (key == "blocking") {
    out.advance = value == "advance";
    return out.advance || value == "wait";
  }
  if (key == "ports") return set_ports(value, out);
  constexpr std::string_view net = "net.", family = "ipv4.";
  if (key.starts_with(net)) key.remove_prefix(net.size());
  if (key.starts_with(family)) key.remove_prefix(family.size());
  for (const Key& known : keys) {
    if (key != known.name && (known.also.empty() || key != known.also)) continue;
    std::int64_t n;
    if (!number(value, known.low, known.high, n)) return false;
    known.set(out, n);
    return true;
  }
  return false;
}

}  // namespace

bool parse_options(const char* text, Options& out) {
  constexpr std::string_view between = " ,;\t\n";
  std::string_view rest = text ? text : "";
  while (true) {
    const std::size_t begin = rest.find_first_not_of(between);
    if (begin == rest.npos) break;
    rest.remove_prefix(begin);
    const std::string_view word = rest.substr(0, rest.find_first_of(between));
    rest.remove_prefix(word.size());
    const std::size_t equals = word.find('=');
    if (equals == word.npos || !set(word.substr(0, equals), word.substr(equals + 1), out)) return false;
  }
  if (out.local.empty()) out.local = {*parse_ip("192.168.0.1"), *parse_ip("fd00::1")};
  return true;
}

}  // namespace sluice::shim
