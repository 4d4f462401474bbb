// send_queue.h - the bytes between SND.UNA and the last one that l7 gave, as one chain, and where to go on reading it.
// Bytes leave the front when they are acknowledged and are never changed before: what is queued may be shared.
#pragma once

#include "dataplane/packet/chain.h"
#include "l4/tcp/seq.h"

namespace sluice::tcp {

class SendQueue {
 public:
  void start(Seq first) { begin_ = first; }
  Seq begin() const { return begin_; }
  Seq end() const { return begin_ + chain_.size(); }
  std::uint32_t size() const { return chain_.size(); }
  std::uint32_t buffers() const { return chain_.segments(); }
  const Chain& chain() const { return chain_; }

  void append(Chain bytes) { chain_.append(std::move(bytes)); }
  // Drops what stands before `una` (begin() <= una <= end()).
  void acknowledge(Seq una) {
    const auto n = static_cast<std::uint32_t>(una - begin_);
    if (cursor_ && una >= cursor_end_) cursor_ = nullptr;
    chain_.trim_front(n);
    begin_ = una;
  }
  void clear() {
    cursor_ = nullptr;
    begin_ = end();
    chain_.clear();
  }
  // The buffer that holds byte `at` (begin() <= at < end()), and its offset there. Reading on in order costs one step a
  // buffer: the place is remembered.
  rte_mbuf* locate(Seq at, std::uint32_t& offset) {
    rte_mbuf* segment = chain_.first();
    Seq segment_begin = begin_;
    const bool onward = cursor_ && at >= cursor_end_ - cursor_->data_len;
    if (onward) {
      segment = cursor_;
      segment_begin = cursor_end_ - cursor_->data_len;
    }
    while (at >= segment_begin + segment->data_len) {
      segment_begin += segment->data_len;
      segment = segment->next;
    }
    if (onward || !cursor_) {
      cursor_ = segment;
      cursor_end_ = segment_begin + segment->data_len;
    }
    offset = static_cast<std::uint32_t>(at - segment_begin);
    return segment;
  }

 private:
  Chain chain_;
  rte_mbuf* cursor_ = nullptr;  // trimming the front of this buffer moves its begin, never its end
  Seq cursor_end_;
  Seq begin_;
};

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/input_slow_test.cc, tests/unit/l4/tcp/stack_test.cc.
