// KeyUpdate, alerts and everything that a peer may do wrong on an established session.
#include "crypto/tls/record.h"
#include "tests/unit/crypto/tls/fixture.h"

namespace sluice::tls {
namespace {

struct SessionRecordsTest : TlsTest {
  // A session of ours, and one in the client's role that can be made to say anything.
  struct Pair {
    SessionId server, client;
  };
  Pair pair() {
    Established secrets;
    secrets.suite = Suite::aes128_gcm_sha256;
    secrets.client_secret.assign(bytes(std::string(32, 'c')));
    secrets.server_secret.assign(bytes(std::string(32, 's')));
    const SessionId server = worker->sessions.install(secrets);
    secrets.role = Role::client;
    return {server, worker->sessions.install(secrets)};
  }
  // One record with any inner type and content, sealed as the client of pair() would, with its sequence.
  std::string forge(std::uint8_t type, std::string inner, std::uint64_t sequence, std::size_t padding = 0) {
    AeadKey expanded;
    std::array<std::uint8_t, 16> key;
    std::array<std::uint8_t, 12> iv;
    const std::string secret(32, 'c');
    hkdf_expand_label(*worker->engine, Hash::sha256, bytes(secret), "key", {}, key);
    hkdf_expand_label(*worker->engine, Hash::sha256, bytes(secret), "iv", {}, iv);
    for (int i = 0; i < 8; ++i) iv[4 + i] ^= static_cast<std::uint8_t>(sequence >> (56 - 8 * i));
    worker->engine->expand(Aead::aes128_gcm, key, expanded);
    inner += static_cast<char>(type);
    inner += std::string(padding, 0);
    const std::size_t size = inner.size() + 16;
    std::string header{"\x17\x03\x03"};
    header += static_cast<char>(size >> 8);
    header += static_cast<char>(size & 0xff);
    std::string sealed(size, 0);
    auto* to = reinterpret_cast<std::uint8_t*>(sealed.data());
    worker->engine->seal(Aead::aes128_gcm, expanded, iv, bytes(header), to, bytes(inner), to + inner.size());
    return header + sealed;
  }
  // What the server says to these bytes: its progress, and the alert it put on the wire (-1: none).
  std::pair<Progress, int> answer(const std::string& sent, std::string* got = nullptr) {
    const Pair both = pair();
    Chain arrived = chain_of(sent, worker->buffers, 1448), plaintext, wire, alert, none;
    Progress progress = worker->sessions.receive(both.server, arrived, plaintext, wire, now);
    if (progress == Progress::established) progress = worker->sessions.receive(both.server, none, plaintext, wire, now);
    if (got) *got = content(plaintext);
    int code = -1;
    if (!wire.empty()) {
      const std::string bytes = content(wire);
      EXPECT_EQ(bytes.size(), 5u + 2 + 17) << "one alert";
      code = alert_of(bytes);
    }
    worker->sessions.free(both.server);
    worker->sessions.free(both.client);
    return {progress, code};
  }
  int alert_of(const std::string& record) {
    Direction reading;
    reading.start(*worker->engine, suites[0], bytes(std::string(32, 's')), 0);
    AeadKey key;
    worker->engine->expand(Aead::aes128_gcm, reading.key.view(), key);
    Chain in = chain_of(record, worker->buffers, 1448), out;
    ContentType type;
    const Opened opened =
        open_record({*worker->engine, suites[0], key, worker->buffers}, reading, peek_header(in).size, in, out, type);
    return opened == Opened::ok && type == ContentType::alert && out.size() == 2
               ? static_cast<unsigned char>(content(out)[1])
               : -2;
  }
};

TEST_F(SessionRecordsTest, KeyUpdateFromOpensslIsFollowedAndAnswered) {
  const ServerContext server = context();
  for (const char* suite : {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}) {
    Conversation talk{*worker, server, {.suites = suite}, now, 0};
    ASSERT_TRUE(talk.shake_hands());
    std::string sent;
    for (int i = 0; i < 6; ++i) {
      ASSERT_EQ(SSL_key_update(talk.client.ssl(), i % 2 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED), 1);
      const std::string piece = noise(30'000, i);
      ASSERT_TRUE(talk.client.write(piece));
      sent += piece;
      talk.pump();
      ASSERT_TRUE(talk.received == sent) << i;
      talk.send(piece);
      ASSERT_TRUE(talk.client.read() == piece) << i;
    }
  }
  EXPECT_EQ(worker->count(Counter::tls_key_updates_received), 18u);
  EXPECT_EQ(worker->count(Counter::tls_key_updates_sent), 9u);
}

TEST_F(SessionRecordsTest, OurKeyUpdateIsForcedBeforeTheLimitAndOnRequest) {
  SessionsConfig config = Worker::small();
  config.rekey_after = 10;
  worker.reset();
  worker = std::make_unique<Worker>("tls_rekey", 0, config);
  const ServerContext server = context();
  Conversation talk{*worker, server, {}, now};
  ASSERT_TRUE(talk.shake_hands());
  std::string all, got;
  for (int i = 0; i < 50; ++i) {
    all += "message";
    talk.send("message");
    got += talk.client.read();
  }
  EXPECT_EQ(got, all);
  EXPECT_EQ(worker->count(Counter::tls_key_updates_sent), 5u) << "tickets took two numbers of the first ten";
  worker->sessions.request_key_update(talk.id());
  talk.send("and yours");
  EXPECT_EQ(talk.client.read(), "and yours");
  ASSERT_TRUE(talk.client.write("mine is new"));
  talk.pump();
  EXPECT_EQ(talk.received, "mine is new");
  EXPECT_EQ(worker->count(Counter::tls_key_updates_received), 1u);
}

TEST_F(SessionRecordsTest, ATamperedRecordKillsTheConnection) {
  const ServerContext server = context();
  Conversation talk{*worker, server, {}, now};
  ASSERT_TRUE(talk.shake_hands());
  ASSERT_TRUE(talk.client.write("first"));
  ASSERT_TRUE(talk.client.write("second"));
  ASSERT_TRUE(talk.client.write("third"));
  std::string bytes = talk.client.take();
  bytes[5 + 5 + 17 + 5 + 2] ^= 1;  // in the second record
  talk.deliver(chain_of(bytes, worker->buffers, 1448));
  EXPECT_EQ(talk.received, "first");
  EXPECT_EQ(talk.last, Progress::error);
  talk.client.read();
  EXPECT_EQ(talk.client.last_error(), SSL_ERROR_SSL);
  EXPECT_EQ(talk.client.alert(), SSL_AD_BAD_RECORD_MAC);
  EXPECT_EQ(worker->count(Counter::tls_bad_records), 1u);
  ASSERT_FALSE(worker->sessions.is_established(talk.id()));
  Chain more = chain_of("anything", worker->buffers, 100), none, wire;
  EXPECT_EQ(worker->sessions.receive(talk.id(), more, none, wire, now), Progress::error);
  EXPECT_TRUE(more.empty() && none.empty() && wire.empty());
}

TEST_F(SessionRecordsTest, WhatThePeerMayNotSendHasItsAlert) {
  using Answer = std::pair<Progress, int>;
  constexpr auto error = Progress::error;
  EXPECT_EQ(answer(std::string("\x16\x03\x03\x00\x05hello", 10)), Answer(error, 10)) << "in the clear";
  EXPECT_EQ(answer(std::string("\x14\x03\x03\x00\x01\x01", 6)), Answer(error, 10))
      << "ChangeCipherSpec after the handshake";
  EXPECT_EQ(answer(std::string("\x17\x03\x03\x41\x01", 5)), Answer(error, 22)) << "above 2^14 + 256";
  EXPECT_EQ(answer(std::string("\x17\x03\x03\x00\x10", 5) + std::string(16, 'x')), Answer(error, 20))
      << "no room for a type";
  EXPECT_EQ(answer(forge(23, std::string(16385, 'x'), 0)), Answer(error, 22)) << "more plaintext than 2^14";
  EXPECT_EQ(answer(forge(0, std::string(20, '\0'), 0)), Answer(error, 10)) << "no type";
  EXPECT_EQ(answer(forge(99, "x", 0)), Answer(error, 10)) << "unknown type";
  EXPECT_EQ(answer(forge(22, "", 0)), Answer(error, 10)) << "an empty handshake record";
  EXPECT_EQ(answer(forge(22, std::string("\x01\x00\x00\x01\x00", 5), 0)), Answer(error, 10))
      << "ClientHello: no renegotiation";
  EXPECT_EQ(answer(forge(22, std::string("\x04\x00\x00\x01\x00", 5), 0)), Answer(error, 10))
      << "a ticket from a client";
  EXPECT_EQ(answer(forge(22, std::string("\x18\x00\x00\x01\x02", 5), 0)), Answer(error, 47))
      << "KeyUpdate neither 0 nor 1";
  EXPECT_EQ(answer(forge(22, std::string("\x18\x00\x00\x02\x00\x00", 6), 0)), Answer(error, 50))
      << "KeyUpdate of two bytes";
  EXPECT_EQ(answer(forge(22, std::string("\x18\x00\x00\x01\x00\x18", 6), 0)), Answer(error, 10))
      << "a message behind KeyUpdate";
  EXPECT_EQ(answer(forge(22, std::string("\x18\x00", 2), 0) + forge(23, "data", 1)), Answer(error, 10))
      << "data inside a message";
  EXPECT_EQ(answer(forge(21, "\x02", 0)), Answer(error, 50)) << "half an alert";
  EXPECT_EQ(answer(forge(21, "\x02\x28", 0)), Answer(error, -1)) << "a fatal alert is not answered";
  EXPECT_EQ(answer(forge(21, "\x01\x28", 0)), Answer(error, -1)) << "whatever its level says";
}

TEST_F(SessionRecordsTest, WhatThePeerMaySendIsTaken) {
  std::string got;
  EXPECT_EQ(answer(forge(23, "", 0) + forge(23, "", 1) + forge(23, "x", 2), &got).second, -1);
  EXPECT_EQ(got, "x") << "empty records";
  EXPECT_EQ(answer(forge(23, std::string(16384, 'y'), 0), &got).second, -1);
  EXPECT_EQ(got.size(), 16384u);
  EXPECT_EQ(answer(forge(23, "padded", 0, 255) + forge(23, "!", 1, 16000), &got).second, -1);
  EXPECT_EQ(got, "padded!");
  EXPECT_EQ(answer(forge(21, std::string("\x01\x5a", 2), 0) + forge(23, "z", 1), &got).second, -1);
  EXPECT_EQ(got, "z") << "user_canceled";
  EXPECT_EQ(answer(forge(23, "a", 0) + forge(21, std::string("\x01\x00", 2), 1) + forge(23, "b", 2), &got).first,
            Progress::closed);
  EXPECT_EQ(got, "a") << "nothing counts after close_notify";
  // KeyUpdate in two records: the key changes at its end.
  EXPECT_EQ(answer(forge(22, std::string("\x18\x00", 2), 0) + forge(22, std::string("\x00\x01\x00", 3), 1), &got),
            std::pair(Progress::need_more, -1));
}

TEST_F(SessionRecordsTest, ManyRequestsForAKeyUpdateGetOneAnswer) {
  const auto both = pair();
  Chain wire, plaintext, answers;
  for (int i = 0; i < 5; ++i) {
    worker->sessions.request_key_update(both.client);
    Chain data = chain_of("x", worker->buffers, 100);
    ASSERT_TRUE(worker->sessions.send(both.client, data, wire, now));
  }
  worker->sessions.receive(both.server, wire, plaintext, answers, now);
  EXPECT_EQ(content(plaintext), "xxxxx");
  EXPECT_EQ(answers.size(), 5u + 5 + 17);
  plaintext.clear();
  Chain none;
  worker->sessions.receive(both.client, answers, plaintext, none, now);
  Chain data = chain_of("still in step", worker->buffers, 100);
  ASSERT_TRUE(worker->sessions.send(both.server, data, wire, now));
  worker->sessions.receive(both.client, wire, plaintext, none, now);
  EXPECT_EQ(content(plaintext), "still in step");
  worker->sessions.free(both.server);
  worker->sessions.free(both.client);
}

}  // namespace
}  // namespace sluice::tls
