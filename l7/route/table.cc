#include "l7/route/table.h"

#include <hs.h>

#include <algorithm>

#include "l7/http/chars.h"
#include "l7/http/uri.h"
#include "l7/route/parts.h"

namespace sluice::route {

namespace {

constexpr std::size_t longest_host = 255;  // RFC 1035 2.3.4; nothing longer is in a table

// The host of "host:port", brackets kept.
std::string_view without_port(std::string_view host) {
  const std::size_t colon = host.rfind(':');
  if (colon == std::string_view::npos || host.find(']', colon) != std::string_view::npos) return host;
  return host.substr(0, colon);
}

// One search for a route: the request, and what was found out about it so far.
class Search {
 public:
  Search(const TableParts& parts, const Host& host, const RequestView& request, hs_scratch* hyperscan,
         std::span<std::uint64_t> matched, std::span<std::uint8_t> scanned)
      : parts_(parts), host_(host), request_(request), hyperscan_(hyperscan), matched_(matched), scanned_(scanned) {
    std::fill_n(scanned_.begin(), host.fields.count, std::uint8_t{0});
  }

  const Variant* exact() {
    if (!host_.exact_paths) return nullptr;
    const std::uint32_t host = static_cast<std::uint32_t>(&host_ - parts_.hosts.data());
    const ExactPath* found =
        parts_.exact_index.find(parts_.exact, hash_text(request_.path, host),
                                [&](const ExactPath& path) { return path.host == host && path.path == request_.path; });
    return found ? first_fitting(found->variants) : nullptr;
  }

  const Variant* regex() {
    if (host_.path_field == absent) return nullptr;
    const std::span<const std::uint64_t> bits = scan(host_.path_field, request_.path);
    const Variant* best = nullptr;
    for (std::uint32_t word = 0; word < bits.size(); ++word)
      for (std::uint64_t left = bits[word]; left; left &= left - 1) {
        const std::uint32_t pattern = word * 64 + static_cast<std::uint32_t>(std::countr_zero(left));
        const Variant* found = first_fitting(parts_.pattern_variants[host_.path_patterns.first + pattern]);
        if (found && (!best || found->rank < best->rank)) best = found;
      }
    return best;
  }

  const Variant* prefix() {
    if (host_.root == absent) return nullptr;
    const std::string_view path = request_.path;
    std::uint32_t at_node = host_.root;
    if (path.starts_with('/')) {
      for (std::size_t at = 1; at < path.size();) {
        const std::string_view segment = segment_at(path, at);
        const Node* child = parts_.node_index.find(parts_.nodes, hash_text(segment, at_node), [&](const Node& node) {
          return node.parent == at_node && node.segment == segment;
        });
        if (!child) break;
        at_node = static_cast<std::uint32_t>(child - parts_.nodes.data());
        at += segment.size() + 1;
      }
    }
    for (; at_node != absent; at_node = parts_.nodes[at_node].up)
      if (const Variant* found = first_fitting(parts_.nodes[at_node].variants)) return found;
    return nullptr;
  }

 private:
  const Variant* first_fitting(Range range) {
    for (const Variant& variant : std::span{parts_.variants}.subspan(range.first, range.count))
      if (fits(variant)) return &variant;
    return nullptr;
  }

  bool fits(const Variant& variant) {
    if (!variant.method.empty() && variant.method != request_.method) return false;
    for (const Condition& condition :
         std::span{parts_.conditions}.subspan(variant.conditions.first, variant.conditions.count))
      if (holds(condition) == condition.invert) return false;
    return true;
  }

  bool holds(const Condition& condition) {
    using Kind = spec::ValueMatch::Kind;
    std::string_view value;
    bool there;
    if (condition.query) {
      const auto found = http::query_value(request_.query, condition.name);
      there = found.has_value();
      if (there) value = *found;
    } else {
      const http::Field* field = !request_.head                          ? nullptr
                                 : condition.known != http::Known::other ? request_.head->find(condition.known)
                                                                         : request_.head->find(condition.name);
      there = field != nullptr;
      if (there) value = request_.head->value(*field);
    }
    if (condition.kind == Kind::absent) return !there;
    if (!there) return false;
    switch (condition.kind) {
      case Kind::exact: return value == condition.value;
      case Kind::prefix: return value.starts_with(condition.value);
      case Kind::suffix: return value.ends_with(condition.value);
      case Kind::contains: return value.find(condition.value) != std::string_view::npos;
      case Kind::regex: return scan(condition.field, value)[condition.bit / 64] >> (condition.bit % 64) & 1;
      default: return true;
    }
  }

  // The bits of a field's expressions over its value; scanned once.
  std::span<const std::uint64_t> scan(std::uint32_t index, std::string_view value) {
    const RegexField& field = parts_.fields[host_.fields.first + index];
    const std::span<std::uint64_t> bits = matched_.subspan(field.first_word, field.database->words());
    if (!std::exchange(scanned_[index], std::uint8_t{1})) field.database->scan(value, bits, hyperscan_);
    return bits;
  }

