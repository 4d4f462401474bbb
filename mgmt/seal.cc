#include "mgmt/seal.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <memory>

#include "crypto/secret.h"

namespace sluice::mgmt {

namespace {

constexpr std::size_t nonce_bytes = 12, tag_bytes = 16;

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

int size_of(ByteView bytes) {
  CHECK(bytes.size() < (1u << 30));
  return static_cast<int>(bytes.size());
}

}  // namespace

std::vector<std::uint8_t> seal(ByteView key, ByteView plain, ByteView vouched) {
  CHECK(key.size() == 32);
  std::vector<std::uint8_t> out(nonce_bytes + plain.size() + tag_bytes);
  std::uint8_t* const body = out.data() + nonce_bytes;
  CHECK(RAND_bytes(out.data(), nonce_bytes) == 1);
  const Context context{EVP_CIPHER_CTX_new()};
  int n = 0;
  CHECK(EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key.data(), out.data()) == 1);
  CHECK(EVP_EncryptUpdate(context.get(), nullptr, &n, vouched.data(), size_of(vouched)) == 1);
  CHECK(plain.empty() || EVP_EncryptUpdate(context.get(), body, &n, plain.data(), size_of(plain)) == 1);
  CHECK(EVP_EncryptFinal_ex(context.get(), body + plain.size(), &n) == 1);
  CHECK(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, tag_bytes, body + plain.size()) == 1);
  return out;
}

std::optional<std::vector<std::uint8_t>> unseal(ByteView key, ByteView sealed, ByteView vouched) {
  CHECK(key.size() == 32);
  if (sealed.size() < seal_overhead || sealed.size() >= (1u << 30) || vouched.size() >= (1u << 30)) return std::nullopt;
  const ByteView body = sealed.subspan(nonce_bytes, sealed.size() - seal_overhead);
  std::uint8_t tag[tag_bytes];
  std::memcpy(tag, sealed.data() + sealed.size() - tag_bytes, tag_bytes);
  std::vector<std::uint8_t> out(body.size());
  const Context context{EVP_CIPHER_CTX_new()};
  int n = 0;
  std::uint8_t nothing[16];
  const bool good =
      EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key.data(), sealed.data()) == 1 &&
      EVP_DecryptUpdate(context.get(), nullptr, &n, vouched.data(), size_of(vouched)) == 1 &&
      (body.empty() || EVP_DecryptUpdate(context.get(), out.data(), &n, body.data(), size_of(body)) == 1) &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, tag_bytes, tag) == 1 &&
      EVP_DecryptFinal_ex(context.get(), nothing, &n) == 1;
  if (good) return out;
  wipe(out);
  return std::nullopt;
}

}  // namespace sluice::mgmt
