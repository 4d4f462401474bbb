// exchange_response.cc - the answer: upstream's, passed on, or one made here; and the end of the exchange.

#include <algorithm>

#include "l7/exchanges.h"

namespace sluice {

namespace {

// What is left of a small request is read and dropped after a local reply, so that the connection can go on.
constexpr std::uint64_t discard_max = 64 * 1024;
// A stage never holds more of a body than this, whatever room there is.
constexpr std::uint32_t body_step = 256 * 1024;

}  // namespace

// An upstream connection has bytes, or its client may take some, or it has ended.
void Exchanges::answer(ConnectionId id) {
  Connection* up = connections_.find(id);
  Exchange* x = up ? exchange_of(*up) : nullptr;
  if (!up) return;
  if (!x) {  // idle: whatever comes now is not asked for
    if (!up->in.empty() || up->ended) part(*up);
    return;
  }
  if (!x->request_sent) {  // there was no buffer for it
    if (!send_request(*x)) return again(*up);
    again(*client_of(*x));
  }
  const ExchangeId exchange = exchanges_.handle(x);
  for (;;) {
    if (!push_response(*x)) return again(*up);
    if (exchanges_.find(exchange) != x || connections_.find(id) != up) return;
    Connection* client = client_of(*x);
    const std::uint32_t room = !x->answered ? 0 : std::min(transport_.room(*client), body_step);
    http::Event event = up->decoder.next(up->in, x->response, room, memory_);
    if (event.kind == http::Event::Kind::more && up->ended && up->in.empty()) {
      event = up->decoder.finish();
      if (event.kind == http::Event::Kind::more) return upstream_failed(*x, Loss::closed);
    }
    switch (event.kind) {
      case http::Event::Kind::more: return;
      case http::Event::Kind::starved: return again(*up);
      case http::Event::Kind::head:
        if (response_head(*up, *x) != Step::next) return;
        break;
      case http::Event::Kind::body:
        x->log.bytes_sent += x->response.body.size();
        arm(*x);
        break;
      case http::Event::Kind::trailers: break;
      case http::Event::Kind::end: x->upstream.received = true; break;
      case http::Event::Kind::fault:
        if (event.fault == http::Fault::truncated) return upstream_failed(*x, Loss::closed);
        bad_answer(*x);
        return;
    }
  }
}

// Moves what was read of the answer to the client, and ends the exchange when that was all. False when no buffer was
// free.
bool Exchanges::push_response(Exchange& x) {
  Connection* client = client_of(x);
  if (x.head_waits) {
    const http::Head& head = x.response.head;
    const bool upgrade = head.status == 101;
    const http::ResponseEdits edits{
        .fields = head.interim() ? std::span<const http::FieldEdit>{} : x.response_rules.edits(),
        .client_version = x.client_version,
        .close = x.close_client && !head.interim() && !upgrade,
        .keep_upgrade = upgrade,
        .head_only = x.head_only};
    if (!http::encode_response(head, x.client.framing, edits, client->out, deps_.buffers)) return false;
    dirty(*client);
    x.head_waits = false;
    tell(x, "http", "answer ", http::reason_phrase(head.status));
    if (head.interim()) {
      x.response.head.reset();
    } else {
      x.answered = true;
      x.phase = Exchange::Phase::responding;
      arm(x);
      if (upgrade) {
        x.tunnel = true;
        x.client.framing = x.upstream.framing = http::Framing::tunnel;
        x.client.received = x.upstream.sent = false;
        client->decoder.become_tunnel();
        upstream_of(x)->decoder.become_tunnel();
        again(*client);
      }
    }
  }
  if (!x.response.body.empty()) {
    if (!http::encode_body(x.client.framing, x.response.body, client->out, deps_.buffers)) return false;
    dirty(*client);
  }
  if (!x.upstream.received) return true;
  const http::Trailers* trailers = x.response.trailers.count() ? &x.response.trailers : nullptr;
  if (!http::encode_end(x.client.framing, trailers, client->out, deps_.buffers)) return false;
  dirty(*client);
  x.client.sent = true;
  const bool reusable = x.upstream.sent && x.client.received && x.response.head.keep_alive && !x.tunnel;
  leave_upstream(x, reusable);
  finish(x);
  return true;
}

Exchanges::Step Exchanges::response_head(Connection& up, Exchange& x) {
  http::Head& head = x.response.head;
  if (x.log.upstream_first_byte.ns < 0) x.log.upstream_first_byte = now_ - x.log.start;
  if (head.interim()) {
    if (x.client_version == http::Version::http10) {  // RFC 9110 15.2: never to an HTTP/1.0 client
      head.reset();
      return Step::next;
    }
    x.client.framing = http::Framing::none;
  } else {
    if (head.status == 101 && !(x.decision.allow_upgrade && x.request.head.upgrade)) return bad_answer(x);
    x.log.status = head.status;
    x.client.framing = http::outgoing_framing(head, x.client_version);
    // A client that is still sending will not be read to the end: its connection cannot go on.
    if (!x.client.received || x.client.framing == http::Framing::until_close) x.close_client |= head.status != 101;
    x.close_client |= draining_;
  }
  x.head_waits = true;
  return Step::next;
}

// What upstream sent is no answer.
Exchanges::Step Exchanges::bad_answer(Exchange& x) {
  deps_.counters.add(Counter::http_bad_responses);
  if (x.answered) return cut(x, ResponseFlag::UR), Step::gone;
  return reply(x, 502, ResponseFlag::UR);
}

// An answer of our own. What upstream was doing for this request ends.
Exchanges::Step Exchanges::reply(Exchange& x, std::uint16_t status, ResponseFlag flag, const http::LocalReply& text) {
  Connection* client = client_of(x);
  const ConnectionId id = connections_.handle(client);
  if (!x.log.method.empty() && status >= 500 && x.log.cluster != AccessRecord::none)
    deps_.stats.cluster(x.log.cluster).add(Figure::failures);
  leave_queue(x);
  leave_upstream(x, false);
  x.log.flag(flag);
  x.log.status = status;
  x.answered = true;
  tell(x, "http", "answered here: ", http::reason_phrase(status));
  const http::Head& head = x.request.head;
  const bool drop_rest =
      head.framing == http::Framing::length && head.content_length <= discard_max && !head.expect_continue;
  if (!x.client.received && (head.empty() || (head.framing != http::Framing::none && !drop_rest)))
    x.close_client = true;
  x.close_client |= draining_;
  http::LocalReply whole = text;
  whole.status = status;
  whole.close = x.close_client;
  whole.head_only = x.head_only;
  // When not even this finds a buffer, the client sees its connection end.
  if (!http::encode_local_reply(whole, client->out, deps_.buffers)) x.close_client = true;
  x.log.bytes_sent += status == 204 || status == 304 || x.head_only ? 0 : whole.body.size();
  dirty(*client);
  x.client.sent = true;
  x.request.body.clear();
  x.phase = Exchange::Phase::discarding;
  if (!x.client.received && !x.close_client) {
    arm(x);
    again(*client);
    return Step::next;
  }
  finish(x);
  return connections_.find(id) ? Step::next : Step::gone;
}

// The exchange cannot be finished: the client learns it by the end of its connection, in the midst of the message.
void Exchanges::cut(Exchange& x, ResponseFlag flag) {
  x.log.flag(flag);
  leave_queue(x);
  leave_upstream(x, false);
  Connection* client = client_of(x);
  x.close_client = true;
  if (client) end(*client, false);
  finish(x);
}

void Exchanges::finish(Exchange& x) {
  if (x.holds_request_permit) release(x.decision.cluster, ClusterPermit::requests);
  if (!x.log.method.empty() || x.log.status) record(x);
  Connection* client = client_of(x);
  exchange_timers_.cancel(exchanges_.index_of(&x));
  const bool close = x.close_client || x.tunnel;
  exchanges_.free(&x);
  if (!client) return;
  client->exchange = {};
  if (close) {
    if (!client->close_when_sent) end(*client);
    return;
  }
  const Nanos idle = listeners_[client->object].timeouts.idle;
  connection_timers_.arm(connections_.index_of(client), idle == Nanos::never() ? idle : now_ + idle);
  if (!client->in.empty() || client->ended) again(*client);
}

// The statistics of all that had to do with it, and the line of the access log.
void Exchanges::record(Exchange& x) {
  x.log.duration = now_ - x.log.start;
  tell(x, "end", "answer handed to transmit");
  const auto count = [&x](ObjectStats& stats) {
    stats.sub(Figure::active_requests);
    stats.response(x.log.status);
    stats.add(Figure::bytes_in, x.log.bytes_received);
    stats.add(Figure::bytes_out, x.log.bytes_sent);
    stats.latency(x.log.duration);
  };
  if (!x.log.method.empty()) count(deps_.stats.listener(x.log.listener));
  if (x.log.route != AccessRecord::none)
    if (ObjectStats* stats = deps_.stats.route(x.log.route)) count(*stats);
  if (x.log.cluster != AccessRecord::none) count(deps_.stats.cluster(x.log.cluster));
  if (x.log.endpoint != AccessRecord::none) {
    ObjectStats& stats = deps_.stats.endpoint(x.log.endpoint);
    stats.response(x.log.status);
    stats.latency(x.log.duration);
  }
  if (deps_.access && !deps_.access->push(x.log)) deps_.counters.add(Counter::access_log_lost);
}

}  // namespace sluice

// Tested in tests/unit/l7/exchanges_test.cc.
