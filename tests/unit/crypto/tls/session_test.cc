#include "crypto/tls/session.h"

#include <algorithm>

#include "tests/unit/crypto/tls/fixture.h"

namespace sluice::tls {
namespace {

struct SessionMatrix : TlsTest, testing::WithParamInterface<std::tuple<const char*, const char*, const char*>> {};

// Every suite with every group and kind of certificate, the client's bytes whole, byte by byte and at random cuts.
TEST_P(SessionMatrix, TalksToOpenssl) {
  const auto [suite, group, signatures] = GetParam();
  const ServerContext server = context();
  for (const std::uint32_t cut : {1448u, 1u, 0u}) {
    Conversation talk{*worker,
                      server,
                      {.suites = suite, .groups = group, .signatures = signatures, .protocols = {"http/1.1"}},
                      now,
                      cut};
    ASSERT_TRUE(talk.shake_hands()) << cut;
    EXPECT_STREQ(SSL_CIPHER_get_name(SSL_get_current_cipher(talk.client.ssl())), suite);
    EVP_PKEY* key = X509_get0_pubkey(SSL_get0_peer_certificate(talk.client.ssl()));
    EXPECT_EQ(EVP_PKEY_get_base_id(key), std::string_view{signatures}.starts_with("RSA") ? EVP_PKEY_RSA : EVP_PKEY_EC);
    EXPECT_EQ(find_suite(worker->sessions.info(talk.id()).suite)->name, suite);
    EXPECT_EQ(worker->sessions.info(talk.id()).protocol, "http/1.1");
    EXPECT_EQ(worker->count(Counter::tls_ssl_objects), 0u);

    ASSERT_TRUE(talk.client.write("GET / HTTP/1.1\r\n\r\n"));
    talk.pump();
    EXPECT_EQ(talk.received, "GET / HTTP/1.1\r\n\r\n");
    talk.send("HTTP/1.1 200 OK\r\n\r\n");
    EXPECT_EQ(talk.client.read(), "HTTP/1.1 200 OK\r\n\r\n");
    EXPECT_EQ(talk.client.sessions().size(), 2u) << "two tickets";
  }
}

INSTANTIATE_TEST_SUITE_P(All, SessionMatrix,
                         testing::Combine(testing::Values("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                                          "TLS_CHACHA20_POLY1305_SHA256"),
                                          testing::Values("X25519", "P-256", "P-384"),
                                          testing::Values("ECDSA+SHA256", "RSA-PSS+SHA256")));

struct SessionTest : TlsTest {};

// Both ways, megabytes, with the plaintext shared by someone else, who sees it unchanged.
TEST_F(SessionTest, BigTransfersBothWaysWithSharedBuffers) {
  const ServerContext server = context();
  for (const char* suite : {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}) {
    Conversation talk{*worker, server, {.suites = suite}, now, 0};
    ASSERT_TRUE(talk.shake_hands());
    const std::string up = noise(1'500'000, 1), down = noise(3'000'000, 2);
    for (std::size_t at = 0; at < up.size(); at += 50'000) {
      ASSERT_TRUE(talk.client.write(std::string_view{up}.substr(at, 50'000)));
      talk.pump();
    }
    EXPECT_TRUE(talk.received == up);
    std::string got;
    for (std::size_t at = 0; at < down.size(); at += 100'000) {
      const std::string_view piece = std::string_view{down}.substr(at, 100'000);
      Chain plaintext = chain_of(piece, worker->buffers, 1448), kept, wire;
      const bool shared = at / 100'000 % 2;
      if (shared) { ASSERT_TRUE(plaintext.share(0, plaintext.size(), kept, worker->buffers)); }
      ASSERT_TRUE(worker->sessions.send(talk.id(), plaintext, wire, now));
      talk.to_client(wire);
      got += talk.client.read();
      if (shared) { EXPECT_TRUE(content(kept) == piece); }
    }
    EXPECT_TRUE(got == down);
  }
  EXPECT_GE(worker->count(Counter::tls_opened_bytes), 4'500'000u);
  EXPECT_GE(worker->count(Counter::tls_sealed_bytes), 9'000'000u);
}

TEST_F(SessionTest, DataBehindTheFinishedIsNotLost) {
  const ServerContext server = context();
  Conversation talk{*worker, server, {}, now, 1 << 20};
  ASSERT_TRUE(talk.client.step());
  talk.pump();
  ASSERT_TRUE(talk.client.step());
  ASSERT_TRUE(talk.client.write("in the same flight"));
  talk.pump();
  EXPECT_TRUE(talk.announced);
  EXPECT_EQ(talk.received, "in the same flight");
}

TEST_F(SessionTest, CloseNotifyBothWays) {
  const ServerContext server = context();
  Conversation talk{*worker, server, {}, now};
  ASSERT_TRUE(talk.shake_hands());
  ASSERT_TRUE(talk.client.write("last words"));
  SSL_shutdown(talk.client.ssl());
  talk.pump();
  EXPECT_EQ(talk.received, "last words");
  EXPECT_TRUE(talk.closed);
  talk.send("we may still answer");
  Chain wire;
  worker->sessions.close(talk.id(), wire);
  EXPECT_FALSE(wire.empty());
  talk.to_client(wire);
  worker->sessions.close(talk.id(), wire);
  EXPECT_TRUE(wire.empty()) << "once";
  EXPECT_EQ(talk.client.read(), "we may still answer");
  EXPECT_EQ(talk.client.last_error(), SSL_ERROR_ZERO_RETURN);
  Chain late = chain_of("too late", worker->buffers, 100);
  EXPECT_TRUE(worker->sessions.send(talk.id(), late, wire, now));
  EXPECT_TRUE(wire.empty() && late.empty());
}

TEST_F(SessionTest, TheFirstRecordsOfAFlightAreSmallAndThenLarge) {
  const ServerContext server = context();
  Conversation talk{*worker, server, {}, now};
  ASSERT_TRUE(talk.shake_hands());
  const auto record_sizes = [&](std::size_t size, Nanos when) {
    Chain plaintext = chain_of(noise(size, 9), worker->buffers, 1448), wire;
    EXPECT_TRUE(worker->sessions.send(talk.id(), plaintext, wire, when));
    const std::string bytes = content(wire);
    std::vector<std::size_t> sizes;
    for (std::size_t at = 0; at < bytes.size(); at += 5 + sizes.back())
      sizes.push_back(static_cast<unsigned char>(bytes[at + 3]) << 8 | static_cast<unsigned char>(bytes[at + 4]));
    talk.to_client(wire);
    talk.client.read();
    return sizes;
  };
  auto sizes = record_sizes(200'000, now);
  EXPECT_LE(sizes.front(), 1500u);
  EXPECT_GE(*std::ranges::max_element(sizes), 15'000u);
  EXPECT_LE(*std::ranges::max_element(sizes), max_ciphertext);
  EXPECT_GE(record_sizes(100'000, now).front(), 15'000u) << "no pause";
  EXPECT_LE(record_sizes(100'000, now + Nanos{2'000'000'000}).front(), 1500u) << "after a pause";
}

TEST_F(SessionTest, AFullPoolRefusesAndCounts) {
  const ServerContext server = context();
  std::vector<SessionId> ids;
  while (const SessionId id = worker->sessions.accept(server, now)) ids.push_back(id);
  EXPECT_EQ(ids.size(), worker->sessions.capacity());
  EXPECT_EQ(worker->count(Counter::tls_sessions_refused), 1u);
  EXPECT_EQ(worker->count(Counter::tls_sessions), ids.size());
  for (const SessionId id : ids) worker->sessions.free(id);
  EXPECT_EQ(worker->count(Counter::tls_sessions), 0u);
  Chain none;
  EXPECT_EQ(worker->sessions.receive(ids[0], none, none, none, now), Progress::error) << "a stale id misses";
}

// Two of our own sessions, without OpenSSL: what a simulator uses. One of them takes the client's role.
TEST_F(SessionTest, InstalledSessionsTalkToEachOther) {
  for (const SuiteInfo& suite : suites) {
    Established secrets;
    secrets.suite = suite.suite;
    secrets.client_secret.assign(bytes(noise(hash_size(suite.hash), 1)));
    secrets.server_secret.assign(bytes(noise(hash_size(suite.hash), 2)));
    const SessionId a = worker->sessions.install(secrets);
    secrets.role = Role::client;
    const SessionId b = worker->sessions.install(secrets);
    const std::string text = noise(100'000, 3);
    for (const auto& [from, to] : {std::pair{a, b}, std::pair{b, a}}) {
      Chain plaintext = chain_of(text, worker->buffers, 1448), wire, got, answer;
      ASSERT_TRUE(worker->sessions.send(from, plaintext, wire, now));
      EXPECT_EQ(worker->sessions.receive(to, wire, got, answer, now), Progress::established);
      EXPECT_TRUE(content(got) == text);
    }
    worker->sessions.free(a);
    worker->sessions.free(b);
  }
  EXPECT_FALSE(worker->sessions.install({})) << "no secrets";
}

}  // namespace
}  // namespace sluice::tls
