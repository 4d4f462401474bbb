// head_buffers.h - contiguous memory for heads that came in several segments, and for rewritten paths.
// Two sizes of block in fixed memory per worker; behind each block's usable bytes stand 64 more that may be read (SIMD,
// Hyperscan), never written by peers. Exhausted is an outcome: take() gives an empty HeadBuffer. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "dataplane/base/bytes.h"

namespace sluice::http {

class HeadBuffers;

// Owner of one block; gives it back when it dies.
class HeadBuffer {
 public:
  HeadBuffer() = default;
  HeadBuffer(HeadBuffer&& o) noexcept
      : pool_(std::exchange(o.pool_, nullptr)),
        data_(std::exchange(o.data_, nullptr)),
        size_(std::exchange(o.size_, 0)) {}
  HeadBuffer& operator=(HeadBuffer&& o) noexcept {
    if (this != &o) {
      reset();
      pool_ = std::exchange(o.pool_, nullptr);
      data_ = std::exchange(o.data_, nullptr);
      size_ = std::exchange(o.size_, 0);
    }
    return *this;
  }
  ~HeadBuffer() { reset(); }

  explicit operator bool() const { return data_ != nullptr; }
  char* data() const { return data_; }
  std::uint32_t size() const { return size_; }
  MutableBytes bytes() const { return {reinterpret_cast<std::uint8_t*>(data_), size_}; }
  void reset();

 private:
  friend class HeadBuffers;
  HeadBuffer(HeadBuffers* pool, char* data, std::uint32_t size) : pool_(pool), data_(data), size_(size) {}
  HeadBuffers* pool_ = nullptr;
  char* data_ = nullptr;
  std::uint32_t size_ = 0;
};

class HeadBuffers {
 public:
  static constexpr std::uint32_t small_size = 4 * 1024;
  static constexpr std::uint32_t large_size = 64 * 1024;
  static constexpr std::uint32_t padding = 64;

  HeadBuffers(std::uint32_t small_count, std::uint32_t large_count);
  HeadBuffers(const HeadBuffers&) = delete;
  HeadBuffers& operator=(const HeadBuffers&) = delete;

  // A block of at least `size` bytes (size <= large_size), or an empty one when none is free.
  HeadBuffer take(std::uint32_t size);
  std::uint32_t small_free() const { return small_.free; }
  std::uint32_t large_free() const { return large_.free; }

 private:
  friend class HeadBuffer;
  struct Shelf {
    Shelf(std::uint32_t block_size, std::uint32_t count);
    char* pop();
    void push(char* block);
    std::unique_ptr<char[]> memory;
    char* head = nullptr;  // free blocks, each holding the next one's address
    std::uint32_t free = 0;
  };
  Shelf small_, large_;
};

inline void HeadBuffer::reset() {
  if (!data_) return;
  (size_ == HeadBuffers::small_size ? pool_->small_ : pool_->large_).push(data_);
  data_ = nullptr;
}

}  // namespace sluice::http
