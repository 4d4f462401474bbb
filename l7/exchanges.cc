#include "l7/exchanges.h"

#include <utility>

namespace sluice {

using namespace literals;

namespace {

constexpr Nanos timer_tick = 1_ms;
constexpr unsigned timers_per_turn = 256;
// Events that are asked for at a time, and how far ahead. A prefetch waits for its page to be found, which takes longer
// than all the rest; those of a batch are found side by side.
constexpr std::size_t asked_at_once = 8, asked_ahead = 8;

}  // namespace

Exchanges::Exchanges(const ExchangesConfig& config, const ExchangesDeps& deps, Rng rng, Nanos start)
    : config_(config),
      deps_(deps),
      rng_(rng),
      heads_(config.small_heads, config.large_heads),
      connections_(config.connections),
      exchanges_(config.exchanges),
      memory_{deps.buffers, heads_},
      transport_(deps.tcp, deps.tls),
      upstream_(config.objects, connections_),
      connection_timers_(config.connections, timer_tick, start, timer_places(connections_)),
      exchange_timers_(config.exchanges, timer_tick, start),
      listeners_(config.objects.listeners),
      sessions_(deps.tls.capacity()),
      endpoint_generation_(config.objects.endpoints) {
  again_.reserve(config.connections);
  looking_.reserve(config.connections);
  dirty_.reserve(config.connections);
}

Exchanges::~Exchanges() = default;

void Exchanges::pump(const Policy& policy, Nanos now) {
  policy_ = &policy;
  now_ = now;
  if (policy.generation != generation_seen_ || policy.endpoints.get() != endpoints_seen_) policy_changed();
  std::swap(again_, looking_);
  for (const ConnectionId id : looking_) {
    Connection* connection = connections_.find(id);
    if (!connection) continue;
    connection->again = false;
    look(id);
  }
  looking_.clear();
  for (auto events = deps_.tcp.take_events(); !events.empty(); events = deps_.tcp.take_events()) {
    std::size_t asked = 0;
    for (std::size_t i = 0; i < events.size(); ++i) {
      if (asked < std::min(events.size(), i + asked_ahead)) {
        const std::size_t count = std::min(events.size() - asked, asked_at_once);
        ask_for(events.subspan(asked, count));
        asked += count;
      }
      on_event(events[i]);
    }
  }
  for (const tls::SessionId session : deps_.tls.take_finished_jobs(now)) look(sessions_[session.index]);
  if (!upstream_.waiting().empty() && now >= next_slot_check_) serve_waiting();
  if (config_.workers > 1 && upstream_.idle_count() && now >= next_yield_) yield_idle();
  flush_dirty();
}

// Asks for what events touch, since connections that have slept are far away: the connections, and behind an upstream
// one the client that waits for it, each thing when what names it has come.
void Exchanges::ask_for(std::span<const tcp::Event> events) {
  for (const tcp::Event& event : events)
    connections_.prefetch(ConnectionId::from_bits(event.user).index, 0, Connection::coming_lines);
  std::array<const Exchange*, asked_at_once> exchanges;
  std::size_t count = 0;
  for (const tcp::Event& event : events) {
    if (event.bits & tcp::event_accepted) continue;  // it has no connection of ours yet
    const Connection* c = connections_.find(ConnectionId::from_bits(event.user));
    if (!c || c->side == Side::client) continue;
    if (const Exchange* x = exchanges_.find(c->exchange)) {
      exchanges_.prefetch(c->exchange.index, 0, 1);
      exchanges[count++] = x;
    }
  }
  for (std::size_t i = 0; i < count; ++i)
    connections_.prefetch(exchanges[i]->client.connection.index, 0, Connection::lines + 1);  // its timer behind it
  for (std::size_t i = 0; i < count; ++i)
    if (const Connection* client = connections_.find(exchanges[i]->client.connection)) deps_.tcp.prefetch(client->tcp);
}

void Exchanges::on_event(const tcp::Event& event) {
  Connection* connection =
      event.bits & tcp::event_accepted ? accept(event) : connections_.find(ConnectionId::from_bits(event.user));
  if (!connection) return deps_.tcp.release(event.id, now_);
  if (event.bits & tcp::event_timed_out) return lost(*connection, Loss::timed_out);
  if (event.bits & tcp::event_cut) return lost(*connection, Loss::cut);
  if (event.bits & tcp::event_reset)
    return lost(*connection, connection->state == Connection::State::connecting ? Loss::refused : Loss::reset);
  const ConnectionId id = connections_.handle(connection);
  if (event.bits & tcp::event_connected) connected(*connection);
  if (event.bits & tcp::event_writable) {
    if ((connection = connections_.find(id))) {
      connection->blocked = false;
      wake_peer(*connection);
    }
  }
  if (event.bits & (tcp::event_readable | tcp::event_finished | tcp::event_accepted)) look(id);
  if (event.bits & tcp::event_closed)
    if ((connection = connections_.find(id))) lost(*connection, Loss::closed);
}

Connection* Exchanges::accept(const tcp::Event& event) {
  const policy::Listener* listener = policy_->routes ? policy_->routes->listeners.find(event.listener) : nullptr;
  if (!listener || draining_) {
    deps_.counters.add(Counter::http_refused_no_listener);
    deps_.tcp.abort(event.id, now_);
    return nullptr;
  }
  if (!deps_.listener_permits.acquire(config_.worker, listener->id, 0)) {
    deps_.counters.add(Counter::http_refused_listener_limit);
    deps_.tcp.abort(event.id, now_);
    return nullptr;
  }
  ListenerState& state = listeners_[listener->id];
  state.limits = listener->limits;
  state.timeouts = listener->timeouts;
  state.requests_per_connection = listener->requests_per_connection;

  Connection* c = connections_.make(Side::client, state.limits);
  tls::SessionId session;
  if (c && listener->tls) session = deps_.tls.accept(*listener->tls, now_);
  if (!c || (listener->tls && !session)) {
    deps_.counters.add(Counter::http_refused_pool_full);
    deps_.listener_permits.release(config_.worker, listener->id, 0);
    if (c) connections_.free(c);
    deps_.tcp.abort(event.id, now_);
    return nullptr;
  }
  const ConnectionId id = connections_.handle(c);
  c->tcp = event.id;
  c->tls = session;
  c->secure = static_cast<bool>(session);
  c->object = listener->id;
  c->counted = true;
  c->last_active = now_;
  if (c->secure) {
    c->state = Connection::State::handshaking;
    sessions_[session.index] = id;
  }
  deps_.tcp.user(event.id) = id.bits();
  connection_timers_.arm(id.index, now_ + (c->secure ? config_.handshake_timeout : state.timeouts.request_header));
  ObjectStats& stats = deps_.stats.listener(listener->id);
  stats.add(Figure::connections);
  stats.add(Figure::active_connections);
  deps_.counters.add(Counter::http_client_connections);
  ++clients_;
  return c;
}

// Bytes may have come, or room, or the end: go as far as possible.
void Exchanges::look(ConnectionId id) {
  Connection* c = connections_.find(id);
  if (!c || c->state == Connection::State::connecting) return;
  const Transport::Input input = transport_.pull(*c, now_);
  if (c->state == Connection::State::lingering) {
    c->in.clear();
    transport_.consumed(*c, now_);
    if (c->ended || input == Transport::Input::dead) forget(*c, false);
    return;
  }
  if (input == Transport::Input::starved) again(*c);
  if (input == Transport::Input::dead) {
    // The alert is queued; there is nobody to talk HTTP with.
    if (Exchange* x = exchange_of(*c)) cut(*x, ResponseFlag::DPE);
    if ((c = connections_.find(id))) end(*c, false);
    return;
  }
  if (c->state == Connection::State::handshaking) {
    if (input != Transport::Input::established) {
      if (c->ended) forget(*c, false);
      return;
    }
    c->state = Connection::State::open;
    connection_timers_.arm(id.index, now_ + listeners_[c->object].timeouts.request_header);
  }
  c->side == Side::client ? serve(id) : answer(id);
  if ((c = connections_.find(id))) transport_.consumed(*c, now_);
}

// There is room to write on this connection: whoever fills it may go on.
void Exchanges::wake_peer(Connection& connection) {
  Exchange* x = exchange_of(connection);
  if (!x) return;
  look(connection.side == Side::client ? x->upstream.connection : x->client.connection);
}

void Exchanges::connected(Connection& upstream) {
  upstream.state = Connection::State::open;
  upstream.last_active = now_;
  Exchange* x = exchange_of(upstream);
  if (!x) {  // its client has gone meanwhile
    part(upstream);
    return;
  }
  x->log.upstream_connected = now_ - x->log.start;
  const ConnectionId client = x->client.connection;
  if (!send_request(*x)) return again(upstream);
  serve(client);
}

void Exchanges::lost(Connection& connection, Loss loss) {
  const ConnectionId id = connections_.handle(&connection);
  if (connection.side == Side::upstream && (loss == Loss::reset || loss == Loss::cut) &&
      connection.state == Connection::State::open) {
    look(id);  // an answer may have come before the reset
    if (!connections_.find(id)) return;
  }
  Exchange* x = exchange_of(connection);
  if (connection.side == Side::upstream) {
    if (x) return upstream_failed(*x, loss);
  } else if (x) {
    cut(*x, ResponseFlag::DC);
    if (!connections_.find(id)) return;
  }
  forget(connection, false);
}

// Ends a client's connection: what is queued goes out, then close_notify (unless the message is cut short) and FIN.
void Exchanges::end(Connection& client, bool whole) {
  client.close_when_sent = true;
  client.truncate = !whole;
  connection_timers_.arm(connections_.index_of(&client), now_ + config_.linger);
  dirty(client);
}

// Closes an upstream connection that no exchange has. It holds its slot of the cluster until the endpoint has closed
// too, so that the endpoint never sees more connections than there are slots.
void Exchanges::part(Connection& up) {
  upstream_.remove(up);
  if (up.ended || up.state != Connection::State::open) return forget(up, up.state != Connection::State::open);
  up.state = Connection::State::lingering;
  ++upstream_.parting(up.cluster);
  deps_.tcp.shutdown(up.tcp, now_);
  connection_timers_.arm(connections_.index_of(&up), now_ + config_.linger);
}

// The connection's last moment here. TCP finishes alone, or resets.
void Exchanges::forget(Connection& c, bool abort) {
  if (c.side == Side::upstream) {
    upstream_.remove(c);
    if (c.state == Connection::State::lingering) --upstream_.parting(c.cluster);
    if (c.counted) {
      release(c.cluster, ClusterPermit::connections);
      deps_.stats.endpoint(c.object).sub(Figure::active_connections);
      deps_.stats.cluster(c.cluster).sub(Figure::active_connections);
      deps_.counters.sub(Counter::http_upstream_connections);
    }
  } else if (c.counted) {
    deps_.listener_permits.release(config_.worker, c.object, 0);
    deps_.stats.listener(c.object).sub(Figure::active_connections);
    deps_.counters.sub(Counter::http_client_connections);
    --clients_;
  }
  if (c.secure) deps_.tls.free(c.tls);
  if (abort) deps_.tcp.abort(c.tcp, now_);
  deps_.tcp.release(c.tcp, now_);
  connection_timers_.cancel(connections_.index_of(&c));
  connections_.free(&c);
}

void Exchanges::again(Connection& connection) {
  if (connection.again) return;
  connection.again = true;
  again_.push_back(connections_.handle(&connection));
}

void Exchanges::dirty(Connection& connection) {
  if (connection.dirty) return;
  connection.dirty = true;
  dirty_.push_back(connections_.handle(&connection));
}

// Seals and sends what the turn has produced. Whoever finds no buffer stays in the list.
void Exchanges::flush_dirty() {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < dirty_.size(); ++i) {
    const ConnectionId id = dirty_[i];
    Connection* c = connections_.find(id);
    if (!c) continue;
    if (!transport_.flush(*c, now_)) {
      dirty_[kept++] = id;
      continue;
    }
    c->dirty = false;
    if (c->state == Connection::State::lingering && c->ended) {
      forget(*c, false);
      continue;
    }
    if (!c->blocked) continue;
    c->blocked = false;
    if (transport_.room(*c) == 0) continue;  // blocked again: TCP will say when there is room
    if (Exchange* x = exchange_of(*c))
      if (Connection* peer = connections_.find(c->side == Side::client ? x->upstream.connection : x->client.connection))
        again(*peer);
  }
  dirty_.resize(kept);
}

