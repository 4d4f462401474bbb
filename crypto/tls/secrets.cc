#include "crypto/tls/secrets.h"

namespace sluice::tls {

void Direction::start(Engine& engine, const SuiteInfo& suite, ByteView traffic_secret, std::uint64_t first_sequence) {
  secret.assign(traffic_secret);
  hkdf_expand_label(engine, suite.hash, secret.view(), "key", {}, key.resize(key_size(suite.aead)));
  hkdf_expand_label(engine, suite.hash, secret.view(), "iv", {}, iv);
  sequence = first_sequence;
  hot = {};
}

void Direction::update(Engine& engine, const SuiteInfo& suite) {
  Secret<max_hash_size> next;
  hkdf_expand_label(engine, suite.hash, secret.view(), "traffic upd", {}, next.resize(hash_size(suite.hash)));
  start(engine, suite, next.view(), 0);
}

KeyCache::KeyCache(Engine& engine, std::uint32_t slots)
    : engine_(engine), slots_(slots ? slots : 1), keys_(new AeadKey[slots_]), entries_(new Entry[slots_]) {
  lock_memory(keys_.get(), sizeof(AeadKey) * slots_);
}

KeyCache::~KeyCache() { wipe(keys_.get(), sizeof(AeadKey) * slots_); }

const AeadKey& KeyCache::get(Aead aead, Direction& direction) {
  KeySlot& slot = direction.hot;
  if (slot.stamp && entries_[slot.index].stamp == slot.stamp) [[likely]] {
    entries_[slot.index].used = true;
    return keys_[slot.index];
  }
  while (entries_[hand_].used) {
    entries_[hand_].used = false;
    hand_ = hand_ + 1 == slots_ ? 0 : hand_ + 1;
  }
  if (++stamp_ == 0) ++stamp_;
  entries_[hand_] = {stamp_, true};
  slot = {hand_, stamp_};
  AeadKey& key = keys_[hand_];
  hand_ = hand_ + 1 == slots_ ? 0 : hand_ + 1;
  engine_.expand(aead, direction.key.view(), key);
  return key;
}

void KeyCache::drop(Direction& direction) {
  KeySlot& slot = direction.hot;
  if (slot.stamp && entries_[slot.index].stamp == slot.stamp) {
    wipe(keys_[slot.index].bytes, sizeof(AeadKey::bytes));
    entries_[slot.index] = {};
  }
  slot = {};
}

}  // namespace sluice::tls
