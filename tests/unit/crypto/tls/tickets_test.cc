#include "crypto/tls/tickets.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace sluice::tls {
namespace {

TicketKey key_of(std::uint8_t byte) {
  TicketKey key;
  key.name.fill(byte);
  key.cipher.fill(byte);
  key.mac.fill(byte);
  return key;
}

TEST(Tickets, RotationKeepsThePreviousKey) {
  TicketKeyring ring;
  EXPECT_EQ(ring.get().current, TicketKey{});
  ring.rotate(key_of(1));
  EXPECT_EQ(ring.get().current, key_of(1));
  EXPECT_EQ(ring.get().previous, TicketKey{});
  ring.rotate(key_of(2));
  EXPECT_EQ(ring.get().current, key_of(2));
  EXPECT_EQ(ring.get().previous, key_of(1));
}

TEST(Tickets, RandomKeysDiffer) {
  const auto a = TicketKeys::random_key(), b = TicketKeys::random_key();
  ASSERT_TRUE(a && b);
  EXPECT_NE(*a, *b);
  EXPECT_NE(a->name, b->name);
}

TEST(Tickets, AReaderNeverSeesHalfARotation) {
  TicketKeyring ring;
  ring.rotate(key_of(1));
  std::atomic<bool> stop{false}, torn{false};
  std::thread reader{[&] {
    while (!stop) {
      const TicketKeys keys = ring.get();
      const std::uint8_t byte = keys.current.name[0];
      if (keys.current != key_of(byte)) torn = true;
    }
  }};
  for (int i = 0; i < 20000; ++i) ring.rotate(key_of(static_cast<std::uint8_t>(i)));
  stop = true;
  reader.join();
  EXPECT_FALSE(torn);
}

}  // namespace
}  // namespace sluice::tls
