// exchange_request.cc - from the first byte of a request to the decision about it, and its body towards upstream.

#include <algorithm>
#include <charconv>

#include "l7/exchanges.h"
#include "l7/http/uri.h"

namespace sluice {

namespace {

// A stage never holds more of a body than this, whatever room there is.
constexpr std::uint32_t body_step = 256 * 1024;

// Appends text to a fixed buffer; remembers when it did not fit.
class TextWriter {
 public:
  explicit TextWriter(MutableBytes out) : writer_(out) {}
  TextWriter& operator<<(std::string_view text) {
    writer_.put(text);
    return *this;
  }
  TextWriter& operator<<(unsigned number) {
    char digits[10];
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    return *this << std::string_view{digits, static_cast<std::size_t>(end - digits)};
  }
  bool ok() const { return writer_.ok(); }
  std::string_view view() const { return text(writer_.written()); }

 private:
  Writer writer_;
};

// What stands in the place of the path: all of it, or of the prefix that matched.
void put_path(TextWriter& out, const http::Head& head, std::uint32_t prefix_size, bool whole, std::string_view path,
              bool prefix, std::string_view new_prefix) {
  if (whole) {
    out << path;
  } else if (prefix) {
    // The prefix matched whole segments: what follows begins with a slash, or there is nothing.
    std::string_view rest = head.path.substr(std::min<std::size_t>(prefix_size, head.path.size()));
    const bool slash = !new_prefix.empty() && new_prefix.back() == '/';
    if (slash && rest.starts_with('/')) rest.remove_prefix(1);
    out << new_prefix;
    if (!slash && !rest.empty() && !rest.starts_with('/')) out << "/";
    if (new_prefix.empty() && rest.empty()) out << "/";
    out << rest;
  } else {
    out << head.path;
  }
  if (head.has_query) out << "?" << head.query;
}

}  // namespace

// A client's connection has bytes, or may write, or has ended. What goes on from it no longer counts against its
// window, whoever called: when the window is shut nothing else will come that would look at it.
void Exchanges::serve(ConnectionId id) {
  read_requests(id);
  if (Connection* c = connections_.find(id)) transport_.consumed(*c, now_);
}

void Exchanges::read_requests(ConnectionId id) {
  for (;;) {
    Connection* c = connections_.find(id);
    if (!c || c->state != Connection::State::open || c->close_when_sent) return;
    Exchange* x = exchange_of(*c);
    if (!x) {
      if (c->in.empty()) {
        if (c->ended) end(*c);
        return;
      }
      if (!(x = begin(*c))) return;
    }
    if (x->client.received && !x->tunnel) {
      if (!push_request(*x)) again(*c);
      return;  // pipelined requests wait for the answer
    }
    if (read_request(*c, *x) != Step::next) return;
  }
}

Exchange* Exchanges::begin(Connection& c) {
  Exchange* x = exchanges_.make();
  if (!x) {
    deps_.counters.add(Counter::http_refused_pool_full);
    http::LocalReply overload{.status = 503, .close = true};
    http::encode_local_reply(overload, c.out, deps_.buffers);
    end(c);
    return nullptr;
  }
  c.exchange = exchanges_.handle(x);
  ++c.requests;
  x->client.connection = connections_.handle(&c);
  x->log.start = now_;
  x->log.listener = c.object;
  x->log.worker = config_.worker;
  x->log.secure = c.secure;
  x->log.client = deps_.tcp.remote(c.tcp);
  x->log.local = deps_.tcp.local(c.tcp);
  x->log.generation = policy_->generation;
  if (deps_.trace && deps_.trace->on()) [[unlikely]] {
    x->story = deps_.trace->match(x->log.client.address, x->log.client.port, x->log.local.address, x->log.local.port,
                                  Protocol::tcp);
    tell(*x, c.secure ? "tls" : "tcp", "bytes for listener from ", to_text(x->log.client).view());
  }
  return x;
}

// A head that does not come whole must come in time. One that does costs no timer. It is the exchange's that runs,
// which is one of few and warm; the connection's may fire meanwhile and means nothing then.
void Exchanges::await_head(const Connection& c, Exchange& x) {
  if (x.phase != Exchange::Phase::head) return;
  exchange_timers_.arm(exchanges_.index_of(&x), x.log.start + listeners_[c.object].timeouts.request_header);
}

// How much of the request's body may be taken now.
std::uint32_t Exchanges::request_room(Exchange& x) {
  if (x.phase == Exchange::Phase::discarding) return body_step;
  Connection* up = upstream_of(x);
  if (!up || !x.request_sent || !x.request.body.empty()) return 0;
  return std::min(transport_.room(*up), body_step);
}

Exchanges::Step Exchanges::read_request(Connection& c, Exchange& x) {
  const ConnectionId id = connections_.handle(&c);
  const ExchangeId exchange = exchanges_.handle(&x);
  for (;;) {
    if (!push_request(x)) return again(c), Step::wait;
    if (x.client.received && !x.tunnel) return Step::wait;
    http::Event event = c.decoder.next(c.in, x.request, request_room(x), memory_);
    if (event.kind == http::Event::Kind::more && c.ended && c.in.empty()) event = c.decoder.finish();
    Step step = Step::next;
    switch (event.kind) {
      case http::Event::Kind::more:
        if (c.ended && x.phase == Exchange::Phase::head) {  // nothing but an empty line came
          finish(x);
          return Step::next;
        }
        await_head(c, x);
        return Step::wait;
      case http::Event::Kind::starved: return await_head(c, x), again(c), Step::wait;
      case http::Event::Kind::head: step = request_head(c, x); break;
      case http::Event::Kind::body:
        x.log.bytes_received += x.request.body.size();
        if (x.phase == Exchange::Phase::discarding) x.request.body.clear();
        else if (!x.tunnel) x.body_sent = true;
        arm(x);
        break;
      case http::Event::Kind::trailers: break;
      case http::Event::Kind::end:
        x.client.received = true;
        if (x.tunnel || x.phase == Exchange::Phase::discarding) return finish(x), Step::next;
        arm(x);
        break;
      case http::Event::Kind::fault:
        deps_.counters.add(Counter::http_bad_requests);
        if (x.phase == Exchange::Phase::head) {
          x.close_client = true;
          step = reply(x, http::status_of(event.fault), ResponseFlag::DPE);
        } else if (event.fault == http::Fault::truncated) {
          return cut(x, ResponseFlag::DC), Step::gone;
        } else if (x.answered || x.phase == Exchange::Phase::discarding) {
          return cut(x, ResponseFlag::DPE), Step::gone;
        } else {
          x.close_client = true;
          step = reply(x, http::status_of(event.fault), ResponseFlag::DPE);
        }
        break;
    }
    if (step == Step::gone || !connections_.find(id)) return Step::gone;
    if (exchanges_.find(exchange) != &x) return Step::next;  // it is over; the connection may have the next one
  }
}

// Moves what was read of the request on, as far as the upstream connection stands. False when no buffer was free.
bool Exchanges::push_request(Exchange& x) {
  Connection* up = upstream_of(x);
  if (!up || !x.request_sent || x.upstream.sent) return true;
  if (!x.request.body.empty()) {
    if (!http::encode_body(x.upstream.framing, x.request.body, up->out, deps_.buffers)) return false;
    dirty(*up);
  }
  if (!x.client.received || x.tunnel) return true;
  const http::Trailers* trailers = x.request.trailers.count() ? &x.request.trailers : nullptr;
  if (!http::encode_end(x.upstream.framing, trailers, up->out, deps_.buffers)) return false;
  dirty(*up);
  x.upstream.sent = true;
  return true;
}

Exchanges::Step Exchanges::request_head(Connection& c, Exchange& x) {
  const http::Head& head = x.request.head;
  deps_.counters.add(Counter::http_requests);
  // An answer will follow: what it touches is far away where the connection has slept.
  deps_.tcp.prefetch(c.tcp);
  connections_.prefetch(connections_.index_of(&c), Connection::coming_lines, Connection::lines);
  connection_timers_.prefetch(connections_.index_of(&c));
  x.client_version = head.version;
  x.head_only = head.method == http::Method::head;
  const std::uint32_t most = listeners_[c.object].requests_per_connection;
  tell(x, "http", "request ", head.method_name, " ", head.target);
  x.close_client = !head.keep_alive || draining_ || (most && c.requests >= most);
  x.log.http10 = head.version == http::Version::http10;
  x.log.method.set(head.method_name);
  x.log.authority.set(head.authority);
  x.log.path.set(head.target);
  x.log.user_agent.set(head.value(http::Known::user_agent));
  const std::string_view given = head.value(http::Known::x_request_id);
  if (given.empty()) x.request_id = http::make_request_id(rng_);
  x.log.request_id.set(given.empty() ? std::string_view{x.request_id.data(), x.request_id.size()} : given);
  ObjectStats& stats = deps_.stats.listener(c.object);
  stats.add(Figure::requests);
  stats.add(Figure::active_requests);

  if (head.method == http::Method::connect) return reply(x, 501, ResponseFlag::DPE);
  if (http::normalise(x.request.head, {}, heads_) != http::Fault::none) return reply(x, 400, ResponseFlag::DPE);
  return decide(c, x);
}

// Everything that the policy says about this request, in one go and under one generation.
Exchanges::Step Exchanges::decide(Connection& c, Exchange& x) {
  x.log.generation = policy_->generation;
  const policy::Listener* listener = policy_->routes->listeners.find(c.object);
  if (!listener) {  // taken out of the policy while the connection was open
    x.close_client = true;
    return reply(x, 404, ResponseFlag::NR);
  }
  x.decision.idle_timeout = listener->timeouts.stream_idle;
  route::Scratch& scratch = *policy_->routes->scratch[config_.worker];
  const route::Route* route = listener->routes->find(route::view_of(x.request.head), scratch);
  x.log.routed = now_ - x.log.start;
  if (!route) {
    tell(x, "route", "none matches");
    return reply(x, 404, ResponseFlag::NR);
  }
  tell(x, "route", "chose ", route->name.empty() ? std::string_view{"a route without a name"} : route->name);
  x.log.route = x.decision.route = route->id;
  if (ObjectStats* stats = deps_.stats.route(route->id)) {
    stats->add(Figure::requests);
    stats->add(Figure::active_requests);
  }
  if (route->extras && !x.response_rules.copy(route->extras->response_fields, heads_))
    return reply(x, 503, ResponseFlag::OM);
  if (route->clusters.empty()) return act_locally(x, *route);

  const policy::ClusterId id = route->choose(static_cast<std::uint32_t>(rng_.next() >> 32));
  const policy::Cluster* cluster = policy_->clusters->clusters.find(id);
  if (!cluster) return reply(x, 503, ResponseFlag::UH);
  x.log.cluster = id;
  RouteDecision& d = x.decision;
  d.cluster = id;
  d.cluster_generation = cluster->generation;
  d.connect_timeout = cluster->connect_timeout;
  d.pool_idle_timeout = cluster->idle_timeout;
  d.requests_per_connection = cluster->requests_per_connection;
  d.use_client_address = listener->use_client_address;
  d.allow_upgrade = route->allow_upgrade;
  const Nanos of_route = route->timeouts.request;
  d.request_timeout = of_route.ns == 0 ? cluster->request_timeout : of_route;
  if (route->timeouts.idle.ns != 0) d.idle_timeout = route->timeouts.idle;
  ObjectStats& stats = deps_.stats.cluster(id);
  stats.add(Figure::requests);
  stats.add(Figure::active_requests);
  if (!rewrite(x, *route)) return reply(x, 503, ResponseFlag::OM);
  if (!acquire(id, ClusterPermit::requests)) return reply(x, 503, ResponseFlag::UO);
  x.holds_request_permit = true;
  return find_upstream(x);
}

// Copies what the route changes about the request. False when no memory was free for it.
bool Exchanges::rewrite(Exchange& x, const route::Route& route) {
  const route::RouteExtras* extras = route.extras;
  if (!extras) return true;
  if (!x.request_rules.copy(extras->request_fields, heads_)) return false;
  if (!extras->has_rewrite_path && !extras->has_rewrite_prefix && extras->rewrite_host.empty()) return true;
  const http::Head& head = x.request.head;
  const std::size_t need = head.path.size() + head.query.size() + extras->rewrite_path.size() +
                           extras->rewrite_prefix.size() + extras->rewrite_host.size() + 4;
  if (need > http::HeadBuffers::large_size || !(x.target = heads_.take(static_cast<std::uint32_t>(need)))) return false;
  TextWriter out{x.target.bytes()};
  put_path(out, head, route.prefix_size, extras->has_rewrite_path, extras->rewrite_path, extras->has_rewrite_prefix,
           extras->rewrite_prefix);
  const std::size_t path = out.view().size();
  out << extras->rewrite_host;
  x.new_path = out.view().substr(0, path);
  x.new_authority = out.view().substr(path);
  return out.ok();
}

// A route that is answered here: a redirect or a direct response.
Exchanges::Step Exchanges::act_locally(Exchange& x, const route::Route& route) {
  const route::RouteExtras& extras = *route.extras;
  if (extras.has_direct)
    return reply(x, extras.direct_status, ResponseFlag{},
                 {.body = extras.direct_body, .content_type = extras.direct_content_type});
  const route::CompiledRedirect& to = extras.redirect;
  const http::Head& head = x.request.head;
  std::uint8_t location[8192];
  TextWriter out{location};
  const std::string_view now_scheme = x.log.secure ? "https" : "http";
  const std::string_view scheme = to.scheme.empty() ? now_scheme : to.scheme;
  const auto authority = http::split_authority(head.authority);
  out << scheme << "://" << (to.host.empty() ? (authority ? authority->host : head.authority) : to.host);
  const unsigned port = to.port ? to.port : to.scheme.empty() && to.host.empty() && authority ? authority->port : 0;
  if (port && port != (scheme == "https" ? 443u : 80u)) out << ":" << port;
  put_path(out, head, route.prefix_size, to.has_path, to.path, to.has_prefix, to.prefix);
  if (!out.ok()) return reply(x, 414, ResponseFlag::DPE);
  const http::NameValue fields[] = {{"location", out.view()}};
  return reply(x, to.status, ResponseFlag{}, {.fields = fields});
}

}  // namespace sluice

// Tested in tests/unit/l7/exchanges_test.cc.
