#include "crypto/hkdf.h"

#include <gtest/gtest.h>
#include <openssl/hmac.h>

#include <vector>

namespace sluice {
namespace {

std::vector<std::uint8_t> unhex(std::string_view text) {
  std::vector<std::uint8_t> out;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    out.push_back(static_cast<std::uint8_t>(std::stoi(std::string{text.substr(i, 2)}, nullptr, 16)));
  return out;
}
std::string hex(ByteView in) {
  std::string out;
  for (const std::uint8_t b : in) {
    char two[3];
    std::snprintf(two, sizeof two, "%02x", b);
    out += two;
  }
  return out;
}

struct HkdfTest : testing::Test {
  Counters counters;
  std::unique_ptr<Engine> engine;
  void SetUp() override {
    auto opened = Engine::open(counters);
    ASSERT_TRUE(opened) << opened.error();
    engine = std::move(*opened);
  }
};

// RFC 5869 A.1, A.2 (long inputs and outputs), A.3 (no salt, no info).
TEST_F(HkdfTest, Rfc5869Vectors) {
  std::array<std::uint8_t, 32> prk;
  std::vector<std::uint8_t> okm(42);
  hkdf_extract(*engine, Hash::sha256, unhex("000102030405060708090a0b0c"), std::vector<std::uint8_t>(22, 0x0b),
               prk.data());
  EXPECT_EQ(hex(prk), "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
  hkdf_expand(*engine, Hash::sha256, prk, unhex("f0f1f2f3f4f5f6f7f8f9"), okm);
  EXPECT_EQ(hex(okm), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");

  std::vector<std::uint8_t> input, salt, info;
  for (int i = 0; i < 80; ++i) {
    input.push_back(static_cast<std::uint8_t>(i));
    salt.push_back(static_cast<std::uint8_t>(0x60 + i));
    info.push_back(static_cast<std::uint8_t>(0xb0 + i));
  }
  okm.resize(82);
  hkdf_extract(*engine, Hash::sha256, salt, input, prk.data());
  hkdf_expand(*engine, Hash::sha256, prk, info, okm);
  EXPECT_EQ(hex(okm),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
            "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87");

  okm.resize(42);
  hkdf_extract(*engine, Hash::sha256, {}, std::vector<std::uint8_t>(22, 0x0b), prk.data());
  hkdf_expand(*engine, Hash::sha256, prk, {}, okm);
  EXPECT_EQ(hex(okm), "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

// RFC 8448 3: the server's application traffic secret and the keys that follow from it.
TEST_F(HkdfTest, Rfc8448ExpandLabel) {
  const auto secret = unhex("a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643");
  std::array<std::uint8_t, 16> key;
  std::array<std::uint8_t, 12> iv;
  hkdf_expand_label(*engine, Hash::sha256, secret, "key", {}, key);
  hkdf_expand_label(*engine, Hash::sha256, secret, "iv", {}, iv);
  EXPECT_EQ(hex(key), "9f02283b6c9c07efc26bb9f2ac92e356");
  EXPECT_EQ(hex(iv), "cf782b88dd83549aadf1e984");
}

TEST_F(HkdfTest, HmacAgreesWithOpensslForBothHashesAndAllSizes) {
  std::vector<std::uint8_t> key, message;
  for (std::size_t size = 0; size <= max_hmac_message; size += size < 140 ? 1 : 31) {
    key.resize(1 + size / 2);
    message.resize(size);
    for (std::size_t i = 0; i < size; ++i) message[i] = static_cast<std::uint8_t>(i * 7 + size);
    for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(i * 3 + size);
    for (const Hash hash : {Hash::sha256, Hash::sha384}) {
      std::array<std::uint8_t, 64> ours{}, theirs{};
      hmac(*engine, hash, key, message, ours.data());
      HMAC(hash == Hash::sha256 ? EVP_sha256() : EVP_sha384(), key.data(), static_cast<int>(key.size()), message.data(),
           message.size(), theirs.data(), nullptr);
      ASSERT_EQ(hex(ByteView{ours}.first(hash_size(hash))), hex(ByteView{theirs}.first(hash_size(hash)))) << size;
    }
  }
}

}  // namespace
}  // namespace sluice
