#include "l7/http/chars.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace sluice::http {
namespace {

template <typename Class>
void same_as_scalar() {
  for (int c = 0; c < 256; ++c)
    for (std::size_t size : {1u, 2u, 15u, 31u, 32u, 33u, 40u, 64u, 70u})
      for (std::size_t at : {std::size_t{0}, size / 2, size - 1}) {
        // Exactly as large as it says: a sanitizer sees any step beyond.
        const std::unique_ptr<char[]> exact{new char[size]};
        std::memset(exact.get(), 'a', size);
        exact[at] = static_cast<char>(c);
        const char* end = exact.get() + size;
        const char* expected = find_scalar<Class>(exact.get(), end);
        ASSERT_EQ(find<Class>(exact.get(), end, end), expected) << c << " at " << at << " of " << size;
        std::string wide(exact.get(), size);
        wide += std::string(64, '\r');  // what stands behind does not count
        ASSERT_EQ(find<Class>(wide.data(), wide.data() + size, wide.data() + wide.size()) - wide.data(),
                  expected - exact.get());
      }
}

TEST(Chars, ControlAsScalar) { same_as_scalar<Control>(); }
TEST(Chars, CarriageReturnAsScalar) { same_as_scalar<CarriageReturn>(); }
TEST(Chars, EndsTargetAsScalar) { same_as_scalar<EndsTarget>(); }
TEST(Chars, NotTokenAsScalar) { same_as_scalar<NotToken>(); }

// RFC 9110 5.6.2.
TEST(Chars, TokenCharacters) {
  const std::string_view separators = "\"(),/:;<=>?@[\\]{} \t";
  int tokens = 0;
  for (int c = 0; c < 256; ++c) {
    tokens += is_token(static_cast<char>(c));
    if (c < 0x21 || c > 0x7e) { EXPECT_FALSE(is_token(static_cast<char>(c))) << c; }
  }
  for (char c : separators) EXPECT_FALSE(is_token(c)) << c;
  EXPECT_EQ(tokens, 94 - 17);  // visible characters without the separators above that are visible
}

}  // namespace
}  // namespace sluice::http
