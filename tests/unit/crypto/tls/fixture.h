// fixture.h - one worker's TLS with its engine and buffers, and a conversation of it with an OpenSSL client.
#pragma once

#include <gtest/gtest.h>

#include <ctime>

#include "crypto/tls/session.h"
#include "dataplane/base/rng.h"
#include "tests/support/tls_peer.h"

namespace sluice::tls {

using test::KeyType;
using test::TlsClient;

inline std::string content(const Chain& chain) {
  std::string out(chain.size(), 0);
  chain.peek(0, {reinterpret_cast<std::uint8_t*>(out.data()), out.size()});
  return out;
}
// Bytes in segments of at most `segment`, or of random sizes up to it.
inline Chain chain_of(std::string_view in, Buffers& buffers, std::uint32_t segment, Rng* rng = nullptr) {
  Chain chain;
  while (!in.empty()) {
    const std::size_t n = std::min<std::size_t>(in.size(), rng ? 1 + rng->below(segment) : segment);
    Packet packet = buffers.make();
    CHECK(packet);
    std::memcpy(packet.data(), in.data(), n);
    packet.get()->data_len = static_cast<std::uint16_t>(n);
    packet.get()->pkt_len = static_cast<std::uint32_t>(n);
    chain.append(std::move(packet));
    in.remove_prefix(n);
  }
  return chain;
}
inline std::string noise(std::size_t size, std::uint64_t seed) {
  Rng rng{seed};
  std::string out(size, 0);
  for (char& c : out) c = static_cast<char>(rng.next());
  return out;
}

inline Identity identity(KeyType type) { return {test::identity_of(type).certificate, test::identity_of(type).key}; }

struct Worker {
  static constexpr unsigned data_count = 8192, slice_count = 4096;
  explicit Worker(const char* name, unsigned thread = 0, SessionsConfig config = small())
      : buffers(name, data_count, slice_count, 0, -1),
        engine(std::move(*Engine::open(counters))),
        sessions(config, thread, *engine, buffers, counters) {
    CHECK(buffers.ok());
  }
  static SessionsConfig small() {
    SessionsConfig config;
    config.sessions = 64;
    config.hot_keys = 8;
    config.handshakes = 16;
    return config;
  }
  std::uint64_t count(Counter counter) const { return counters.get(counter); }

  Counters counters;
  Buffers buffers;
  std::unique_ptr<Engine> engine;
  Sessions sessions;
};

// Every test ends with all buffers back and no SSL object alive.
struct TlsTest : testing::Test {
  Libraries libraries{2};
  TicketKeyring keyring;
  std::unique_ptr<Worker> worker;
  Rng rng{7};
  Nanos now{1'000'000'000};

  void SetUp() override {
    keyring.rotate(*TicketKeys::random_key());
    worker = std::make_unique<Worker>("tls_test");
  }
  void TearDown() override {
    EXPECT_EQ(worker->count(Counter::tls_ssl_objects), 0u);
    EXPECT_EQ(worker->buffers.data_free(), Worker::data_count) << "a buffer is lost";
    EXPECT_EQ(worker->buffers.slices_free(), Worker::slice_count) << "a descriptor is lost";
  }
  ServerConfig config() {
    ServerConfig config;
    config.fallback = {identity(KeyType::ec), identity(KeyType::rsa)};
    config.alpn = {"h2", "http/1.1"};
    return config;
  }
  ServerContext context(const ServerConfig& config) {
    auto built = ServerContext::build(config, libraries, keyring, time(nullptr));
    CHECK(built);
    return std::move(*built);
  }
  ServerContext context() { return context(config()); }
};

// A client and our session with a wire between them. cut: sizes at which the client's bytes arrive (0: at random).
class Conversation {
 public:
  Conversation(Worker& worker, const ServerContext& context, const TlsClient::Options& options, Nanos now,
               std::uint32_t cut = 1448)
      : client(options), worker_(worker), now_(now), cut_(cut), id_(worker.sessions.accept(context, now)) {}
  // One that goes on with an imported or installed session.
  Conversation(Worker& worker, SessionId id, const TlsClient::Options& options, Nanos now)
      : client(options), worker_(worker), now_(now), id_(id) {}
  ~Conversation() { worker_.sessions.free(id_); }

  // Carries bytes both ways until nothing moves. True when both ends are connected.
  bool shake_hands() {
    for (int i = 0; i < 20 && !(client.connected() && worker_.sessions.is_established(id_) && announced); ++i) {
      client_failed = !client.step();
      pump();
      if (last == Progress::error) break;
    }
    client.step();
    return client.connected() && announced;
  }
  // What the client wants to send arrives, in cuts; our answers reach the client.
  void pump() {
    const std::string bytes = client.take();
    std::string_view rest = bytes;
    do {
      const std::size_t n = std::min<std::size_t>(rest.size(), cut_ ? cut_ : 1 + rng_.below(700));
      deliver(chain_of(rest.substr(0, n), worker_.buffers, 1448));
      rest.remove_prefix(n);
    } while (!rest.empty());
  }
  void deliver(Chain ciphertext) {
    Chain wire, plaintext;
    note(worker_.sessions.receive(id_, ciphertext, plaintext, wire, now_), plaintext, wire);
    while (worker_.sessions.jobs_waiting()) {
      for (const SessionId id : worker_.sessions.take_finished_jobs(now_)) {
        if (id != id_) continue;
        Chain none;
        note(worker_.sessions.receive(id_, none, plaintext, wire, now_), plaintext, wire);
      }
    }
  }
  // Sends through the session, and lets the client read it.
  void send(std::string_view bytes, std::uint32_t segment = 1448) {
    Chain wire, plaintext = chain_of(bytes, worker_.buffers, segment);
    ASSERT_TRUE(worker_.sessions.send(id_, plaintext, wire, now_));
    ASSERT_TRUE(plaintext.empty());
    to_client(wire);
  }
  void to_client(Chain& wire) {
    client.feed(content(wire));
    wire.clear();
  }
  SessionId id() const { return id_; }
  void forget() { id_ = {}; }

  TlsClient client;
  std::string received;  // plaintext from the client
  Progress last = Progress::need_more;
  bool announced = false, closed = false, client_failed = false;

 private:
  void note(Progress progress, Chain& plaintext, Chain& wire) {
    last = progress;
    if (progress == Progress::established) {
      EXPECT_FALSE(announced) << "established twice";
      announced = true;
    }
    closed |= progress == Progress::closed;
    received += content(plaintext);
    plaintext.clear();
    to_client(wire);
  }
  Worker& worker_;
  Nanos now_;
  Rng rng_{3};
  std::uint32_t cut_ = 1448;
  SessionId id_;
};

}  // namespace sluice::tls
