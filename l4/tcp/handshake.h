// handshake.h - half-open passive opens: what a SYN said and what we answered, until the ACK comes (RFC 4987 SYN
// cache). Bounded; when it is full the oldest makes room. SYN-ACKs are sent again at growing intervals until the
// entry's time is over.
#pragma once

#include "dataplane/base/units.h"
#include "l4/tcp/emit.h"
#include "l4/tcp/listening.h"

namespace sluice::tcp {

struct Handshake {
  Key key;
  Seq iss, irs;
  std::uint32_t ts_recent = 0, ts_offset = 0;
  ListenerId listener = 0;
  std::uint32_t previous = no_slot, next = no_slot;  // by age
  std::uint16_t mss = 0;                             // 0: it did not say
  std::uint8_t snd_scale = 0, rcv_scale = 0;
  bool timestamps : 1 = false;
  bool sack : 1 = false;
  bool scaled : 1 = false;
  bool ecn : 1 = false;  // asked for and granted (RFC 3168)
  SettingsId settings = 0;
  std::uint8_t tries = 0;         // SYN-ACKs sent again
  std::uint16_t answered_ms = 0;  // when a repeated SYN or what did not fit was answered last; 0: never
  Nanos began{};
};

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/input_slow_test.cc.
