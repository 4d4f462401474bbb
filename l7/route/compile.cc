#include "l7/route/compile.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <unordered_map>

#include "l7/http/chars.h"
#include "l7/route/check.h"
#include "l7/route/parts.h"

namespace sluice::route {

namespace {

using Kind = spec::PathMatch::Kind;

// "/api/" is the prefix "/api"; "/" is the empty one.
std::string_view trimmed_prefix(std::string_view path) {
  while (path.ends_with('/')) path.remove_suffix(1);
  return path;
}

// Whether a goes before b within a host (table.h), their order in the policy aside.
bool precedes(const spec::Route& a, const spec::Route& b) {
  const auto place = [](Kind kind) { return kind == Kind::exact ? 0 : kind == Kind::regex ? 1 : 2; };
  if (a.path.kind != b.path.kind) return place(a.path.kind) < place(b.path.kind);
  if (a.path.kind == Kind::prefix) {
    const std::size_t left = trimmed_prefix(a.path.value).size(), right = trimmed_prefix(b.path.value).size();
    if (left != right) return left > right;
  }
  if (a.method.empty() != b.method.empty()) return b.method.empty();
  if (a.headers.size() != b.headers.size()) return a.headers.size() > b.headers.size();
  return a.queries.size() > b.queries.size();
}

// Routes of one host that are found at the same place, and where that place is.
struct Place {
  Kind kind;
  std::uint32_t index;  // in exact, pattern_variants or nodes
  auto operator<=>(const Place&) const = default;
};

// A set of expressions over one field, while it is collected.
struct FieldSet {
  std::uint32_t index;  // among the host's fields
  RegexField::Of of;
  std::string name;
  std::vector<std::string> patterns;
  std::unordered_map<std::string, std::uint32_t> bits;

  std::uint32_t bit(const std::string& pattern) {
    const auto [found, fresh] = bits.try_emplace(pattern, static_cast<std::uint32_t>(patterns.size()));
    if (fresh) patterns.push_back(pattern);
    return found->second;
  }
};

class Builder {
 public:
  Builder(const spec::Spec& spec, DatabaseCache::Impl& cache)
      : spec_(spec), cache_(cache), parts_(std::make_unique<TableParts>()) {
    std::size_t routes = 0, clusters = 0;
    for (const auto& host : spec.hosts)
      for (const auto& route : host.routes) ++routes, clusters += route.clusters.size();
    parts_->routes.reserve(routes);
    parts_->variants.reserve(routes);
    parts_->clusters.reserve(clusters);  // spans point into it
  }

  std::expected<Table, std::vector<Error>> run() {
    for (std::size_t i = 0; i < spec_.hosts.size(); ++i) add_host(spec_.hosts[i], i);
    if (!errors_.empty()) return std::unexpected(std::move(errors_));
    TableParts& p = *parts_;
    // A parent was made before its children.
    for (Node& node : p.nodes)
      if (node.parent != absent)
        node.up = p.nodes[node.parent].variants.count > 0 ? node.parent : p.nodes[node.parent].up;
    p.name_index.build(p.names);
    p.suffix_index.build(p.suffixes);
    p.exact_index.build(p.exact);
    p.node_index.build(p.nodes);
    return Table{std::move(parts_)};
  }

 private:
  void add_host(const spec::VirtualHost& from, std::size_t position) {
    TableParts& p = *parts_;
    const auto index = static_cast<std::uint32_t>(p.hosts.size());
    Host host{.id = from.id};
    for (const std::string& name : from.hosts) add_name(name, index);
    exact_ = {};  // clear() would keep the buckets of the largest host and walk them for each later one
    children_.clear();
    fields_.clear();
    placed_.clear();

    std::vector<std::uint32_t> order(from.routes.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](auto a, auto b) { return precedes(from.routes[a], from.routes[b]); });
    for (std::uint32_t rank = 0; rank < order.size(); ++rank) {
      const spec::Route& route = from.routes[order[rank]];
      const Place place = place_of(route, host, index);
      placed_.push_back({place, {rank, add_route(route, from.id), p.arena.keep(route.method), add_conditions(route)}});
    }
    add_fields(host, "hosts[" + std::to_string(position) + "]");
    add_variants(host);
    p.hosts.push_back(host);
  }

  void add_name(const std::string& text, std::uint32_t host) {
    std::string lower;
    for (char c : text) lower.push_back(http::lower(c));
    if (lower == "*") {
      parts_->any_host = host;
    } else if (lower.starts_with("*.")) {
      const std::string_view name = parts_->arena.keep(std::string_view{lower}.substr(2));
      parts_->suffixes.push_back({hash_text(name, 0), name, host});
    } else {
      const std::string_view name = parts_->arena.keep(lower);
      parts_->names.push_back({hash_text(name, 0), name, host});
    }
  }

