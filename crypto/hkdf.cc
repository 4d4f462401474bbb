#include "crypto/hkdf.h"

#include <algorithm>

#include "crypto/secret.h"

namespace sluice {

namespace {
constexpr std::size_t max_block = 128;
constexpr std::size_t max_info = 320;
}  // namespace

void hmac(Engine& engine, Hash hash, ByteView key, ByteView message, std::uint8_t* out) {
  CHECK(message.size() <= max_hmac_message);
  const std::size_t block = block_size(hash), size = hash_size(hash);
  std::array<std::uint8_t, max_block> padded{};
  if (key.size() > block) {
    engine.hash(hash, key, padded.data());
  } else if (!key.empty()) {
    std::memcpy(padded.data(), key.data(), key.size());
  }
  std::array<std::uint8_t, max_block + max_hmac_message> inner;
  for (std::size_t i = 0; i < block; ++i) inner[i] = padded[i] ^ 0x36;
  if (!message.empty()) std::memcpy(inner.data() + block, message.data(), message.size());
  std::array<std::uint8_t, max_block + max_hash_size> outer;
  for (std::size_t i = 0; i < block; ++i) outer[i] = padded[i] ^ 0x5c;
  engine.hash(hash, {inner.data(), block + message.size()}, outer.data() + block);
  engine.hash(hash, {outer.data(), block + size}, out);
  wipe(padded);
  wipe(MutableBytes{inner}.first(block));
  wipe(outer);
}

void hkdf_extract(Engine& engine, Hash hash, ByteView salt, ByteView input, std::uint8_t* out) {
  hmac(engine, hash, salt, input, out);
}

void hkdf_expand(Engine& engine, Hash hash, ByteView secret, ByteView info, MutableBytes out) {
  const std::size_t size = hash_size(hash);
  CHECK(info.size() <= max_info && out.size() <= 255 * size);
  std::array<std::uint8_t, max_hash_size + max_info + 1> message;
  std::array<std::uint8_t, max_hash_size> block;
  std::size_t previous = 0;
  for (std::uint8_t counter = 1; !out.empty(); ++counter) {
    Writer writer{message};
    writer.put(ByteView{block.data(), previous});
    writer.put(info);
    writer.u8(counter);
    hmac(engine, hash, secret, writer.written(), block.data());
    const std::size_t n = std::min(out.size(), size);
    std::memcpy(out.data(), block.data(), n);
    out = out.subspan(n);
    previous = size;
  }
  wipe(message);
  wipe(block);
}

void hkdf_expand_label(Engine& engine, Hash hash, ByteView secret, std::string_view label, ByteView context,
                       MutableBytes out) {
  std::array<std::uint8_t, 2 + 1 + 6 + 255 + 1 + max_hash_size> info;
  Writer writer{info};
  writer.u16(static_cast<std::uint16_t>(out.size()));
  writer.u8(static_cast<std::uint8_t>(6 + label.size()));
  writer.put("tls13 ");
  writer.put(label);
  writer.u8(static_cast<std::uint8_t>(context.size()));
  writer.put(context);
  CHECK(writer.ok());
  hkdf_expand(engine, hash, secret, writer.written(), out);
}

}  // namespace sluice
