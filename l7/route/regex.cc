#include "l7/route/regex.h"

#include <hs.h>

#include <algorithm>
#include <cstdlib>

#include "dataplane/base/check.h"

namespace sluice::route {

namespace {

constexpr unsigned flags = HS_FLAG_SINGLEMATCH | HS_FLAG_ALLOWEMPTY;

// Roughly how many states an expression has when its bounded repeats are written out; what Hyperscan's compile time
// follows.
std::uint64_t estimate_states(std::string_view pattern) {
  constexpr std::uint64_t most = 1 << 30;
  struct Group {
    std::uint64_t sum = 0, last = 0;
  };
  std::vector<Group> open{{}};
  const auto atom = [&](std::uint64_t size) {
    open.back().last = size;
    open.back().sum = std::min(most, open.back().sum + size);
  };
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\') {
      ++i;
      atom(1);
    } else if (c == '[') {
      for (i += 2; i < pattern.size() && pattern[i] != ']'; ++i)
        if (pattern[i] == '\\') ++i;
      atom(1);
    } else if (c == '(') {
      open.emplace_back();
    } else if (c == ')' && open.size() > 1) {
      const std::uint64_t size = open.back().sum;
      open.pop_back();
      atom(size);
    } else if (c == '{') {
      std::uint64_t times = 0, number = 0;
      for (++i; i < pattern.size() && pattern[i] != '}'; ++i) {
        number = pattern[i] >= '0' && pattern[i] <= '9'
                     ? std::min(most, number * 10 + static_cast<unsigned>(pattern[i] - '0'))
                     : 0;
        times = std::max(times, number);
      }
      Group& group = open.back();
      const std::uint64_t repeated = std::min(most, group.last * std::max<std::uint64_t>(times, 1));
      group.sum = std::min(most, group.sum - std::min(group.sum, group.last) + repeated);
      group.last = repeated;
    } else if (c != '*' && c != '+' && c != '?' && c != '|') {
      atom(1);
    }
  }
  std::uint64_t sum = 0;
  for (const Group& group : open) sum += group.sum;
  return sum;
}

std::string take_message(hs_compile_error_t* error) {
  std::string text = error && error->message ? error->message : "cannot be compiled";
  hs_free_compile_error(error);
  return text;
}

}  // namespace

Database::~Database() { hs_free_database(database_); }

void Database::scan(std::string_view text, std::span<std::uint64_t> bits, hs_scratch* scratch) const {
  if (text.empty()) {
    std::copy(empty_matches_.begin(), empty_matches_.end(), bits.begin());
    return;
  }
  std::fill(bits.begin(), bits.end(), 0);
  const auto on_match = [](unsigned id, unsigned long long, unsigned long long, unsigned, void* context) {
    static_cast<std::uint64_t*>(context)[id / 64] |= std::uint64_t{1} << (id % 64);
    return 0;
  };
  CHECK(hs_scan(database_, text.data(), static_cast<unsigned>(text.size()), 0, scratch, on_match, bits.data()) ==
        HS_SUCCESS);
}

std::string DatabaseCache::Impl::fault_of(const std::string& pattern, const CompileLimits& limits) {
  if (pattern.empty()) return "is empty";
  if (pattern.size() > limits.pattern_bytes)
    return "is " + std::to_string(pattern.size()) + " bytes long, the limit is " + std::to_string(limits.pattern_bytes);
  if (pattern.find('\0') != std::string::npos) return "contains a zero byte";
  if (pattern.starts_with("(*")) return "starts with a control verb at index 0, which is not supported";
  if (const std::uint64_t states = estimate_states(pattern); states > limits.pattern_states)
    return "has about " + std::to_string(states) + " states with its repeats written out, the limit is " +
           std::to_string(limits.pattern_states);
  hs_expr_info_t* info = nullptr;
  hs_compile_error_t* error = nullptr;
  // By itself first, so that no parenthesis reaches out of its group, and positions are the operator's.
  if (hs_expression_info(pattern.c_str(), flags, &info, &error) != HS_SUCCESS) return take_message(error);
  std::free(info);
  return {};
}

std::expected<std::shared_ptr<const Database>, std::string> DatabaseCache::Impl::get(
    const std::vector<std::string>& patterns) {
  std::string key;
  for (const std::string& pattern : patterns) key.append(pattern).push_back('\0');
  if (auto found = by_patterns.find(key); found != by_patterns.end())
    if (auto database = found->second.lock()) return database;

  std::vector<std::string> whole;
  std::vector<std::uint64_t> empty((patterns.size() + 63) / 64);
  std::vector<unsigned> ids, all_flags(patterns.size(), flags);
  for (unsigned i = 0; i < patterns.size(); ++i) {
    whole.push_back("\\A(?:" + patterns[i] + ")\\z");
    ids.push_back(i);
    hs_expr_info_t* info = nullptr;
    hs_compile_error_t* error = nullptr;
    if (hs_expression_info(whole[i].c_str(), flags, &info, &error) != HS_SUCCESS)
      return std::unexpected(take_message(error) + " (in \"" + patterns[i] + "\")");
    if (info->min_width == 0) empty[i / 64] |= std::uint64_t{1} << (i % 64);
    std::free(info);
  }
  std::vector<const char*> texts;
  for (const std::string& text : whole) texts.push_back(text.c_str());
  hs_database_t* database = nullptr;
  hs_compile_error_t* error = nullptr;
  if (hs_compile_multi(texts.data(), all_flags.data(), ids.data(), static_cast<unsigned>(texts.size()), HS_MODE_BLOCK,
                       nullptr, &database, &error) != HS_SUCCESS) {
    const int which = error ? error->expression : -1;
    std::string text = take_message(error);
    if (which >= 0) text += " (in \"" + patterns[static_cast<std::size_t>(which)] + "\")";
    return std::unexpected(text);
  }
  ++compiled;
  auto made = std::make_shared<const Database>(database, std::move(empty));
  by_patterns[key] = made;
  return made;
}

void DatabaseCache::Impl::forget_dead() {
  std::erase_if(by_patterns, [](const auto& each) { return each.second.expired(); });
}

DatabaseCache::DatabaseCache() : impl_(std::make_unique<Impl>()) {}
DatabaseCache::~DatabaseCache() = default;
std::size_t DatabaseCache::compiled() const { return impl_->compiled; }
std::size_t DatabaseCache::size() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(impl_->by_patterns, [](const auto& each) { return !each.second.expired(); }));
}

}  // namespace sluice::route
