// table.h - which route a request takes: one immutable table for all virtual hosts of a listener.
// Host: exact, then the longest suffix wildcard (*.suffix: one label or more in front), then *. There is no falling
// back from a host that has no fitting route. Within a host: exact path, regex path, longest prefix; then method given,
// number of header matches, number of query matches, order in the policy. (Gateway API leaves the place of regexes
// open; as nginx and Envoy Gateway do, they stand before prefixes, so that a catch-all "/" does not hide them.) Exact
// hosts and paths are found by hash, prefixes by a trie of segments, regular expressions by Hyperscan: one database per
// (host, field), scanned at most once a request. Built by compile.h; read by every worker, each with its own Scratch.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "l7/http/message.h"
#include "l7/route/spec.h"

struct hs_scratch;

namespace sluice::route {

struct ClusterWeight {
  std::uint32_t cluster;
  std::uint32_t upto;  // sum of the weights up to and with this one
};
struct CompiledRedirect {
  std::uint16_t status = 0, port = 0;
  bool has_path = false, has_prefix = false;
  std::string_view scheme, host, path, prefix;
};
// What few routes have, kept apart so that a route stays small.
struct RouteExtras {
  bool has_redirect = false, has_direct = false, has_rewrite_path = false, has_rewrite_prefix = false;
  std::uint16_t direct_status = 0;
  std::string_view direct_body, direct_content_type;
  CompiledRedirect redirect;
  std::string_view rewrite_host, rewrite_path, rewrite_prefix;
  std::span<const http::FieldEdit> request_fields, response_fields;
};
struct Route {
  std::uint32_t id = 0;  // stable ids
  std::uint32_t host = 0;
  std::uint32_t total_weight = 0;
  std::uint32_t prefix_size = 0;  // bytes of the path that a prefix route matched on; 0 for "/" and other kinds
  std::span<const ClusterWeight> clusters;
  const RouteExtras* extras = nullptr;
  std::string_view name;
  spec::Timeouts timeouts;
  bool allow_upgrade = false;

  // The cluster for a random number, by weight. Only for routes with clusters.
  std::uint32_t choose(std::uint32_t random) const;
};

// What a route may look at. `host` with or without port, any case; `path` normalised and without query. Behind each
// view at least two more bytes may be read (Hyperscan).
struct RequestView {
  std::string_view host, path, query, method;
  const http::Head* head = nullptr;
};
RequestView view_of(const http::Head& head);

class Table;
struct TableParts;

// What one worker needs to look things up: Hyperscan's scratch and the bits of patterns that matched. Made by
// management for all tables of a generation before it is published, and kept as long as them.
class Scratch {
 public:
  Scratch();
  Scratch(Scratch&&) noexcept;
  Scratch& operator=(Scratch&&) noexcept;
  ~Scratch();
  // Grows to fit the table. False when memory ran out. Management thread, before workers use it.
  bool fit(const Table& table);
  std::size_t bytes() const;

 private:
  friend class Table;
  hs_scratch* hyperscan_ = nullptr;
  std::vector<std::uint64_t> matched_;  // bits of the patterns that matched, all fields of one host behind each other
  std::vector<std::uint8_t> scanned_;   // by field of the host
};
// One for each worker, fitting all these tables; fewer than asked when memory ran out.
std::vector<Scratch> make_scratches(std::span<const Table* const> tables, unsigned workers);

class Table {
 public:
  explicit Table(std::unique_ptr<const TableParts> parts);
  Table(Table&&) noexcept;
  Table& operator=(Table&&) noexcept;
  ~Table();

  // The route of a request, or nullptr: 404.
  const Route* find(const RequestView& request, Scratch& scratch) const;

  std::size_t route_count() const;
  std::size_t bytes() const;  // of memory, without the regular expressions' databases
  const TableParts& parts() const { return *parts_; }

 private:
  std::unique_ptr<const TableParts> parts_;
};

}  // namespace sluice::route
