// node_watch.h - looks at the node's connections after its turns: no new data goes beyond the window that the peer
// offered last, though it shrinks; and who is cut for standing still, while buffers are short, stood still.
#pragma once

#include <array>
#include <map>
#include <string>

#include "dataplane/base/counters.h"
#include "l4/tcp/stack.h"

namespace sluice::sim {

class NodeWatch {
 public:
  // After a turn of one worker. `next`: behind the turn that was looked at last; only then is it known by which window
  // it sent. Empty: what was seen is right.
  std::string look(const tcp::Stack& stack, const Counters& counters, bool next, Nanos now);
  // Whether somebody was cut since.
  bool due(const Counters& counters) const { return counters.get(Counter::tcp_pressure_cut_idle) != cuts_; }

 private:
  using Key = std::array<std::uint64_t, 5>;
  struct Seen {
    std::uint64_t sent = 0, acknowledged = 0, received = 0;
    Nanos moved{};  // when it got on last
    std::uint64_t look = 0;
    bool open = true;
  };
  static Key key_of(const tcp::Info& info);
  std::string see(const tcp::Info& info, bool next, Nanos now);

  std::map<Key, Seen> seen_;
  std::uint64_t looks_ = 0, cuts_ = 0;
};

}  // namespace sluice::sim
