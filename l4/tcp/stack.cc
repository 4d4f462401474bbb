#include "l4/tcp/stack.h"

#include "l4/tcp/machine.h"

namespace sluice::tcp {

std::string_view to_text(State state) {
  static constexpr std::string_view names[] = {"closed",     "syn-sent",   "syn-received", "established", "fin-wait-1",
                                               "fin-wait-2", "close-wait", "closing",      "last-ack",    "time-wait"};
  return names[static_cast<std::size_t>(state)];
}
std::string_view to_text(Limit limit) {
  static constexpr std::string_view names[] = {"nothing", "application", "peer-window", "congestion", "buffers"};
  return names[static_cast<std::size_t>(limit)];
}

std::string_view to_text(Unreachable why) {
  static constexpr std::string_view names[] = {"no",   "network",    "host",          "protocol",
                                               "port", "prohibited", "time-exceeded", "parameter"};
  return names[static_cast<std::size_t>(why)];
}
std::string_view to_text(CongestionState state) {
  static constexpr std::string_view names[] = {"open", "disorder", "cwr", "recovery", "loss"};
  return names[static_cast<std::size_t>(state)];
}

Stack::Stack(const Config& config, Buffers& buffers, Counters& counters, Nanos start)
    : machine_(new Machine(config, buffers, counters, start)) {}

Stack::~Stack() {
  Machine& m = *machine_;
  m.connections.each([&](Tcb& t) { close(t, 0, m.core); });
}

void Stack::set_listeners(ListenerView listeners) { machine_->listeners = listeners; }
void Stack::input(Packet segment, Nanos now, std::uint16_t network) {
  machine_->input(std::move(segment), now, network);
}
void Stack::input(std::span<Packet> segments, Nanos now, std::uint16_t network) {
  machine_->input(segments, now, network);
}
void Stack::input_icmp(Packet error, Nanos now, std::uint16_t network) {
  machine_->input_icmp(std::move(error), now, network);
}
std::span<const Event> Stack::take_events() { return machine_->take_events(); }
std::expected<ConnId, ConnectError> Stack::connect(const ConnectSpec& spec, Nanos now) {
  return machine_->connect(spec, now);
}

void Stack::receive(ConnId id, Chain& out) {
  if (Tcb* t = machine_->find(id)) out.append(std::move(t->received));
}

void Stack::consumed(ConnId id, std::uint32_t bytes, Nanos now) {
  Tcb* t = machine_->find(id);
  if (!t) return;
  tcp::consumed(*t, bytes, machine_->core, now);
  if (t->acks_due) machine_->settle_output(*t);
}

void Stack::prefetch(ConnId id) const { machine_->connections.prefetch(id.index, 0, Tcb::busy_lines); }

std::uint32_t Stack::send_room(ConnId id) {
  Tcb* t = machine_->find(id);
  if (!t || t->state == State::closed || t->fin_queued) return 0;
  const std::uint32_t limit =
      machine_->core.send_limit(machine_->core.settings[t->settings], t->congestion.cwnd() * t->segment_size);
  const std::uint32_t room = limit > t->queue.size() ? limit - t->queue.size() : 0;
  if (room >= limit / 4) return room;
  t->wants_room = true;
  return 0;
}

void Stack::send(ConnId id, Chain bytes) {
  Tcb* t = machine_->find(id);
  if (!t || t->state == State::closed || t->fin_queued || bytes.empty()) return;
  machine_->connections.prefetch(id.index, Tcb::data_lines, Tcb::busy_lines);  // for output()
  machine_->core.held += bytes.segments();
  t->append(std::move(bytes));
  machine_->settle_output(*t);
}

void Stack::shutdown(ConnId id, Nanos now) {
  Tcb* t = machine_->find(id);
  if (!t || t->state == State::closed || t->fin_queued) return;
  t->fin_queued = true;
  machine_->settle_output(*t);
}

void Stack::abort(ConnId id, Nanos now) {
  Tcb* t = machine_->find(id);
  if (!t || t->state == State::closed) return;
  const bool tell = t->state != State::syn_sent;
  close(*t, 0, machine_->core);
  t->events = 0;
  if (tell) machine_->reset_peer(*t, now);
  machine_->settle(*t);
}

void Stack::release(ConnId id, Nanos now) {
  if (Tcb* t = machine_->find(id)) machine_->release(*t, now);
}

Settings& Stack::settings(SettingsId id) {
  CHECK(id < machine_->core.config.settings);
  return machine_->core.settings[id];
}

void Stack::use(ConnId id, SettingsId settings, Nanos now) {
  CHECK(settings < machine_->core.config.settings);
  Tcb* t = machine_->find(id);
  if (!t || t->state == State::closed) return;
  t->settings = settings;
  if (t->synchronized()) restart_keepalive(*t, machine_->core, now);
  machine_->settle(*t);
}

std::uint64_t& Stack::user(ConnId id) {
  Tcb* t = machine_->find(id);
  return t ? t->user : machine_->scratch;
}

bool Stack::has(const Endpoint& local, const Endpoint& remote, std::uint16_t network) const {
  const Key key{local.address, remote.address, local.port, remote.port, network, 0};
  return machine_->lookup(key, machine_->hash(key)) != KeyTable::none;
}

bool Stack::valid(ConnId id) const { return machine_->find(id) != nullptr; }

bool Stack::open(ConnId id) const {
  const Tcb* t = machine_->find(id);
  return t && t->synchronized();
}

bool Stack::at_end(ConnId id) const {
  const Tcb* t = machine_->find(id);
  return t && t->fin_received && t->received.empty();
}

Endpoint Stack::local(ConnId id) const {
  const Tcb* t = machine_->find(id);
  return t ? Endpoint{t->key.local, t->key.local_port} : Endpoint{};
}

Endpoint Stack::remote(ConnId id) const {
  const Tcb* t = machine_->find(id);
  return t ? Endpoint{t->key.remote, t->key.remote_port} : Endpoint{};
}

ListenerId Stack::listener(ConnId id) const {
  const Tcb* t = machine_->find(id);
  return t ? t->listener : no_listener;
}

SendProgress Stack::progress(ConnId id) const {
  const Tcb* t = machine_->find(id);
  if (!t) return {};
  if (t->state == State::closed) {
    const std::uint64_t queued = t->bytes_acknowledged + t->dropped.unacknowledged;
    return {queued, queued - t->dropped.unsent, t->bytes_acknowledged};
  }
  const std::uint64_t queued = t->bytes_acknowledged + t->queue.size();
  // Before the SYN has left, it is unsent as well.
  return {queued, queued - std::min(t->unsent(), t->queue.size()), t->bytes_acknowledged};
}

void Stack::output(Egress& egress, Nanos now) { machine_->output(egress, now); }
Nanos Stack::expire(Nanos now) { return machine_->expire(now); }

bool Stack::info(ConnId id, Info& out, Nanos now) const {
  const Tcb* t = machine_->find(id);
  if (t) machine_->describe(*t, out, now);
  return t != nullptr;
}

std::uint32_t Stack::list(std::uint32_t from, std::span<Info> out, std::size_t& count, Nanos now) const {
  TcbPool& pool = machine_->connections;
  count = 0;
  std::uint32_t i = from;
  const std::uint32_t end = std::min(pool.capacity(), from + looked_at_max);
  for (; i < end && count < out.size(); ++i)
    if (pool.live(i) && pool[i].state != State::closed) machine_->describe(pool[i], out[count++], now);
  return i < pool.capacity() ? i : 0;
}

std::uint32_t Stack::connection_count() const { return machine_->connections.size(); }
std::uint32_t Stack::handshake_count() const { return machine_->handshake_count; }
std::uint32_t Stack::time_wait_count() const { return machine_->time_waits.size(); }
std::uint32_t Stack::transits_used() const { return machine_->core.transits.used(); }
std::uint32_t Stack::held_buffers() const { return machine_->core.held; }

}  // namespace sluice::tcp
