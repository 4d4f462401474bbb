// bytes.h - raw memory is walked here and nowhere else.
// A Reader cannot overrun: past the end it yields zeros and remembers, so that one ok() at the end is enough. A Writer
// cannot overrun: past the end it writes nothing and remembers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "dataplane/base/check.h"
#include "dataplane/base/endian.h"

namespace sluice {

using ByteView = std::span<const std::uint8_t>;
using MutableBytes = std::span<std::uint8_t>;

inline std::string_view text(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
inline ByteView bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// The bytes at `at`, aligned or not, as a value of this machine's byte order. The caller has checked that they are
// there.
template <typename T>
T load(const void* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

class Reader {
 public:
  explicit Reader(ByteView in) : rest_(in) {}

  bool ok() const { return ok_; }
  std::size_t left() const { return rest_.size(); }
  bool done() const { return ok_ && rest_.empty(); }

  std::uint8_t u8() { return take(1) ? last_[0] : 0; }
  std::uint16_t u16() { return be<std::uint16_t>(); }
  std::uint32_t u24() { return take(3) ? last_[0] << 16 | last_[1] << 8 | last_[2] : 0; }
  std::uint32_t u32() { return be<std::uint32_t>(); }
  std::uint64_t u64() { return be<std::uint64_t>(); }
  // The next n bytes, or an empty view and a failed reader.
  ByteView view(std::size_t n) { return take(n) ? ByteView{last_, n} : ByteView{}; }
  bool skip(std::size_t n) { return take(n); }
  // A length prefix of one, two or three bytes, and a reader over what it covers.
  Reader prefixed_u8() { return nested(u8()); }
  Reader prefixed_u16() { return nested(u16()); }
  Reader prefixed_u24() { return nested(u24()); }
  ByteView rest() { return view(rest_.size()); }
  void fail() {
    ok_ = false;
    rest_ = {};
  }

 private:
  bool take(std::size_t n) {
    if (n > rest_.size()) [[unlikely]] {
      fail();
      return false;
    }
    last_ = rest_.data();
    rest_ = rest_.subspan(n);
    return true;
  }
  template <typename T>
  T be() {
    if (!take(sizeof(T))) return 0;
    return std::byteswap(load<T>(last_));
  }
  Reader nested(std::size_t n) {
    Reader inner{view(n)};
    inner.ok_ = ok_;
    return inner;
  }

  ByteView rest_;
  const std::uint8_t* last_ = nullptr;
  bool ok_ = true;
};

class Writer {
 public:
  explicit Writer(MutableBytes out) : out_(out) {}

  bool ok() const { return ok_; }
  std::size_t size() const { return used_; }
  ByteView written() const { return out_.first(used_); }

  void u8(std::uint8_t value) {
    if (room(1)) out_[used_++] = value;
  }
  void u16(std::uint16_t value) { be(value); }
  void u24(std::uint32_t value) {
    u8(value >> 16 & 0xff);
    u8(value >> 8 & 0xff);
    u8(value & 0xff);
  }
  void u32(std::uint32_t value) { be(value); }
  void u64(std::uint64_t value) { be(value); }
  void put(ByteView in) {
    if (in.empty() || !room(in.size())) return;
    std::memcpy(out_.data() + used_, in.data(), in.size());
    used_ += in.size();
  }
  void put(std::string_view in) { put(bytes(in)); }

 private:
  bool room(std::size_t n) {
    if (n > out_.size() - used_) [[unlikely]]
      ok_ = false;
    return ok_;
  }
  template <typename T>
  void be(T value) {
    if (!room(sizeof value)) return;
    value = std::byteswap(value);
    std::memcpy(out_.data() + used_, &value, sizeof value);
    used_ += sizeof value;
  }

  MutableBytes out_;
  std::size_t used_ = 0;
  bool ok_ = true;
};

}  // namespace sluice