  Place place_of(const spec::Route& route, Host& host, std::uint32_t host_index) {
    TableParts& p = *parts_;
    if (route.path.kind == Kind::regex) {
      FieldSet& set = field(RegexField::Of::path, "");
      host.path_field = set.index;
      return {Kind::regex, set.bit(route.path.value)};
    }
    if (route.path.kind == Kind::prefix) return {Kind::prefix, node_of(trimmed_prefix(route.path.value), host)};
    host.exact_paths = true;
    const auto [found, fresh] = exact_.try_emplace(route.path.value, static_cast<std::uint32_t>(p.exact.size()));
    if (fresh)
      p.exact.push_back({hash_text(route.path.value, host_index), host_index, p.arena.keep(route.path.value), {}});
    return {Kind::exact, found->second};
  }

  std::uint32_t node_of(std::string_view prefix, Host& host) {
    TableParts& p = *parts_;
    if (host.root == absent) {
      host.root = static_cast<std::uint32_t>(p.nodes.size());
      p.nodes.push_back({.hash = 0, .parent = absent, .segment = {}, .variants = {}});
    }
    std::uint32_t node = host.root;
    for (std::size_t at = 1; at <= prefix.size() && !prefix.empty();) {
      const std::string_view segment = segment_at(prefix, at);
      const auto [found, fresh] =
          children_.try_emplace({node, std::string{segment}}, static_cast<std::uint32_t>(p.nodes.size()));
      if (fresh)
        p.nodes.push_back(
            {.hash = hash_text(segment, node), .parent = node, .segment = p.arena.keep(segment), .variants = {}});
      node = found->second;
      at += segment.size() + 1;
    }
    return node;
  }

  FieldSet& field(RegexField::Of of, std::string name) {
    for (char& c : name)
      if (of == RegexField::Of::header) c = http::lower(c);
    const auto [found, fresh] = fields_.try_emplace({of, name}, FieldSet{});
    if (fresh) found->second = {static_cast<std::uint32_t>(fields_.size() - 1), of, name, {}, {}};
    return found->second;
  }

  Range add_conditions(const spec::Route& route) {
    TableParts& p = *parts_;
    const Range range{static_cast<std::uint32_t>(p.conditions.size()),
                      static_cast<std::uint32_t>(route.headers.size() + route.queries.size())};
    for (const auto& header : route.headers) add_condition(header.name, header.match, false);
    for (const auto& query : route.queries) add_condition(query.name, query.match, true);
    return range;
  }

  void add_condition(const std::string& name, const spec::ValueMatch& match, bool query) {
    Condition made{.name = parts_->arena.keep(name),
                   .value = parts_->arena.keep(match.value),
                   .kind = match.kind,
                   .invert = match.invert,
                   .query = query};
    if (!query) made.known = http::known_field(name);
    if (match.kind == spec::ValueMatch::Kind::regex) {
      FieldSet& set = field(query ? RegexField::Of::query : RegexField::Of::header, name);
      made.field = set.index;
      made.bit = set.bit(match.value);
    }
    parts_->conditions.push_back(made);
  }

  std::uint32_t add_route(const spec::Route& from, std::uint32_t host_id) {
    TableParts& p = *parts_;
    Route route{.id = from.id,
                .host = host_id,
                .name = p.arena.keep(from.name),
                .timeouts = from.timeouts,
                .allow_upgrade = from.allow_upgrade};
    const std::size_t first = p.clusters.size();
    for (const auto& each : from.clusters) {
      route.total_weight += each.weight;
      p.clusters.push_back({each.cluster, route.total_weight});
    }
    route.clusters = std::span{p.clusters}.subspan(first);
    if (from.path.kind == Kind::prefix)
      route.prefix_size = static_cast<std::uint32_t>(trimmed_prefix(from.path.value).size());
    route.extras = add_extras(from);
    p.routes.push_back(route);
    return static_cast<std::uint32_t>(p.routes.size() - 1);
  }