Nanos Exchanges::expire(const Policy& policy, Nanos now) {
  policy_ = &policy;
  now_ = now;
  connection_timers_.advance(now, timers_per_turn, [this](std::uint32_t index) {
    if (connections_.live(index)) connection_expired(connections_[index]);
  });
  exchange_timers_.advance(now, timers_per_turn, [this](std::uint32_t index) {
    if (exchanges_.live(index)) exchange_expired(exchanges_[index]);
  });
  flush_dirty();
  const Nanos connection = connection_timers_.next(), exchange = exchange_timers_.next();
  const Nanos next = connection < exchange ? connection : exchange;
  return upstream_.waiting().empty() || next_slot_check_ > next ? next : next_slot_check_;
}

// Whether the client is still taking the last of what we sent, however slowly: it has as long as in the midst of an
// answer.
bool Exchanges::still_sending(Connection& c) {
  const tcp::SendProgress sent = deps_.tcp.progress(c.tcp);
  if (sent.acknowledged == sent.queued) return false;
  if (std::exchange(c.acknowledged, sent.acknowledged) != sent.acknowledged) c.last_active = now_;
  return now_ - c.last_active < listeners_[c.object].timeouts.stream_idle;
}

void Exchanges::connection_expired(Connection& c) {
  if (c.side == Side::upstream || c.state != Connection::State::open) {
    if (c.side == Side::client && c.state == Connection::State::lingering && still_sending(c))
      return connection_timers_.arm(connections_.index_of(&c), now_ + config_.linger);
    if (c.state == Connection::State::handshaking) deps_.counters.add(Counter::tls_handshake_timeouts);
    return c.state == Connection::State::open ? part(c) : forget(c, true);
  }
  if (!exchange_of(c)) end(c);  // else a request is under way, which has deadlines of its own
}

