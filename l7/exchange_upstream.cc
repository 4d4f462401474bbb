// exchange_upstream.cc - an endpoint for a request, a connection to it, and what happens when that fails.

#include "l7/exchanges.h"
#include "l7/upstream/balance.h"

namespace sluice {

using namespace literals;

namespace {

constexpr Nanos slot_check_interval = 1_ms;
constexpr unsigned clusters_a_check = 64;
// While requests wait on this worker and on others, a connection serves so many here before its slot may go elsewhere.
constexpr std::uint32_t requests_a_slot = 8;

}  // namespace

Exchanges::Step Exchanges::find_upstream(Exchange& x) {
  const policy::ClusterId cluster = x.decision.cluster;
  const policy::Cluster* c = policy_->clusters->clusters.find(cluster);
  const policy::EndpointGroup* group = c ? policy_->endpoints->of(cluster) : nullptr;
  const policy::Endpoint* endpoint =
      group ? balance(c->balance, *group, upstream_.turn(cluster), rng_, deps_.stats) : nullptr;
  if (!endpoint) return reply(x, 503, ResponseFlag::UH);
  x.decision.endpoint = x.log.endpoint = endpoint->id;
  x.decision.address = x.log.upstream = endpoint->address;
  x.upstream = {};
  if (!x.decision.use_client_address && !x.retried) {
    if (Connection* up = upstream_.take(endpoint->id)) {
      attach(x, *up);
      if (!send_request(x)) again(*up);
      return Step::next;
    }
  }
  if (!acquire(cluster, ClusterPermit::connections)) {
    // An idle connection to another endpoint of the cluster gives its slot to this one.
    Connection* idle = upstream_.oldest_of(*group);
    if (idle && upstream_.parting(cluster) <= upstream_.queue(cluster).size) part(*idle);
    return wait_for_slot(x);
  }
  return open_upstream(x);
}

// A new connection; its permit is held already.
Exchanges::Step Exchanges::open_upstream(Exchange& x) {
  const RouteDecision& d = x.decision;
  Connection* up = connections_.make(Side::upstream, upstream_limits_);
  if (!up) {
    release(d.cluster, ClusterPermit::connections);
    return reply(x, 503, ResponseFlag::OM);
  }
  const ConnectionId id = connections_.handle(up);
  tcp::ConnectSpec spec{.remote = d.address, .timeout = d.connect_timeout, .user = id.bits()};
  if (d.use_client_address) {
    spec.local = x.log.client.address;
    spec.transparent = true;
  } else if (config_.source_by_route) {
    if (const NextHop hop = deps_.host.route(d.address.address)) spec.local = deps_.host.source(hop, d.address.address);
  }
  const auto tcp = deps_.tcp.connect(spec, now_);
  if (!tcp) {
    deps_.counters.add(Counter::http_connect_no_resource);
    release(d.cluster, ClusterPermit::connections);
    connections_.free(up);
    return reply(x, 503, ResponseFlag::OM);
  }
  up->tcp = *tcp;
  up->state = Connection::State::connecting;
  up->object = d.endpoint;
  up->cluster = d.cluster;
  up->own_use = d.use_client_address;
  up->counted = true;
  deps_.stats.endpoint(d.endpoint).add(Figure::connections);
  deps_.stats.endpoint(d.endpoint).add(Figure::active_connections);
  deps_.stats.cluster(d.cluster).add(Figure::connections);
  deps_.stats.cluster(d.cluster).add(Figure::active_connections);
  deps_.counters.add(Counter::http_upstream_connections);
  attach(x, *up);
  x.phase = Exchange::Phase::connecting;
  return Step::next;
}

Exchanges::Step Exchanges::wait_for_slot(Exchange& x) {
  const policy::ClusterId cluster = x.decision.cluster;
  x.decision.endpoint = x.log.endpoint = policy::no_id;
  if (!acquire(cluster, ClusterPermit::pending)) return reply(x, 503, ResponseFlag::UO);
  x.holds_pending_permit = true;
  x.phase = Exchange::Phase::pending;
  UpstreamPool::Queue& queue = upstream_.queue(cluster);
  const ExchangeId id = exchanges_.handle(&x);
  if (Exchange* last = exchanges_.find(queue.last); queue.size && last) last->pending_next = id;
  else queue.first = id;
  queue.last = id;
  ++queue.size;
  upstream_.list(cluster);
  arm(x);
  return Step::next;
}

// Takes a request that gives up out of its queue: the link before it is found by walking, since this is rare.
void Exchanges::leave_queue(Exchange& x) {
  if (!x.holds_pending_permit) return;
  x.holds_pending_permit = false;
  release(x.decision.cluster, ClusterPermit::pending);
  UpstreamPool::Queue& queue = upstream_.queue(x.decision.cluster);
  const ExchangeId id = exchanges_.handle(&x);
  ExchangeId previous;
  for (ExchangeId at = queue.first; at != id; at = exchanges_.find(at)->pending_next) previous = at;
  (previous ? exchanges_.find(previous)->pending_next : queue.first) = x.pending_next;
  if (queue.last == id) queue.last = previous;
  x.pending_next = {};
  --queue.size;
}

// Requests that wait for a slot: each cluster's first ones, as long as there are slots.
void Exchanges::serve_waiting() {
  next_slot_check_ = now_ + slot_check_interval;
  auto& clusters = upstream_.waiting();
  for (std::size_t i = 0; i < clusters.size();) {
    const policy::ClusterId cluster = clusters[i];
    UpstreamPool::Queue& queue = upstream_.queue(cluster);
    while (queue.size) {
      const policy::EndpointGroup* group = policy_->endpoints->of(cluster);
      const bool idle = group && upstream_.oldest_of(*group) && upstream_.parting(cluster) < queue.size;
      if (group && !idle) {
        if (!acquire(cluster, ClusterPermit::connections)) break;
        release(cluster, ClusterPermit::connections);  // find_upstream takes it again: nobody else does on this worker
      }
      Exchange* x = exchanges_.find(queue.first);
      const ConnectionId client = x->client.connection;
      leave_queue(*x);
      const std::uint32_t before = queue.size;
      find_upstream(*x);
      serve(client);
      if (queue.size > before) break;  // another worker was faster: it waits again
    }
    if (queue.size) {
      ++i;
      continue;
    }
    queue.listed = false;
    clusters[i] = clusters.back();
    clusters.pop_back();
  }
}

// Idle connections give their slots to requests that wait for one on other workers.
void Exchanges::yield_idle() {
  next_yield_ = now_ + slot_check_interval;
  upstream_.some_idle_clusters(clusters_a_check, [this](policy::ClusterId cluster) {
    const std::uint32_t wanted = waiting_elsewhere(cluster);
    const policy::EndpointGroup* group = wanted ? policy_->endpoints->of(cluster) : nullptr;
    while (group && upstream_.parting(cluster) < wanted) {
      Connection* idle = upstream_.oldest_of(*group);
      if (!idle) break;
      part(*idle);
    }
  });
}

void Exchanges::attach(Exchange& x, Connection& up) {
  up.exchange = exchanges_.handle(&x);
  x.upstream.connection = connections_.handle(&up);
  x.phase = Exchange::Phase::waiting;
  ++up.requests;
  ++x.log.attempts;
  deps_.stats.endpoint(up.object).add(Figure::requests);
  deps_.stats.endpoint(up.object).add(Figure::active_requests);
  if (x.story) [[unlikely]]
    tell(x, "upstream", up.requests > 1 ? "pooled connection to " : "new connection to ",
         to_text(x.decision.address).view());
  connection_timers_.cancel(connections_.index_of(&up));
  arm(x);
}

// The head towards upstream. False when no buffer was free.
bool Exchanges::send_request(Exchange& x) {
  Connection* up = upstream_of(x);
  const http::Head& head = x.request.head;
  const AddressText client = to_text(x.log.client.address);
  http::RequestEdits edits{.path = x.new_path,
                           .authority = x.new_authority,
                           .client = client,
                           .proto = x.log.secure ? std::string_view{"https"} : std::string_view{"http"},
                           .request_id = x.log.request_id.view(),
                           .fields = x.request_rules.edits(),
                           .keep_upgrade = x.decision.allow_upgrade,
                           .keep_expect = head.expect_continue};
  x.upstream.framing = http::outgoing_framing(head, http::Version::http11);
  x.sent_base = deps_.tcp.progress(up->tcp).queued;
  if (!http::encode_request(head, x.upstream.framing, edits, up->out, deps_.buffers)) return false;
  up->decoder.expect_response_to(head.method);
  x.request_sent = true;
  x.phase = Exchange::Phase::waiting;
  tell(x, "upstream", "request sent");
  dirty(*up);
  arm(x);
  return true;
}

// The exchange and its upstream connection part: into the pool if it can serve another request, else it ends.
void Exchanges::leave_upstream(Exchange& x, bool reusable) {
  Connection* up = upstream_of(x);
  const bool whole = x.upstream.received && x.upstream.sent;
  x.upstream = {};
  x.request_sent = false;
  if (!up) return;
  deps_.stats.endpoint(up->object).sub(Figure::active_requests);
  up->exchange = {};
  const std::uint32_t most = x.decision.requests_per_connection;
  if (!reusable || draining_ || up->own_use || up->ended || !up->in.empty() || !up->decoder.idle() ||
      up->state != Connection::State::open || (most && up->requests >= most) || endpoint_generation_[up->object] == 0)
    return whole ? part(*up) : forget(*up, true);
  // Another worker's request waits for a slot that only an idle connection can free.
  const std::uint32_t waiting_here = upstream_.queue(up->cluster).size;
  if ((waiting_here == 0 || up->requests % requests_a_slot == 0) && waiting_elsewhere(up->cluster)) return part(*up);
  if (x.decision.pool_idle_timeout != Nanos::never())
    connection_timers_.arm(connections_.index_of(up), now_ + x.decision.pool_idle_timeout);
  upstream_.give(*up);
  if (waiting_here) next_slot_check_ = {};
}

// Whether the request may go out again on another connection (RFC 9110 9.2.2, RFC 9112 9.3.1): only after a pooled
// connection turned out to be closed.
bool Exchanges::may_resend(const Exchange& x, const Connection& up) const {
  if (up.requests < 2 || x.retried || x.body_sent || x.answered || x.tunnel || !up.decoder.idle() || !up.in.empty())
    return false;
  return http::idempotent(x.request.head.method) || deps_.tcp.progress(up.tcp).acknowledged <= x.sent_base;
}

void Exchanges::upstream_failed(Exchange& x, Loss loss) {
  Connection* up = upstream_of(x);
  if (loss == Loss::cut) {  // not the endpoint's doing: a refusal for want of room
    deps_.counters.add(Counter::http_upstream_cut);
    if (x.answered) return cut(x, ResponseFlag::LR);
    reply(x, 503, ResponseFlag::LR);
    return;
  }
  deps_.counters.add(Counter::http_upstream_failures);
  if (up) deps_.stats.endpoint(up->object).add(Figure::failures);
  const bool connecting = x.phase == Exchange::Phase::connecting;
  if (up && may_resend(x, *up)) {
    deps_.counters.add(Counter::http_stale_resends);
    const ConnectionId client = x.client.connection;
    leave_upstream(x, false);
    x.retried = true;
    find_upstream(x);
    serve(client);
    return;
  }
  const ResponseFlag flag = connecting                ? ResponseFlag::UF
                            : loss == Loss::reset     ? ResponseFlag::UR
                            : loss == Loss::timed_out ? ResponseFlag::UT
                                                      : ResponseFlag::UC;
  if (x.answered) return cut(x, flag);
  reply(x, loss == Loss::timed_out ? 504 : 502, flag);
}

}  // namespace sluice

// Tested in tests/unit/l7/exchanges_test.cc.