  const RouteExtras* add_extras(const spec::Route& from) {
    const spec::Rewrite& rewrite = from.rewrite;
    if (!from.redirect && !from.direct && rewrite.host.empty() && !rewrite.path && !rewrite.prefix &&
        from.request_fields.empty() && from.response_fields.empty())
      return nullptr;
    Arena& arena = parts_->arena;
    RouteExtras& extras = parts_->extras.emplace_back();
    if (from.redirect) {
      const spec::Redirect& to = *from.redirect;
      extras.has_redirect = true;
      extras.redirect = {.status = to.status,
                         .port = to.port,
                         .has_path = to.path.has_value(),
                         .has_prefix = to.prefix.has_value(),
                         .scheme = arena.keep(to.scheme),
                         .host = arena.keep(to.host),
                         .path = arena.keep(to.path.value_or("")),
                         .prefix = arena.keep(to.prefix.value_or(""))};
    }
    if (from.direct) {
      extras.has_direct = true;
      extras.direct_status = from.direct->status;
      extras.direct_body = arena.keep(from.direct->body);
      extras.direct_content_type = arena.keep(from.direct->content_type);
    }
    extras.rewrite_host = arena.keep(rewrite.host);
    extras.has_rewrite_path = rewrite.path.has_value();
    extras.has_rewrite_prefix = rewrite.prefix.has_value();
    extras.rewrite_path = arena.keep(rewrite.path.value_or(""));
    extras.rewrite_prefix = arena.keep(rewrite.prefix.value_or(""));
    extras.request_fields = add_edits(from.request_fields);
    extras.response_fields = add_edits(from.response_fields);
    return &extras;
  }

  std::span<const http::FieldEdit> add_edits(const std::vector<spec::FieldEdit>& from) {
    if (from.empty()) return {};
    auto& edits = parts_->edits.emplace_back();
    for (const auto& each : from)
      edits.push_back(http::field_edit(each.op, parts_->arena.keep(each.name), parts_->arena.keep(each.value)));
    return edits;
  }

  // Compiles the host's expressions and lays their bits out behind each other.
  void add_fields(Host& host, const std::string& path) {
    TableParts& p = *parts_;
    host.fields = {static_cast<std::uint32_t>(p.fields.size()), static_cast<std::uint32_t>(fields_.size())};
    p.fields.resize(p.fields.size() + fields_.size());
    std::uint32_t words = 0;
    for (auto& [key, set] : fields_) {
      RegexField& made = p.fields[host.fields.first + set.index];
      auto database = cache_.get(set.patterns);
      if (!database) {
        errors_.push_back({path, "the regular expressions over " + (set.name.empty() ? "the path" : set.name) + ": " +
                                     database.error()});
        continue;
      }
      made = {set.of, std::move(*database), words};
      words += made.database->words();
      if (set.of == RegexField::Of::path) {
        host.path_patterns = {static_cast<std::uint32_t>(p.pattern_variants.size()),
                              static_cast<std::uint32_t>(set.patterns.size())};
        p.pattern_variants.resize(p.pattern_variants.size() + set.patterns.size());
      }
    }
    p.most_words = std::max(p.most_words, words);
    p.most_fields = std::max(p.most_fields, host.fields.count);
  }

  // Writes the variants of each place behind each other; within a place they stay in the order of their rank.
  void add_variants(const Host& host) {
    TableParts& p = *parts_;
    std::stable_sort(placed_.begin(), placed_.end(),
                     [](const Placed& a, const Placed& b) { return a.place < b.place; });
    for (const auto& [place, variant] : placed_) {
      if (place.kind == Kind::regex && host.path_patterns.count == 0) continue;  // its set did not compile
      Range& range = place.kind == Kind::exact   ? p.exact[place.index].variants
                     : place.kind == Kind::regex ? p.pattern_variants[host.path_patterns.first + place.index]
                                                 : p.nodes[place.index].variants;
      if (range.count++ == 0) range.first = static_cast<std::uint32_t>(p.variants.size());
      p.variants.push_back(variant);
    }
  }

  struct Placed {
    Place place;
    Variant variant;
  };

  const spec::Spec& spec_;
  DatabaseCache::Impl& cache_;
  std::unique_ptr<TableParts> parts_;
  std::vector<Error> errors_;
  // Of the host that is being added.
  std::unordered_map<std::string, std::uint32_t> exact_;
  std::map<std::pair<std::uint32_t, std::string>, std::uint32_t> children_;
  std::map<std::pair<RegexField::Of, std::string>, FieldSet> fields_;
  std::vector<Placed> placed_;
};

}  // namespace

std::expected<Table, std::vector<Error>> compile(const spec::Spec& spec, DatabaseCache& cache,
                                                 const CompileLimits& limits) {
  if (auto errors = check(spec, limits); !errors.empty()) return std::unexpected(std::move(errors));
  auto table = Builder{spec, cache.impl()}.run();
  cache.impl().forget_dead();
  return table;
}

}  // namespace sluice::route
