// covers: l7/http/uri.cc
// Any path normalises to a path that stays as it is, or is refused; targets and authorities never lead outside their
// bytes.
#include <memory>

#include "l7/http/uri.h"

using namespace sluice;
using namespace sluice::http;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || size > 16'384) return 0;
  const PathPolicy policy{(data[0] & 1) != 0, (data[0] & 2) != 0, static_cast<EncodedSlash>(data[0] / 4 % 3)};
  const Method method = static_cast<Method>(data[1] % 10);
  // Exactly as large as the input, so that the sanitizer sees a step outside.
  const std::size_t n = size - 2;
  const std::unique_ptr<char[]> exact{new char[n + 1]}, first{new char[n + 1]}, second{new char[n + 1]};
  std::memcpy(exact.get(), data + 2, n);
  const std::string_view text{exact.get(), n};
  if (const auto target = split_target(text, method)) {
    if (target->form == TargetForm::absolute) CHECK(split_authority(target->authority));
    (void)query_value(target->query, "a");
  }
  const auto once = normalise_path(text, policy, {first.get(), n});
  if (!once) return 0;
  CHECK(once->size() <= n);
  if (path_is_normal(text, policy)) CHECK(*once == text);
  if (policy.normalise && policy.merge_slashes && policy.encoded_slash == EncodedSlash::keep &&
      once->starts_with('/')) {
    const auto twice = normalise_path(*once, policy, {second.get(), n});
    CHECK(twice && *twice == *once);
    CHECK(once->find("//") == std::string_view::npos && once->find("/../") == std::string_view::npos &&
          !once->ends_with("/.."));
  }
  return 0;
}
