#include "tests/unit/crypto/tls/fixture.h"

namespace sluice::tls {
namespace {

struct SessionImageTest : TlsTest {};

// The connection moves to another worker's pool, in the middle of a record, again and again; the client notices
// nothing.
TEST_F(SessionImageTest, ATransferGoesOnInAnotherPool) {
  const ServerContext server = context();
  Worker other{"tls_successor", 1};
  for (const char* suite : {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}) {
    auto talk = std::make_unique<Conversation>(
        *worker, server, TlsClient::Options{.suites = suite, .name = "www.example.com", .protocols = {"h2"}}, now);
    ASSERT_TRUE(talk->shake_hands());
    const std::string text = noise(200'000, 4);
    std::string received, sent;
    Worker* at = worker.get();
    SessionId id = talk->id();
    for (int hop = 0; hop < 8; ++hop) {
      const std::string_view piece = std::string_view{text}.substr(static_cast<std::size_t>(hop) * 25'000, 25'000);
      if (hop == 3) { ASSERT_EQ(SSL_key_update(talk->client.ssl(), SSL_KEY_UPDATE_REQUESTED), 1); }
      ASSERT_TRUE(talk->client.write(piece));
      const std::string bytes = talk->client.take();
      Chain arrived = chain_of(std::string_view{bytes}.substr(0, bytes.size() - 3000), at->buffers, 1448), plaintext,
            wire;
      EXPECT_EQ(at->sessions.receive(id, arrived, plaintext, wire, now), Progress::data);
      EXPECT_GT(at->sessions.held(id), 0u);
      received += content(plaintext);
      plaintext.clear();
      talk->to_client(wire);

      std::vector<std::uint8_t> image(at->sessions.image_size(id));
      ASSERT_GT(image.size(), 0u);
      EXPECT_EQ(at->sessions.export_image(id, MutableBytes{image}.first(image.size() - 1)), 0u) << "too small";
      ASSERT_EQ(at->sessions.export_image(id, image), image.size());
      at->sessions.free(id);
      at = at == worker.get() ? &other : worker.get();
      id = at->sessions.import_image(image);
      ASSERT_TRUE(id);
      EXPECT_EQ(at->sessions.info(id).name, "www.example.com");
      EXPECT_EQ(at->sessions.info(id).protocol, "h2");

      Chain rest = chain_of(std::string_view{bytes}.substr(bytes.size() - 3000), at->buffers, 1448);
      EXPECT_EQ(at->sessions.receive(id, rest, plaintext, wire, now), Progress::data);
      received += content(plaintext);
      plaintext.clear();
      Chain answer = chain_of(piece, at->buffers, 1448);
      ASSERT_TRUE(at->sessions.send(id, answer, wire, now));
      talk->to_client(wire);
      sent += talk->client.read();
    }
    EXPECT_TRUE(received == text);
    EXPECT_TRUE(sent == text);
    at->sessions.free(id);
    talk->forget();
  }
  EXPECT_EQ(other.buffers.data_free(), Worker::data_count);
}

TEST_F(SessionImageTest, ADamagedImageIsRefusedOrHarmless) {
  Established secrets;
  secrets.suite = Suite::aes256_gcm_sha384;
  secrets.client_secret.assign(bytes(noise(48, 1)));
  secrets.server_secret.assign(bytes(noise(48, 2)));
  const SessionId id = worker->sessions.install(secrets);
  std::vector<std::uint8_t> image(worker->sessions.image_size(id));
  ASSERT_EQ(worker->sessions.export_image(id, image), image.size());
  worker->sessions.free(id);
  for (std::size_t size = 0; size < image.size(); ++size)
    EXPECT_FALSE(worker->sessions.import_image(ByteView{image}.first(size)));
  for (int i = 0; i < 5000; ++i) {
    std::vector<std::uint8_t> damaged = image;
    damaged[rng.below(static_cast<std::uint32_t>(image.size()))] ^= static_cast<std::uint8_t>(1 + rng.below(255));
    if (const SessionId got = worker->sessions.import_image(damaged)) worker->sessions.free(got);
  }
  image[5] = 9;
  EXPECT_FALSE(worker->sessions.import_image(image)) << "another version";
  const ServerContext server = context();
  const SessionId fresh = worker->sessions.accept(server, now);
  EXPECT_EQ(worker->sessions.image_size(fresh), 0u) << "a handshake has no image";
  worker->sessions.free(fresh);
}

}  // namespace
}  // namespace sluice::tls
