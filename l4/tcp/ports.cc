// Active opens: the local end is chosen so that the reply comes home to this worker and is no live connection's; a
// tuple in TIME-WAIT is taken again when timestamps make that safe (RFC 6191). RFC 6056 algorithm 3: the start is a
// keyed hash.
#include "l4/tcp/machine.h"

namespace sluice::tcp {

namespace {

constexpr unsigned ports_asked_max = 8192;     // port_owner() calls of one connect()
constexpr unsigned lookups_max = 1024;         // table lookups of one connect() and source
constexpr unsigned run_max = 64;               // taken ports in a row, before the search goes on elsewhere
constexpr std::uint32_t stride = 4099;         // there
constexpr std::int64_t reuse_after_ms = 1000;  // a TIME-WAIT tuple: the peer's timestamp clock has moved on by then

std::uint64_t key_part(const SipHash& sip, const Key& key, std::uint8_t what) {
  std::uint8_t in[41];
  std::memcpy(in, &key, 40);
  in[40] = what;
  return sip(in);
}

}  // namespace

Stack::Machine::Origin Stack::Machine::origin(const Key& key, Nanos now) const {
  const std::uint64_t part = key_part(sip, key, 1);
  return {Seq{static_cast<std::uint32_t>(part) + static_cast<std::uint32_t>(now.ns >> 6)},
          static_cast<std::uint32_t>(part >> 32)};
}

Tcb* Stack::Machine::make(const Key& key, std::uint64_t key_hash, std::uint32_t replaces, Nanos now) {
  Tcb* t = connections.make();
  if (!t) {
    core.counters.add(Counter::tcp_connections_full);
    return nullptr;
  }
  const std::uint32_t value = value_of(Kind::connection, index_of(*t));
  if (replaces != KeyTable::none) {
    table.replace(key_hash, replaces, value);
  } else if (!table.insert(key_hash, value)) {
    core.counters.add(Counter::tcp_connections_full);
    connections.free(t);
    return nullptr;
  }
  t->key = key;
  t->transit = &core.resting;
  t->in_table = true;
  t->created_ms = static_cast<std::uint32_t>(now.millis());
  t->heard_at = t->progress_at = now;
  return t;
}

bool Stack::Machine::choose_port(const ConnectSpec& spec, const Source& source, Key& key, std::uint32_t& reused,
                                 Nanos now) {
  key.local = source.address;
  const auto usable = [&](std::uint16_t port) {
    key.local_port = port;
    const std::uint32_t value = lookup(key, hash(key));
    reused = KeyTable::none;
    if (value == KeyTable::none) return true;
    if (kind_of(value) != Kind::time_wait) return false;
    const std::uint32_t index = tcp::index_of(value);
    reused = value;
    return time_waits[index].timestamps && core.config.timestamps &&
           time_waits.age_ms(index, now, core.config.time_wait) >= reuse_after_ms;
  };
  if (spec.local_port) return usable(spec.local_port);
  const std::uint32_t range = std::uint32_t{source.port_high} - source.port_low + 1;
  key.local_port = 0;
  const std::uint64_t start = key_part(sip, key, 3);
  std::uint32_t& cursor = port_cursor[start >> 32 & (port_cursor.size() - 1)];
  unsigned lookups = 0;
  for (unsigned n = 0; n < std::min<std::uint32_t>(range, ports_asked_max); ++n) {
    const auto port =
        static_cast<std::uint16_t>(source.port_low + (static_cast<std::uint32_t>(start) + cursor++) % range);
    if (!core.config.port_owner(key.local, port, spec.remote)) continue;
    if (usable(port)) {
      // The next connection to there will ask for the port behind, whose place in the table is far away.
      Key next = key;
      ++next.local_port;
      table.prefetch(hash(next));
      return true;
    }
    if (++lookups == lookups_max) break;
    if (lookups % run_max == 0) cursor += stride;  // long-lived connections stand side by side
  }
  return false;
}

std::expected<ConnId, ConnectError> Stack::Machine::connect(const ConnectSpec& spec, Nanos now) {
  if (connections.full()) {
    core.counters.add(Counter::tcp_connections_full);
    return std::unexpected(ConnectError::pool_full);
  }
  Key key;
  key.remote = spec.remote.address;
  key.remote_port = spec.remote.port;
  key.network = spec.network;
  std::uint32_t reused = KeyTable::none;
  bool chosen = false, tried = false;
  const Config& c = core.config;
  for (std::uint32_t i = 0; i < std::max<std::uint32_t>(c.source_count, 1) && !chosen; ++i) {
    const std::uint32_t at = c.source_count ? (next_source + i) % c.source_count : 0;
    Source source = c.source_count ? c.sources[at] : Source{};
    if (spec.transparent) {
      source = {spec.local, 1024, 65535};
    } else if (c.source_count == 0) {
      source = {spec.local, 10000, 65535};
    }
    const bool any = spec.local.is_unspecified();
    if (!any && source.address != spec.local) continue;
    if (source.address.is_unspecified() || source.address.is_v4() != spec.remote.address.is_v4()) continue;
    tried = true;
    chosen = choose_port(spec, source, key, reused, now);
    if (chosen && any) next_source = at + 1;
    if (spec.transparent) break;
  }
  if (!tried) return std::unexpected(ConnectError::no_source);
  if (!chosen) return std::unexpected(spec.local_port ? ConnectError::in_use : ConnectError::no_port);

  const Origin origin = this->origin(key, now);
  Seq iss = origin.sequence;
  if (reused != KeyTable::none) {
    const std::uint32_t index = tcp::index_of(reused);
    const Seq floor = time_waits[index].snd_nxt;
    if (iss <= floor + 65536) iss = floor + 65537;
    core.counters.add(Counter::tcp_time_wait_reused);
    drop_time_wait(index);
  }
  Tcb* t = make(key, hash(key), KeyTable::none, now);
  if (!t) return std::unexpected(ConnectError::pool_full);
  latest = now;
  t->state = State::syn_sent;
  t->user = spec.user;
  t->transparent = spec.transparent;
  t->snd_una = iss;
  t->snd_nxt = iss + 1;
  t->start_queue(t->snd_nxt);
  t->ts_offset = origin.timestamps;
  t->settings = spec.settings;
  t->rcv_scale = core.config.window_scaling ? receive_scale(spec.settings) : 0;
  t->handshake_due = true;
  t->idle_at = now + (spec.timeout > Nanos{} ? spec.timeout : c.connect_timeout);
  settle(*t);
  return connections.handle(t);
}

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/input_slow_test.cc.
