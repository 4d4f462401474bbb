#include "l7/http/message.h"

#include <array>

#include "l7/http/codec.h"

namespace sluice::http {

namespace {

constexpr std::array<std::string_view, 10> methods{"",       "GET",     "HEAD",    "POST",  "PUT",
                                                   "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};
constexpr std::array<const char*, static_cast<std::size_t>(Fault::count_)> faults{
    "none",      "malformed",     "bad_version",    "bad_target",         "bad_host",  "bad_length", "bad_coding",
    "bad_chunk", "line_too_long", "head_too_large", "trailers_too_large", "truncated", "no_memory"};

}  // namespace

Method method_of(std::string_view text) {
  for (std::size_t i = 1; i < methods.size(); ++i)
    if (methods[i] == text) return static_cast<Method>(i);
  return Method::other;
}

std::string_view method_text(Method method) { return methods[static_cast<std::size_t>(method)]; }

const char* fault_text(Fault fault) { return faults[static_cast<std::size_t>(fault)]; }

void Head::own(Chain segment, std::uint32_t size) {
  segment_ = std::move(segment);
  size_ = size;
}

void Head::own(HeadBuffer block, std::uint32_t size) {
  block_ = std::move(block);
  size_ = size;
}

void Head::reset() {
  clear(nullptr);
  method = Method::other;
  form = TargetForm::origin;
  method_name = target = scheme = authority = path = query = reason = {};
  has_query = false;
  status = 0;
  version = Version::http11;
  framing = Framing::none;
  content_length = 0;
  has_content_length = keep_alive = expect_continue = upgrade = te_trailers = false;
  segment_.clear();
  block_.reset();
  path_block_.reset();
  size_ = 0;
}

}  // namespace sluice::http
