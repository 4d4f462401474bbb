// chain_writer.h - text of ours written into fresh packet buffers, one after the other, and appended to a Chain as a
// whole or not at all. For heads, whose size is not known beforehand. Lives inside one call.
#pragma once

#include <charconv>
#include <cstring>
#include <string_view>

#include "dataplane/packet/chain.h"

namespace sluice::http {

class ChainWriter {
 public:
  explicit ChainWriter(Buffers& buffers) : buffers_(buffers) {}

  void put(std::string_view text) {
    if (text.size() <= room()) [[likely]]
      write(text.data(), text.size());
    else put_across(text);
  }
  // Literals, whose sizes the compiler knows: a few stores.
  template <std::size_t n>
  [[gnu::always_inline]] void put(const char (&text)[n]) {
    if (n - 1 <= room()) [[likely]]
      write(text, n - 1);
    else put_across({text, n - 1});
  }
  void line(std::string_view name, std::string_view value) {
    if (name.size() + value.size() + 4 <= room()) [[likely]] {
      write(name.data(), name.size());
      write(": ", 2);
      write(value.data(), value.size());
      write("\r\n", 2);
      return;
    }
    put(name);
    put(": ");
    put(value);
    put("\r\n");
  }
  void number(std::uint64_t value, int base = 10) {
    char digits[20];
    put({digits, static_cast<std::size_t>(std::to_chars(digits, digits + sizeof digits, value, base).ptr - digits)});
  }
  // Appends what was written. False, and nothing appended, when buffers ran out.
  bool finish(Chain& out) {
    seal();
    if (failed_) return false;
    out.append(std::move(done_));
    return true;
  }

 private:
  std::size_t room() const { return static_cast<std::size_t>(end_ - p_); }
  [[gnu::always_inline]] void write(const char* from, std::size_t n) {
    if (n) std::memcpy(p_, from, n);
    p_ += n;
  }
  void put_across(std::string_view text) {
    while (!text.empty() && !failed_) {
      const std::size_t n = std::min<std::size_t>(text.size(), static_cast<std::size_t>(end_ - p_));
      if (n > 0) std::memcpy(p_, text.data(), n);
      p_ += n;
      text.remove_prefix(n);
      if (!text.empty()) next_buffer();
    }
  }
  void next_buffer() {
    seal();
    current_ = buffers_.make();
    if (!current_) {
      failed_ = true;
      return;
    }
    p_ = reinterpret_cast<char*>(current_.data());
    end_ = p_ + buffer_data_size;
  }
  void seal() {
    if (!current_) return;
    const auto size = static_cast<std::uint16_t>(p_ - reinterpret_cast<char*>(current_.data()));
    current_.get()->data_len = size;
    current_.get()->pkt_len = size;
    done_.append(std::move(current_));
    p_ = end_ = nullptr;
  }

  Buffers& buffers_;
  Chain done_;
  Packet current_;
  char* p_ = nullptr;
  char* end_ = nullptr;
  bool failed_ = false;
};

}  // namespace sluice::http

// Tested in tests/unit/l7/http/h1_encoder_test.cc.
