#include "tests/support/tcp_shim/shim.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "dataplane/base/rng.h"
#include "dataplane/port/memory.h"

namespace sluice {

// The pools of a shim never are in hugepages: EAL is started without.
bool memory_is_huge() { return false; }

namespace shim {

namespace {

tcp::Config config_of(const Options& o) {
  tcp::Config c;
  c.connections = 1024;
  c.handshakes = 256;
  c.time_waits = 1024;
  c.transmit_records = 8192;
  c.held_buffers_max = o.buffers - o.buffers / 4;
  c.out_of_order_buffers_max = o.buffers / 4;
  c.receive_limit = c.out_of_order_limit = static_cast<std::uint32_t>(o.rcvbuf_max);
  c.syn_cookies = o.syn_cookies;
  c.ecn = o.ecn;
  c.quick_acks = o.quick_acks;
  c.idle_restart = o.idle_restart;
  c.pacing = o.pacing;
  c.black_hole_detection = o.mtu_probing;
  c.challenge_acks_per_second = o.challenge_acks;
  c.send_limit = static_cast<std::uint32_t>(o.sndbuf);
  c.rto_min = o.rto_min;
  c.rto_max = Nanos{120'000'000'000};
  c.delayed_ack = o.delayed_ack;
  c.handshake_timeout = Nanos{1'000'000'000} * ((std::int64_t{2} << o.synack_retries) - 1);
  c.user_timeout = o.user_timeout;
  c.keepalive_probes = 0;
  c.fin_wait_2 = o.fin_timeout;
  c.time_wait = o.time_wait;
  c.initial_window_segments = o.initial_window;
  c.timestamps = o.timestamps;
  c.sack = o.sack;
  c.window_scaling = o.window_scaling;
  c.settings = Socket::settings_max;
  Rng rng{o.seed};
  for (auto& byte : c.secret) byte = static_cast<std::uint8_t>(rng.below(256));
  const auto add = [&](const IpAddress& address) { c.sources[c.source_count++] = {address, o.port_low, o.port_high}; };
  for (const IpAddress& address : o.local) add(address);
  add(*parse_ip("127.0.0.1"));
  add(*parse_ip("::1"));
  return c;
}

std::string pool_name() {
  static std::atomic<unsigned> count{0};
  return "shim" + std::to_string(count.fetch_add(1));
}

void remove_runtime_folder() {
  std::error_code ignored;
  std::filesystem::remove_all(rte_eal_get_runtime_dir(), ignored);
}

}  // namespace

bool start_packet_memory() {
  // In a thread of its own: EAL ties the thread that starts it to a core. Its runtime folder is not needed again.
  static const bool started = [] {
    bool good = false;
    std::thread([&good] {
      const std::string prefix = "--file-prefix=tcp-shim-" + std::to_string(getpid());
      const char* arguments[] = {"tcp_shim", "--no-huge", "--no-shconf", "--no-pci",     "--no-telemetry",        "-l",
                                 "0",        "-m",        "256",         prefix.c_str(), "--log-level=*:critical"};
      good = rte_eal_init(std::size(arguments), const_cast<char**>(arguments)) >= 0;
      if (!good) good = rte_errno == EALREADY;  // the program uses DPDK itself
      else remove_runtime_folder();
    }).join();
    return good;
  }();
  return started;
}

Shim::Shim(const Options& o) : options(o), buffers(pool_name().c_str(), o.buffers, 2 * o.buffers, 0, -1), now(o.start) {
  if (!buffers.ok()) return;
  stack.emplace(config_of(o), buffers, counters, Nanos{});
  stack->set_listeners(tcp::ListenerView{this});
}

Shim::~Shim() {
  sockets.clear();  // their inboxes hold buffers
  files.clear();
  stack.reset();
}

SocketPtr Shim::by_serial(std::uint64_t serial) const {
  const auto found = sockets.find(serial);
  return found == sockets.end() ? nullptr : found->second;
}

tcp::Info Shim::info(const Socket& s) const {
  if (!s.open) return s.last;
  tcp::Info out;
  stack->info(s.id, out, now);
  return out;
}

std::uint32_t Shim::readable(const Socket& s) const { return s.inbox.size() + (s.open ? info(s).receive_queue : 0); }

std::optional<tcp::ListenerId> Shim::find(const IpAddress& destination, std::uint16_t port, PortId) const {
  const Socket* best = nullptr;
  for (const auto& [serial, s] : sockets) {
    if (!s->listening || s->local.port != port) continue;
    const bool any = s->local.address.is_unspecified();
    if (any && s->domain == AF_INET && !destination.is_v4()) continue;
    if (any && s->domain == AF_INET6 && s->options.v6_only && destination.is_v4()) continue;
    if (!any && s->local.address != destination) continue;
    if (!best || (best->local.address.is_unspecified() && !any)) best = s.get();
  }
  if (!best) return {};
  return best->serial;
}

tcp::SettingsId Shim::settings(tcp::ListenerId id) const {
  const SocketPtr s = by_serial(id);
  return s ? s->settings() : tcp::SettingsId{0};
}

// As Linux: a backlog of n lets n + 1 wait.
bool Shim::full(tcp::ListenerId id) const {
  const SocketPtr s = by_serial(id);
  return s && s->accepted.size() > s->backlog;
}

// TCP is done with it: what can still be asked of it moves into the socket.
void Shim::end(Socket& s, int error) {
  s.last = info(s);
  s.pieces.clear();
  stack->receive(s.id, s.inbox);
  stack->release(s.id, now);
  s.open = s.connecting = false;
  if (error) s.error = error;
  s.soft_error = 0;
  s.shut_read = s.shut_write = true;
}

void Shim::on_event(const tcp::Event& event) {
  SocketPtr s;
  if (event.bits & tcp::event_accepted && event.user == 0) {
    const SocketPtr listener = by_serial(event.listener);
    if (!listener || !listener->listening) {
      stack->abort(event.id, now);
      return stack->release(event.id, now);
    }
    s = std::make_shared<Socket>(++last_serial, listener->domain);
    sockets.emplace(s->serial, s);
    s->options = listener->options;
    s->open = s->bound = true;
    s->phase = Socket::Phase::connected;
    s->id = event.id;
    stack->user(event.id) = s->serial;
    s->local = stack->local(event.id);
    s->remote = stack->remote(event.id);
    // SYN and ACK came, a SYN-ACK left, before there was a socket to count them.
    s->traffic = {.segments_out = 1,
                  .segments_in = 2,
                  .data_segments_in = payload_in > 0,
                  .data_sent = now,
                  .data_received = now,
                  .ack_received = now};
    listener->accepted.push_back(s);
    ++listener->activity;
    apply_options(*s);
  } else {
    s = by_serial(event.user);
  }
  if (!s || !s->open || !(s->id == event.id)) return;
  ++s->activity;
  if (event.bits & tcp::event_connected) {
    s->connecting = false;
    s->traffic.data_sent = s->traffic.data_received = now;  // Linux counts from here
  }
  if (event.bits & tcp::event_finished) s->done = s->shut_read = true;
  if (event.bits & tcp::event_cut) {
    end(*s, ENOMEM);
  } else if (event.bits & tcp::event_reset) {
    const int unreachable = s->connecting ? error_of(info(*s).unreachable, s->remote.address.is_v4()) : 0;
    end(*s, unreachable ? unreachable : s->connecting ? ECONNREFUSED : s->done ? EPIPE : ECONNRESET);
  } else if (event.bits & tcp::event_timed_out) {
    end(*s, s->soft_error ? s->soft_error : ETIMEDOUT);
  } else if (event.bits & tcp::event_closed) {
    end(*s, 0);
  }
}

void Shim::pump() {
  for (bool more = true; more;) {
    const std::uint64_t before = packets_out;
    stack->output(wire, now);
    more = packets_out != before;
    for (const auto& [serial, s] : sockets) more |= feed(*s);
    for (auto events = stack->take_events(); !events.empty(); events = stack->take_events()) {
      more = true;
      const std::vector<tcp::Event> copies(events.begin(), events.end());
      for (const tcp::Event& event : copies) on_event(event);
    }
    if (looping.empty()) continue;
    const Bytes packet = std::move(looping.front());
    looping.pop_front();
    input(packet);
    more = true;
  }
  for (const auto& [serial, s] : sockets)
    if (s->open) clock(*s);
}

void Shim::changed() {
  pump();
  for (const auto& [serial, s] : sockets) {
    if (!s->no_space) continue;
    grow_sndbuf(*s);
    if (writable(*s)) {
      s->no_space = false;
      ++s->activity;
    }
  }
  dirty = true;
}

}  // namespace shim
}  // namespace sluice
