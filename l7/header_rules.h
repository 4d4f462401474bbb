// header_rules.h - the header edits of a route, copied out of the policy, because they are needed when that policy may
// be gone already. Most routes have none, and then nothing is copied.
#pragma once

#include <span>

#include "l7/http/h1_encoder.h"
#include "l7/http/head_buffers.h"

namespace sluice {

class HeaderRules {
 public:
  // False when no head buffer was free or the rules do not fit one; then there are no rules here.
  bool copy(std::span<const http::FieldEdit> edits, http::HeadBuffers& heads);
  std::span<const http::FieldEdit> edits() const { return edits_; }

 private:
  http::HeadBuffer block_;
  std::span<const http::FieldEdit> edits_;
};

}  // namespace sluice