void Exchanges::exchange_expired(Exchange& x) {
  if (x.phase == Exchange::Phase::head) {
    reply(x, 408, ResponseFlag::DPE);
    return;
  }
  deps_.counters.add(Counter::http_timeouts);
  if (x.answered || x.phase == Exchange::Phase::discarding) return cut(x, ResponseFlag::UT);
  reply(x, x.client.received ? 504 : 408, x.client.received ? ResponseFlag::UT : ResponseFlag::DC);
}

// The deadline that holds for an exchange now.
void Exchanges::arm(Exchange& x) {
  const bool answer_due = x.client.received && !x.answered;
  const Nanos wait = answer_due ? x.decision.request_timeout : x.decision.idle_timeout;
  exchange_timers_.arm(exchanges_.index_of(&x), wait == Nanos::never() ? wait : now_ + wait);
}

void Exchanges::drain(Nanos now) {
  now_ = now;
  draining_ = true;
  connections_.each([this](Connection& c) {
    if (c.idle) return forget(c, false);
    if (c.side == Side::client && c.state == Connection::State::open && !exchange_of(c) && !c.close_when_sent) end(c);
  });
  flush_dirty();
}

void Exchanges::cut_all(Nanos now) {
  connections_.each([this, now](Connection& c) { deps_.tcp.abort(c.tcp, now); });
}

// Which endpoints take new requests, by id; idle connections to others are closed.
void Exchanges::policy_changed() {
  generation_seen_ = policy_->generation;
  if (policy_->endpoints.get() == endpoints_seen_) return;
  endpoints_seen_ = policy_->endpoints.get();
  std::fill(endpoint_generation_.begin(), endpoint_generation_.end(), 0);
  if (endpoints_seen_)
    for (const auto& group : endpoints_seen_->groups) {
      if (!group) continue;
      for (const policy::Endpoint& endpoint : group->endpoints)
        endpoint_generation_[endpoint.id] = endpoint.weight ? endpoint.generation : 0;
    }
  upstream_.sweep([this](policy::EndpointId id) { return endpoint_generation_[id] != 0; },
                  [this](Connection& c) { part(c); });
}

}  // namespace sluice
