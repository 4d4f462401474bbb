// spec.h - routes as the operator means them: plain structs, made by mgmt/ from the policy, compiled by compile.h.
// Semantics of Gateway API HTTPRoute. Management thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/base/units.h"
#include "l7/http/h1_encoder.h"

namespace sluice::route::spec {

struct PathMatch {
  enum class Kind : std::uint8_t { prefix, exact, regex };
  Kind kind = Kind::prefix;
  std::string value = "/";  // prefix: whole segments ("/api" is /api and /api/x, not /apix); regex: the whole path
};

// present and absent look at no value. `invert` turns the answer round; an absent field does not match, so inverted it
// does.
struct ValueMatch {
  enum class Kind : std::uint8_t { exact, prefix, suffix, contains, regex, present, absent };
  Kind kind = Kind::present;
  std::string value;
  bool invert = false;
};
struct HeaderMatch {
  std::string name;  // any case; ":authority", ":method" and ":path" are not fields
  ValueMatch match;  // against the first field of the name
};
struct QueryMatch {
  std::string name;
  ValueMatch match;  // against the first value, percent-encoding as it came
};

struct WeightedCluster {
  std::uint32_t cluster = 0;  // stable id
  std::uint32_t weight = 1;
};
struct FieldEdit {
  http::FieldEdit::Op op = http::FieldEdit::Op::set;
  std::string name, value;
};
struct Redirect {
  std::uint16_t status = 302;               // 301, 302, 303, 307, 308
  std::string scheme, host;                 // empty: the request's
  std::uint16_t port = 0;                   // 0: the request's, or the scheme's own when the scheme changes
  std::optional<std::string> path, prefix;  // the whole path, or what takes the matched prefix's place
};
struct DirectResponse {
  std::uint16_t status = 200;
  std::string body, content_type = "text/plain";
};
struct Rewrite {
  std::string host;                         // empty: unchanged
  std::optional<std::string> path, prefix;  // the whole path, or what takes the matched prefix's place
};
struct Timeouts {
  Nanos request{15'000'000'000};  // whole request with its retries; 0 is none
  Nanos per_try{0};
  Nanos idle{300'000'000'000};  // of the stream
};

struct Route {
  std::string name;
  std::uint32_t id = 0;  // stable id
  PathMatch path;
  std::string method;  // empty: any
  std::vector<HeaderMatch> headers;
  std::vector<QueryMatch> queries;
  // One of the three: clusters, redirect, direct.
  std::vector<WeightedCluster> clusters;
  std::optional<Redirect> redirect;
  std::optional<DirectResponse> direct;
  Rewrite rewrite;
  Timeouts timeouts;
  std::vector<FieldEdit> request_fields, response_fields;
  bool allow_upgrade = false;
};

struct VirtualHost {
  std::string name;
  std::uint32_t id = 0;            // stable id
  std::vector<std::string> hosts;  // "www.example.com", "*.example.com", "*"; no port
  std::vector<Route> routes;
};

struct Spec {
  std::vector<VirtualHost> hosts;
};

}  // namespace sluice::route::spec

// Tested in tests/unit/l7/route/compile_test.cc.
