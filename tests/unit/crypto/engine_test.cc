#include "crypto/engine.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <thread>
#include <vector>

#include "dataplane/base/rng.h"

namespace sluice {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr Aead all_aeads[] = {Aead::aes128_gcm, Aead::aes256_gcm, Aead::chacha20_poly1305};

Bytes random_bytes(Rng& rng, std::size_t n) {
  Bytes out(n);
  for (auto& b : out) b = static_cast<std::uint8_t>(rng.next());
  return out;
}

// The independent peer: OpenSSL's AEAD. Ciphertext, then the tag.
Bytes seal_by_openssl(Aead aead, const Bytes& key, const Bytes& nonce, const Bytes& additional, const Bytes& plain) {
  const EVP_CIPHER* cipher = aead == Aead::aes128_gcm   ? EVP_aes_128_gcm()
                             : aead == Aead::aes256_gcm ? EVP_aes_256_gcm()
                                                        : EVP_chacha20_poly1305();
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  EVP_EncryptInit_ex(context, cipher, nullptr, key.data(), nonce.data());
  int n = 0;
  EVP_EncryptUpdate(context, nullptr, &n, additional.data(), static_cast<int>(additional.size()));
  Bytes out(plain.size() + 16);
  EVP_EncryptUpdate(context, out.data(), &n, plain.data(), static_cast<int>(plain.size()));
  EVP_EncryptFinal_ex(context, out.data() + n, &n);
  EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, out.data() + plain.size());
  EVP_CIPHER_CTX_free(context);
  return out;
}

struct EngineTest : testing::TestWithParam<CodePath> {
  Counters counters;
  std::unique_ptr<Engine> engine;
  Rng rng{1};
  void SetUp() override {
    auto opened = Engine::open(counters, GetParam());
    // A narrower path must exist everywhere; the widest only where the processor has it, and then the error says so.
    if (!opened && GetParam() == CodePath::avx512) {
      EXPECT_NE(opened.error().find("avx512"), std::string::npos);
      return;
    }
    ASSERT_TRUE(opened) << opened.error();
    engine = std::move(*opened);
  }
  // Every message whole and cut at random, in place and from one buffer to another.
  void check(Aead aead, std::size_t size) {
    const Bytes key = random_bytes(rng, key_size(aead)), nonce = random_bytes(rng, 12),
                additional = random_bytes(rng, 5), plain = random_bytes(rng, size);
    const Bytes expected = seal_by_openssl(aead, key, nonce, additional, plain);
    AeadKey expanded;
    engine->expand(aead, key, expanded);

    Bytes out(size + 16);
    engine->seal(aead, expanded, nonce, additional, out.data(), plain, out.data() + size);
    ASSERT_EQ(out, expected) << "one call, " << size;
    Bytes back(size);
    ASSERT_TRUE(engine->open(aead, expanded, nonce, additional, back.data(), {expected.data(), size}, &expected[size]));
    ASSERT_EQ(back, plain);

    AeadRun run;
    Bytes in_place = plain;
    engine->begin(run, aead, expanded, nonce, additional);
    pieces(size, [&](std::size_t at, std::size_t n) { engine->encrypt(run, &in_place[at], &in_place[at], n); });
    in_place.resize(size + 16);
    engine->finish_seal(run, &in_place[size]);
    ASSERT_EQ(in_place, expected) << "in pieces, " << size;
    Bytes other(size);
    engine->begin(run, aead, expanded, nonce, additional);
    pieces(size, [&](std::size_t at, std::size_t n) { engine->decrypt(run, &other[at], &in_place[at], n); });
    ASSERT_TRUE(engine->finish_open(run, &in_place[size]));
    ASSERT_EQ(other, plain) << "in pieces, " << size;
  }
  template <typename F>
  void pieces(std::size_t size, F&& f) {
    const std::uint32_t limit = rng.below(3) == 0 ? 20 : rng.below(2) ? 200 : 3000;
    for (std::size_t at = 0; at < size;) {
      const std::size_t n = std::min<std::size_t>(1 + rng.below(limit), size - at);
      f(at, n);
      at += n;
    }
  }
};

