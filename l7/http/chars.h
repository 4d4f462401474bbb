// chars.h - character classes of HTTP and searches for the first byte of a class, 32 bytes at a time.
// RFC 9110 5.6.2 (token), 5.5 (field-value), RFC 9112 2.2. `limit` is how far memory may be read: at least `end`; with
// 32 bytes more the last bytes are searched at full speed as well. Bytes behind `end` never change a result. The scalar
// forms are the definition; the AVX2 forms are tested against them.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace sluice::http {

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_alpha(char c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; }
constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }
// -1 for what is no hexadecimal digit.
constexpr int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  const char l = static_cast<char>(c | 0x20);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}
constexpr bool is_token(char c) {
  constexpr char marks[] = "!#$%&'*+-.^_`|~";
  if (is_digit(c) || is_alpha(c)) return true;
  for (char m : marks)
    if (m && c == m) return true;
  return false;
}
// What may stand nowhere in a head but for CR and LF at a line's end.
constexpr bool is_control(char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; }
// What may not stand in a request target: controls, space, non-ASCII, and the fragment's mark.
constexpr bool ends_target(char c) {
  return static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f || c == '#';
}

inline constexpr auto token_table = [] {
  std::array<bool, 256> table{};
  for (unsigned c = 0; c < 256; ++c) table[c] = is_token(static_cast<char>(c));
  return table;
}();

// Classes: `matches` decides one byte, `mask` 32 of them.
struct Control {
  static bool matches(char c) { return is_control(c); }
#if defined(__AVX2__)
  static std::uint32_t mask(__m256i b) {
    const __m256i low = _mm256_cmpeq_epi8(_mm256_min_epu8(b, _mm256_set1_epi8(0x1f)), b);
    const __m256i tab = _mm256_cmpeq_epi8(b, _mm256_set1_epi8('\t'));
    const __m256i del = _mm256_cmpeq_epi8(b, _mm256_set1_epi8(0x7f));
    return static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_or_si256(_mm256_andnot_si256(tab, low), del)));
  }
#endif
};
struct CarriageReturn {
  static bool matches(char c) { return c == '\r'; }
#if defined(__AVX2__)
  static std::uint32_t mask(__m256i b) {
    return static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(b, _mm256_set1_epi8('\r'))));
  }
#endif
};
struct EndsTarget {
  static bool matches(char c) { return ends_target(c); }
#if defined(__AVX2__)
  static std::uint32_t mask(__m256i b) {
    // As signed bytes 0x80..0xff are below 0x21 too.
    const __m256i low = _mm256_cmpgt_epi8(_mm256_set1_epi8(0x21), b);
    const __m256i del = _mm256_cmpeq_epi8(b, _mm256_set1_epi8(0x7f));
    const __m256i fragment = _mm256_cmpeq_epi8(b, _mm256_set1_epi8('#'));
    return static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_or_si256(_mm256_or_si256(low, del), fragment)));
  }
#endif
};
struct NotToken {
  static bool matches(char c) { return !token_table[static_cast<unsigned char>(c)]; }
#if defined(__AVX2__)
  // By low nibble: the set of high nibbles (below 8) with which it is a token character.
  static constexpr auto by_low_nibble = [] {
    std::array<std::uint8_t, 32> table{};
    for (unsigned c = 0; c < 128; ++c)
      if (is_token(static_cast<char>(c))) {
        table[c & 15] = static_cast<std::uint8_t>(table[c & 15] | 1u << (c >> 4));
        table[16 + (c & 15)] = table[c & 15];
      }
    return table;
  }();
  static std::uint32_t mask(__m256i b) {
    const __m256i low_table = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(by_low_nibble.data()));
    const __m256i high_bit = _mm256_setr_epi8(1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0,  //
                                              1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m256i nibble = _mm256_set1_epi8(0x0f);
    const __m256i sets = _mm256_shuffle_epi8(low_table, _mm256_and_si256(b, nibble));
    const __m256i bit = _mm256_shuffle_epi8(high_bit, _mm256_and_si256(_mm256_srli_epi16(b, 4), nibble));
    const __m256i none = _mm256_cmpeq_epi8(_mm256_and_si256(sets, bit), _mm256_setzero_si256());
    return static_cast<std::uint32_t>(_mm256_movemask_epi8(none));
  }
#endif
};

template <typename Class>
const char* find_scalar(const char* p, const char* end) {
  while (p < end && !Class::matches(*p)) ++p;
  return p;
}

// The bits of up to 32 bytes at p that are in the class; bits at and behind `end` are 0.
template <typename Class>
inline std::uint32_t class_mask(const char* p, const char* end, const char* limit) {
#if defined(__AVX2__)
  const auto size = static_cast<std::size_t>(end - p);
  std::uint32_t bits;
  if (limit - p >= 32) [[likely]] {
    bits = Class::mask(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  } else {
    alignas(32) char block[32] = {};
    std::memcpy(block, p, size < 32 ? size : 32);
    bits = Class::mask(_mm256_load_si256(reinterpret_cast<const __m256i*>(block)));
  }
  return size < 32 ? bits & ((std::uint32_t{1} << size) - 1) : bits;
#else
  std::uint32_t bits = 0;
  for (int i = 0; i < 32 && p + i < end; ++i) bits |= std::uint32_t{Class::matches(p[i])} << i;
  return bits;
#endif
}

// The first byte of the class in [p, end), or end.
template <typename Class>
inline const char* find(const char* p, const char* end, const char* limit) {
  for (; p < end; p += 32)
    if (const std::uint32_t bits = class_mask<Class>(p, end, limit)) return p + std::countr_zero(bits);
  return end;
}

}  // namespace sluice::http
