// exchange.h - one request and its answer: the third meeting point of the layers. Two legs, each a connection and a
// stream on it, so that an HTTP/2 stream fits on either side; what was decided about the request, copied out of the
// policy (which may be gone before the answer comes); the two messages; and the line that the access log will carry.
// Plain data in a fixed pool; one worker; driven by l7/exchanges.
#pragma once

#include <array>

#include "l7/access.h"
#include "l7/connection.h"
#include "l7/header_rules.h"
#include "l7/http/h1_encoder.h"
#include "l7/http/message.h"

namespace sluice {

// One side of an exchange.
struct Leg {
  ConnectionId connection;
  http::StreamId stream = 0;
  http::Framing framing = http::Framing::none;  // of the message that goes out on this leg
  bool received = false;                        // the message that comes in on this leg is whole
  bool sent = false;                            // the message that goes out on this leg is whole
};

// What the route said, by value.
struct RouteDecision {
  policy::RouteId route = policy::no_id;
  policy::ClusterId cluster = policy::no_id;
  policy::EndpointId endpoint = policy::no_id;
  std::uint32_t cluster_generation = 0;
  sluice::Endpoint address;  // of the endpoint
  Nanos connect_timeout{};
  Nanos request_timeout = Nanos::never();  // until the head of the answer
  Nanos idle_timeout = Nanos::never();     // without a byte in either direction
  Nanos pool_idle_timeout = Nanos::never();
  std::uint32_t requests_per_connection = 0;
  bool use_client_address = false;
  bool allow_upgrade = false;
};

struct Exchange {
  enum class Phase : std::uint8_t {
    head,        // reading the request's head
    pending,     // waits for a connection slot of its cluster
    connecting,  // waits for the upstream connection
    waiting,     // request under way, no answer yet
    responding,  // the answer's head went out
    discarding,  // a local reply went out; the rest of the request is dropped
  };

  // Not defaulted: the pool would clear all 4 kB first, most of it room for fields and for the log's text.
  Exchange() {}

  Leg client, upstream;
  http::Message request, response;
  RouteDecision decision;
  HeaderRules request_rules, response_rules;
  http::HeadBuffer target;                   // memory of the two views below
  std::string_view new_path, new_authority;  // rewritten; empty: as the client said
  AccessRecord log;
  std::array<char, 36> request_id;
  std::uint32_t story = 0;      // of the trace; 0: none
  std::uint64_t sent_base = 0;  // stream offset of the request's first byte on the upstream connection
  ExchangeId pending_next;
  Phase phase = Phase::head;
  http::Version client_version = http::Version::http11;
  bool head_only : 1 = false;     // HEAD: the answer has no body
  bool close_client : 1 = false;  // the client's connection ends after this answer
  bool tunnel : 1 = false;        // switched protocols: bytes both ways until one side ends
  bool holds_request_permit : 1 = false;
  bool holds_pending_permit : 1 = false;
  bool request_sent : 1 = false;  // the head was encoded for the present upstream connection
  bool head_waits : 1 = false;    // the answer's head is read and not yet encoded: no buffer was free
  bool body_sent : 1 = false;     // some of the request's body went upstream: it cannot be sent again
  bool answered : 1 = false;      // some byte of a final answer came from upstream
  bool retried : 1 = false;       // sent a second time already, because a pooled connection had gone stale
};

}  // namespace sluice

// Tested in tests/unit/l7/exchanges_test.cc.
