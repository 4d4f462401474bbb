#include "l7/header_rules.h"

#include <cstring>
#include <memory>

namespace sluice {

bool HeaderRules::copy(std::span<const http::FieldEdit> edits, http::HeadBuffers& heads) {
  edits_ = {};
  block_.reset();
  if (edits.empty()) return true;
  std::size_t need = alignof(http::FieldEdit) + edits.size_bytes();
  for (const http::FieldEdit& edit : edits) need += edit.name.size() + edit.value.size();
  if (need > http::HeadBuffers::large_size) return false;
  block_ = heads.take(static_cast<std::uint32_t>(need));
  if (!block_) return false;

  void* at = block_.data();
  std::size_t room = block_.size();
  std::align(alignof(http::FieldEdit), edits.size_bytes(), at, room);
  auto* copies = static_cast<http::FieldEdit*>(at);
  char* texts = reinterpret_cast<char*>(copies + edits.size());
  const auto keep = [&texts](std::string_view text) {
    if (!text.empty()) std::memcpy(texts, text.data(), text.size());
    const std::string_view kept{texts, text.size()};
    texts += text.size();
    return kept;
  };
  for (std::size_t i = 0; i < edits.size(); ++i)
    new (&copies[i]) http::FieldEdit{edits[i].op, edits[i].known, keep(edits[i].name), keep(edits[i].value)};
  edits_ = {copies, edits.size()};
  return true;
}

}  // namespace sluice