  const TableParts& parts_;
  const Host& host_;
  const RequestView& request_;
  hs_scratch* hyperscan_;
  std::span<std::uint64_t> matched_;
  std::span<std::uint8_t> scanned_;
};

const Host* host_of(const TableParts& parts, std::string_view authority) {
  const auto at = [&](std::uint32_t index) { return index == absent ? nullptr : &parts.hosts[index]; };
  const std::string_view given = without_port(authority);
  if (given.size() > longest_host || given.empty()) return at(parts.any_host);
  char buffer[longest_host];
  std::transform(given.begin(), given.end(), buffer, http::lower);
  std::string_view host{buffer, given.size()};
  if (host.ends_with('.') && host.size() > 1) host.remove_suffix(1);
  const auto named = [&](std::string_view name) { return [name](const HostName& each) { return each.name == name; }; };
  if (const HostName* found = parts.name_index.find(parts.names, hash_text(host, 0), named(host)))
    return at(found->host);
  if (!parts.suffixes.empty())
    for (std::size_t dot = host.find('.'); dot != std::string_view::npos; dot = host.find('.', dot + 1)) {
      if (dot == 0) continue;  // an empty label is none
      const std::string_view suffix = host.substr(dot + 1);
      if (const HostName* found = parts.suffix_index.find(parts.suffixes, hash_text(suffix, 0), named(suffix)))
        return at(found->host);
    }
  return at(parts.any_host);
}

}  // namespace

std::uint32_t Route::choose(std::uint32_t random) const {
  const auto point = static_cast<std::uint32_t>(std::uint64_t{random} * total_weight >> 32);
  for (const ClusterWeight& each : clusters)
    if (point < each.upto) return each.cluster;
  return clusters.back().cluster;
}

RequestView view_of(const http::Head& head) { return {head.authority, head.path, head.query, head.method_name, &head}; }

Table::Table(std::unique_ptr<const TableParts> parts) : parts_(std::move(parts)) {}
Table::Table(Table&&) noexcept = default;
Table& Table::operator=(Table&&) noexcept = default;
Table::~Table() = default;

const Route* Table::find(const RequestView& request, Scratch& scratch) const {
  const Host* host = host_of(*parts_, request.host);
  if (!host) return nullptr;
  DCHECK(scratch.matched_.size() >= parts_->most_words && scratch.scanned_.size() >= parts_->most_fields);
  Search search{*parts_, *host, request, scratch.hyperscan_, scratch.matched_, scratch.scanned_};
  const Variant* found = search.exact();
  if (!found) found = search.regex();
  if (!found) found = search.prefix();
  return found ? &parts_->routes[found->route] : nullptr;
}

std::size_t Table::route_count() const { return parts_->routes.size(); }

std::size_t Table::bytes() const {
  const TableParts& p = *parts_;
  const auto of = [](const auto& list) { return list.capacity() * sizeof(list[0]); };
  std::size_t edits = 0;
  for (const auto& list : p.edits) edits += of(list);
  return p.arena.bytes() + of(p.routes) + of(p.clusters) + p.extras.size() * sizeof(RouteExtras) + edits + of(p.hosts) +
         of(p.names) + of(p.suffixes) + of(p.variants) + of(p.conditions) + of(p.exact) + of(p.nodes) + of(p.fields) +
         of(p.pattern_variants) + p.name_index.bytes() + p.suffix_index.bytes() + p.exact_index.bytes() +
         p.node_index.bytes();
}

Scratch::Scratch() = default;
Scratch::Scratch(Scratch&& o) noexcept
    : hyperscan_(std::exchange(o.hyperscan_, nullptr)),
      matched_(std::move(o.matched_)),
      scanned_(std::move(o.scanned_)) {}
Scratch& Scratch::operator=(Scratch&& o) noexcept {
  std::swap(hyperscan_, o.hyperscan_);
  matched_ = std::move(o.matched_);
  scanned_ = std::move(o.scanned_);
  return *this;
}
Scratch::~Scratch() { hs_free_scratch(hyperscan_); }

bool Scratch::fit(const Table& table) {
  const TableParts& parts = table.parts();
  matched_.resize(std::max<std::size_t>(matched_.size(), parts.most_words));
  scanned_.resize(std::max<std::size_t>(scanned_.size(), parts.most_fields));
  for (const RegexField& field : parts.fields)
    if (hs_alloc_scratch(field.database->get(), &hyperscan_) != HS_SUCCESS) return false;
  return true;
}

std::size_t Scratch::bytes() const {
  std::size_t size = 0;
  if (hyperscan_) hs_scratch_size(hyperscan_, &size);
  return size + matched_.capacity() * sizeof(std::uint64_t) + scanned_.capacity();
}

std::vector<Scratch> make_scratches(std::span<const Table* const> tables, unsigned workers) {
  std::vector<Scratch> scratches(workers);
  for (std::size_t i = 0; i < scratches.size(); ++i)
    for (const Table* table : tables)
      if (!scratches[i].fit(*table)) {
        scratches.resize(i);
        break;
      }
  return scratches;
}

}  // namespace sluice::route
