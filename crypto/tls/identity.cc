#include "crypto/tls/identity.h"

#include <algorithm>

namespace sluice::tls {

std::optional<HostName> normal_name(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty() || name.size() > 253) return std::nullopt;
  HostName normal;
  std::size_t label = 0;
  for (const char c : name) {
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    const bool part = (lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9') || lower == '-' || lower == '_';
    if (lower == '.' ? label == 0 : !part || label == 63) return std::nullopt;
    label = lower == '.' ? 0 : label + 1;
    normal.text[normal.size++] = lower;
  }
  return normal;
}

bool NameTable::add(std::string_view pattern, std::uint32_t identity) {
  const bool wild = pattern.starts_with("*.");
  const auto name = normal_name(wild ? pattern.substr(2) : pattern);
  if (!name) return false;
  auto& entries = wild ? wildcard_ : exact_;
  for (const Entry& entry : entries)
    if (entry.name == name->view()) return false;
  entries.push_back({std::string{name->view()}, identity});
  return true;
}

void NameTable::finish() {
  std::ranges::sort(exact_, {}, &Entry::name);
  std::ranges::sort(wildcard_, {}, &Entry::name);
}

const NameTable::Entry* NameTable::look_up(const std::vector<Entry>& entries, std::string_view name) {
  const auto found =
      std::ranges::lower_bound(entries, name, {}, [](const Entry& e) { return std::string_view{e.name}; });
  return found != entries.end() && found->name == name ? &*found : nullptr;
}

std::optional<std::uint32_t> NameTable::find(const HostName& name) const {
  if (const Entry* entry = look_up(exact_, name.view())) return entry->identity;
  const std::size_t dot = name.view().find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  if (const Entry* entry = look_up(wildcard_, name.view().substr(dot + 1))) return entry->identity;
  return std::nullopt;
}

}  // namespace sluice::tls
