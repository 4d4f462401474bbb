// field.h - names of header fields that somebody here looks at, one field, and a bounded list of fields.
// RFC 9110 section 5. A field is four 16-bit offsets into one contiguous buffer of at most 64 KiB (the head buffer), so
// that a list of a hundred is a kilobyte. Known names are found by a perfect hash computed at compile time. Worker's
// thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "l7/http/known.list.h"

namespace sluice::http {

enum class Known : std::uint8_t {
  other,
#define X(name, text) name,
  SLUICE_KNOWN_FIELDS(X)
#undef X
      count_
};
inline constexpr std::size_t known_count = static_cast<std::size_t>(Known::count_);
static_assert(known_count <= 64, "KnownSet is one word");

// A set of known names; `other` is never in it.
class KnownSet {
 public:
  constexpr KnownSet() = default;
  constexpr KnownSet(std::initializer_list<Known> names) {
    for (Known name : names) add(name);
  }
  constexpr void add(Known name) { bits_ |= bit(name); }
  constexpr bool has(Known name) const { return bits_ & bit(name); }
  constexpr KnownSet operator|(KnownSet o) const {
    o.bits_ |= bits_;
    return o;
  }

 private:
  static constexpr std::uint64_t bit(Known name) {
    return name == Known::other ? 0 : std::uint64_t{1} << static_cast<unsigned>(name);
  }
  std::uint64_t bits_ = 0;
};

// Which known name this is, whatever its case.
Known known_field(std::string_view name);
// The name in lower case; empty for `other`.
std::string_view known_text(Known name);
// Equality of two names, whatever their case (ASCII).
bool same_name(std::string_view a, std::string_view b);
// Whether a comma-separated list has this element, whatever its case (RFC 9110 5.6.1).
bool list_has(std::string_view list, std::string_view element);

struct Field {
  std::uint16_t name_at, name_size, value_at, value_size;
  Known known;
};

// A name and a value that stand somewhere else.
struct NameValue {
  std::string_view name, value;
};

// Fields over one buffer at `base`, in the order in which they came.
template <unsigned capacity_>
class FieldArray {
 public:
  static constexpr unsigned capacity = capacity_;

  std::span<const Field> fields() const { return {fields_.data(), count_}; }
  unsigned count() const { return count_; }
  std::string_view name(const Field& field) const { return {base_ + field.name_at, field.name_size}; }
  std::string_view value(const Field& field) const { return {base_ + field.value_at, field.value_size}; }
  // The first field of this name, or nullptr.
  const Field* find(Known known) const {
    if (!present_.has(known)) return nullptr;
    for (const Field& field : fields())
      if (field.known == known) return &field;
    return nullptr;
  }
  const Field* find(std::string_view wanted) const {
    if (const Known known = known_field(wanted); known != Known::other) return find(known);
    for (const Field& field : fields())
      if (field.known == Known::other && same_name(name(field), wanted)) return &field;
    return nullptr;
  }
  // Its value, or an empty view.
  std::string_view value(Known known) const {
    const Field* field = find(known);
    return field ? value(*field) : std::string_view{};
  }
  KnownSet present() const { return present_; }

  void clear(const char* base) {
    base_ = base;
    count_ = 0;
    present_ = {};
  }
  // False when the array is full.
  bool push(Field field) {
    if (count_ == capacity) return false;
    present_.add(field.known);
    fields_[count_++] = field;
    return true;
  }

 private:
  const char* base_ = nullptr;
  KnownSet present_;
  std::uint32_t count_ = 0;
  std::array<Field, capacity_> fields_;
};

}  // namespace sluice::http
