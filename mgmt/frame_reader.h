// frame_reader.h - cuts a stream into size-prefixed buffers (4 bytes, little-endian, then that many).
// Memory grows with what has arrived, not with what was announced: a prefix of 4 GiB costs nothing. Any split of the
// input gives the same frames.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "dataplane/base/bytes.h"

namespace sluice::mgmt {

class FrameReader {
 public:
  enum class State : std::uint8_t {
    more,       // a frame is not complete yet
    complete,   // take() it
    too_large,  // announced more than the limit; nothing more is read
  };

  explicit FrameReader(std::size_t most) : most_(most) {}

  // Reads until a frame is complete, or all of `in`; returns how much was read.
  std::size_t feed(ByteView in) {
    std::size_t used = 0;
    while (state_ == State::more && used < in.size()) {
      const std::size_t wanted = frame_.size() < prefix ? prefix : prefix + size_;
      const ByteView part = in.subspan(used, std::min(in.size() - used, wanted - frame_.size()));
      frame_.insert(frame_.end(), part.begin(), part.end());
      used += part.size();
      if (frame_.size() == prefix) began();
      else if (frame_.size() == prefix + size_) state_ = State::complete;
    }
    return used;
  }

  State state() const { return state_; }
  // Somewhere inside a frame: the peer owes bytes.
  bool mid_frame() const { return !frame_.empty() && state_ == State::more; }
  std::size_t held() const { return frame_.capacity(); }
  std::uint32_t announced() const { return size_; }
  // The frame with its prefix, which is part of how the buffer is aligned; the next one begins.
  std::vector<std::uint8_t> take() {
    CHECK(state_ == State::complete);
    state_ = State::more;
    size_ = 0;
    return std::exchange(frame_, {});
  }

 private:
  static constexpr std::size_t prefix = 4;

  void began() {
    std::memcpy(&size_, frame_.data(), prefix);
    if (size_ > most_) state_ = State::too_large;
    else if (size_ == 0) state_ = State::complete;
  }

  std::size_t most_;
  std::vector<std::uint8_t> frame_;
  std::uint32_t size_ = 0;
  State state_ = State::more;
};

}  // namespace sluice::mgmt