TEST_P(EngineTest, AgreesWithOpensslForEverySizeAndCut) {
  if (!engine) return;
  for (const Aead aead : all_aeads) {
    for (std::size_t size = 0; size < 300; ++size) check(aead, size);
    for (int i = 0; i < 150; ++i) check(aead, rng.below(17000));
  }
  EXPECT_GT(counters.get(Counter::tls_sealed_bytes), 1'000'000u);
  EXPECT_EQ(counters.get(Counter::tls_opened_bytes), counters.get(Counter::tls_sealed_bytes));
}

TEST_P(EngineTest, OneFlippedBitAnywhereIsRefused) {
  if (!engine) return;
  for (const Aead aead : all_aeads) {
    const Bytes key = random_bytes(rng, key_size(aead)), nonce = random_bytes(rng, 12),
                additional = random_bytes(rng, 5);
    AeadKey expanded;
    engine->expand(aead, key, expanded);
    Bytes sealed = seal_by_openssl(aead, key, nonce, additional, random_bytes(rng, 100));
    Bytes out(100);
    for (std::size_t i = 0; i < sealed.size(); ++i) {
      sealed[i] ^= 1 << rng.below(8);
      const Bytes kept = sealed;
      EXPECT_FALSE(engine->open(aead, expanded, nonce, additional, out.data(), {sealed.data(), 100}, &sealed[100]));
      AeadRun run;
      engine->begin(run, aead, expanded, nonce, additional);
      engine->decrypt(run, out.data(), sealed.data(), 33);
      engine->decrypt(run, out.data() + 33, sealed.data() + 33, 67);
      EXPECT_FALSE(engine->finish_open(run, &sealed[100]));
      sealed = seal_by_openssl(aead, key, nonce, additional, random_bytes(rng, 100));
    }
    Bytes wrong = additional;
    wrong[4] ^= 1;
    EXPECT_FALSE(engine->open(aead, expanded, nonce, wrong, out.data(), {sealed.data(), 100}, &sealed[100]));
  }
}

std::string path_name(const testing::TestParamInfo<CodePath>& info) {
  constexpr const char* names[] = {"automatic", "sse", "avx", "avx2", "avx512"};
  return names[static_cast<int>(info.param)];
}
INSTANTIATE_TEST_SUITE_P(Paths, EngineTest,
                         testing::Values(CodePath::automatic, CodePath::sse, CodePath::avx, CodePath::avx2,
                                         CodePath::avx512),
                         path_name);

TEST(Engine, NamesItsCodePathAndVersion) {
  Counters counters;
  auto engine = Engine::open(counters);
  ASSERT_TRUE(engine) << engine.error();
  EXPECT_TRUE((*engine)->code_path().starts_with("AVX") || (*engine)->code_path() == "SSE") << (*engine)->code_path();
  EXPECT_NE((*engine)->version().find('.'), std::string_view::npos);
  auto narrow = Engine::open(counters, CodePath::sse);
  ASSERT_TRUE(narrow) << narrow.error();
  EXPECT_EQ((*narrow)->code_path(), "SSE");
}

// Each engine has a library of its own: their code lies at different addresses, and closing one leaves the other whole.
TEST(Engine, EnginesAreIndependentOfEachOther) {
  Counters a_counters, b_counters;
  auto a = Engine::open(a_counters), b = Engine::open(b_counters);
  ASSERT_TRUE(a && b);
  a->reset();
  auto c = Engine::open(a_counters);
  ASSERT_TRUE(c);
  const auto work = [](Engine& engine) {
    AeadKey key;
    const Bytes raw(16, 7), nonce(12, 9), plain(1000, 5);
    engine.expand(Aead::aes128_gcm, raw, key);
    const Bytes expected = seal_by_openssl(Aead::aes128_gcm, raw, nonce, {1, 2, 3}, plain);
    for (int i = 0; i < 20000; ++i) {
      Bytes out(1016);
      engine.seal(Aead::aes128_gcm, key, nonce, Bytes{1, 2, 3}, out.data(), plain, &out[1000]);
      if (out != expected) return false;
    }
    return true;
  };
  bool b_good = false;
  std::thread other{[&] { b_good = work(**b); }};
  EXPECT_TRUE(work(**c));
  other.join();
  EXPECT_TRUE(b_good);
}

}  // namespace
}  // namespace sluice
