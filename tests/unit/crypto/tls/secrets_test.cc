#include "crypto/tls/secrets.h"

#include <gtest/gtest.h>

#include <vector>

namespace sluice::tls {
namespace {

struct SecretsTest : testing::Test {
  Counters counters;
  std::unique_ptr<Engine> engine = std::move(*Engine::open(counters));
  const SuiteInfo& suite = suites[0];
};

TEST_F(SecretsTest, NonceIsTheIvXoredWithTheSequence) {
  Direction direction;
  direction.start(*engine, suite, std::vector<std::uint8_t>(32, 1), 0);
  EXPECT_EQ(direction.nonce(), direction.iv);
  direction.sequence = 0x0102030405060708;
  const auto nonce = direction.nonce();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(nonce[i], direction.iv[i]);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(nonce[4 + i], direction.iv[4 + i] ^ (i + 1));
}

// RFC 8446 7.2: the next secret is Expand-Label(secret, "traffic upd", "", Hash.length), and its sequence begins at 0.
TEST_F(SecretsTest, UpdateFollowsTheLabel) {
  for (const SuiteInfo& each : suites) {
    Direction direction;
    const std::vector<std::uint8_t> secret(hash_size(each.hash), 5);
    direction.start(*engine, each, secret, 77);
    EXPECT_EQ(direction.sequence, 77u);
    std::vector<std::uint8_t> next(secret.size()), key(key_size(each.aead)), iv(12);
    hkdf_expand_label(*engine, each.hash, secret, "traffic upd", {}, next);
    hkdf_expand_label(*engine, each.hash, next, "key", {}, key);
    hkdf_expand_label(*engine, each.hash, next, "iv", {}, iv);
    direction.update(*engine, each);
    EXPECT_EQ(text(direction.secret.view()), text(next));
    EXPECT_EQ(text(direction.key.view()), text(key));
    EXPECT_EQ(text(direction.iv), text(iv));
    EXPECT_EQ(direction.sequence, 0u);
  }
}

TEST_F(SecretsTest, TheCacheGivesEveryDirectionItsOwnKeyHoweverFewSlotsThereAre) {
  KeyCache cache{*engine, 3};
  std::vector<Direction> directions(8);
  std::vector<AeadKey> expected(8);
  for (std::size_t i = 0; i < directions.size(); ++i) {
    directions[i].start(*engine, suite, std::vector<std::uint8_t>(32, static_cast<std::uint8_t>(i)), 0);
    std::memset(&expected[i], 0, sizeof(AeadKey));
    engine->expand(suite.aead, directions[i].key.view(), expected[i]);
  }
  const std::size_t order[] = {0, 1, 2, 0, 3, 4, 0, 5, 6, 7, 1, 2, 0, 0, 7, 3};
  const std::vector<std::uint8_t> nonce(12, 1), message(64, 2);
  for (const std::size_t i : order) {
    std::uint8_t ours[80], theirs[80];
    engine->seal(suite.aead, cache.get(suite.aead, directions[i]), nonce, {}, ours, message, ours + 64);
    engine->seal(suite.aead, expected[i], nonce, {}, theirs, message, theirs + 64);
    ASSERT_EQ(std::memcmp(ours, theirs, sizeof ours), 0) << i;
    if (i == 4) cache.drop(directions[i]);
  }
  // A dropped slot is not mistaken for the key of whoever held it.
  cache.drop(directions[0]);
  EXPECT_EQ(directions[0].hot.stamp, 0u);
  std::uint8_t ours[80], theirs[80];
  engine->seal(suite.aead, cache.get(suite.aead, directions[0]), nonce, {}, ours, message, ours + 64);
  engine->seal(suite.aead, expected[0], nonce, {}, theirs, message, theirs + 64);
  EXPECT_EQ(std::memcmp(ours, theirs, sizeof ours), 0);
}

}  // namespace
}  // namespace sluice::tls
