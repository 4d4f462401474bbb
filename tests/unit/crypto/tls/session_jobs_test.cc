// Handshakes through the session: what clients may offer, how they fail, tickets across workers, helper threads.
#include <atomic>
#include <thread>

#include "tests/unit/crypto/tls/fixture.h"

namespace sluice::tls {
namespace {

struct SessionJobsTest : TlsTest {
  // The alert that a client gets, and the failure that we counted.
  std::pair<int, Failure> refusal(const ServerContext& server, const TlsClient::Options& options) {
    Conversation talk{*worker, server, options, now};
    EXPECT_FALSE(talk.shake_hands());
    EXPECT_EQ(talk.last, Progress::error);
    return {talk.client.alert(), worker->sessions.failure(talk.id())};
  }
};

TEST_F(SessionJobsTest, HelloRetryRequest) {
  ServerConfig only384 = config();
  only384.groups = {"P-384"};
  const ServerContext server = context(only384);
  for (const std::uint32_t cut : {1448u, 1u}) {
    Conversation talk{*worker, server, {.groups = "X25519:P-384"}, now, cut};  // a share for X25519 alone
    ASSERT_TRUE(talk.shake_hands());
    ASSERT_TRUE(talk.client.write("after a retry"));
    talk.pump();
    EXPECT_EQ(talk.received, "after a retry");
  }
}

TEST_F(SessionJobsTest, FailuresAreAlertedAndCounted) {
  const ServerContext server = context();
  using Refusal = std::pair<int, Failure>;
  EXPECT_EQ(refusal(server, {.max_version = TLS1_2_VERSION}),
            Refusal(SSL_AD_PROTOCOL_VERSION, Failure::protocol_version));
  EXPECT_EQ(refusal(server, {.groups = "P-521"}), Refusal(SSL_AD_HANDSHAKE_FAILURE, Failure::no_shared_offer));
  EXPECT_EQ(refusal(server, {.protocols = {"spdy/3", "imap"}}),
            Refusal(SSL_AD_NO_APPLICATION_PROTOCOL, Failure::no_protocol));
  ServerConfig named;
  named.named = {{{"www.example.com", "*.example.net"}, {identity(KeyType::ec)}}};
  const ServerContext strict = context(named);
  EXPECT_EQ(refusal(strict, {.name = "other.example.com"}), Refusal(SSL_AD_UNRECOGNIZED_NAME, Failure::unknown_name));
  EXPECT_EQ(refusal(strict, {}), Refusal(SSL_AD_UNRECOGNIZED_NAME, Failure::unknown_name));
  EXPECT_EQ(worker->count(Counter::tls_handshakes_failed), 5u);
  EXPECT_EQ(worker->count(Counter::tls_failed_unknown_name), 2u);
  EXPECT_EQ(worker->count(Counter::tls_failed_no_protocol), 1u);
  EXPECT_EQ(worker->count(Counter::tls_failed_protocol_version), 1u);
  EXPECT_EQ(worker->count(Counter::tls_failed_no_shared_offer), 1u);
}

TEST_F(SessionJobsTest, NameAndProtocolChoose) {
  const auto other = test::make_identity(KeyType::ec, {"*.example.net"});
  ServerConfig both = config();
  both.named = {{{"*.example.net"}, {{other.certificate, other.key}}}};
  const ServerContext server = context(both);
  const auto subject = [&](const char* name, std::vector<std::string> protocols) {
    Conversation talk{*worker, server, {.name = name, .protocols = protocols}, now};
    EXPECT_TRUE(talk.shake_hands());
    char text[256] = {};
    X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get0_peer_certificate(talk.client.ssl())), NID_commonName, text,
                              sizeof text);
    const SessionInfo info = worker->sessions.info(talk.id());
    EXPECT_EQ(info.name, name ? name : "");
    return std::string{text} + " " + std::string{info.protocol};
  };
  EXPECT_EQ(subject("a.example.net", {"http/1.1", "h2"}), "*.example.net h2") << "our order";
  EXPECT_EQ(subject("www.example.com", {"http/1.1"}), "www.example.com http/1.1");
  EXPECT_EQ(subject(nullptr, {}), "www.example.com ");
}

// A ticket of one worker is taken by another, across a rotation, and not after two.
TEST_F(SessionJobsTest, TicketsResumeOnEveryWorkerWhileTheirKeyLives) {
  const ServerContext server = context();
  Worker other{"tls_other", 1};
  SSL_SESSION* ticket = nullptr;
  {
    Conversation talk{*worker, server, {.name = "www.example.com"}, now};
    ASSERT_TRUE(talk.shake_hands());
    talk.client.read();
    ASSERT_EQ(talk.client.sessions().size(), 2u);
    ticket = talk.client.sessions()[0];
    SSL_SESSION_up_ref(ticket);
  }
  const auto resumes = [&](Worker& on) {
    SSL_SESSION* copy = SSL_SESSION_dup(ticket);  // OpenSSL's client uses a TLS 1.3 ticket once
    Conversation talk{on, server, {.name = "www.example.com", .session = copy}, now};
    SSL_SESSION_free(copy);
    EXPECT_TRUE(talk.shake_hands());
    EXPECT_EQ(SSL_session_reused(talk.client.ssl()), on.sessions.info(talk.id()).resumed);
    EXPECT_TRUE(talk.client.write("again"));
    talk.pump();
    EXPECT_EQ(talk.received, "again");
    talk.send("welcome back");
    EXPECT_EQ(talk.client.read(), "welcome back");
    return on.sessions.info(talk.id()).resumed;
  };
  EXPECT_TRUE(resumes(*worker));
  EXPECT_TRUE(resumes(other));
  keyring.rotate(*TicketKeys::random_key());
  EXPECT_TRUE(resumes(other)) << "the previous key";
  keyring.rotate(*TicketKeys::random_key());
  EXPECT_FALSE(resumes(other)) << "a key that is gone: a full handshake instead";
  EXPECT_EQ(other.count(Counter::tls_resumptions), 2u);
  EXPECT_EQ(other.count(Counter::tls_handshakes), 3u);
  SSL_SESSION_free(ticket);
}

TEST_F(SessionJobsTest, NoTicketsWhenNoneAreWanted) {
  ServerConfig none = config();
  none.tickets = 0;
  const ServerContext server = context(none);
  Conversation talk{*worker, server, {}, now};
  ASSERT_TRUE(talk.shake_hands());
  talk.send("x");
  EXPECT_EQ(talk.client.read(), "x");
  EXPECT_TRUE(talk.client.sessions().empty());
}

TEST_F(SessionJobsTest, InlineJobsAreBoundedPerTurn) {
  const ServerContext server = context();
  std::vector<std::unique_ptr<Conversation>> talks;
  for (int i = 0; i < 5; ++i) {
    talks.push_back(std::make_unique<Conversation>(*worker, server, TlsClient::Options{}, now));
    ASSERT_TRUE(talks[i]->client.step());
    Chain hello = chain_of(talks[i]->client.take(), worker->buffers, 1448), plaintext, wire;
    EXPECT_EQ(worker->sessions.receive(talks[i]->id(), hello, plaintext, wire, now), Progress::handshaking);
  }
  EXPECT_EQ(worker->sessions.take_finished_jobs(now).size(), 2u);
  EXPECT_EQ(worker->count(Counter::tls_ssl_objects), 2u);
  EXPECT_TRUE(worker->sessions.jobs_waiting());
  worker->sessions.free(talks[4]->id());  // one that gave up is skipped
  EXPECT_EQ(worker->sessions.take_finished_jobs(now).size(), 2u);
  EXPECT_EQ(worker->sessions.take_finished_jobs(now).size(), 0u);
  EXPECT_FALSE(worker->sessions.jobs_waiting());
  talks.clear();
}

TEST_F(SessionJobsTest, JobsBeyondAClientsPatienceAreDropped) {
  const ServerContext server = context();
  Conversation talk{*worker, server, {}, now};
  talk.client.step();
  Chain hello = chain_of(talk.client.take(), worker->buffers, 1448), plaintext, wire, none;
  worker->sessions.receive(talk.id(), hello, plaintext, wire, now);
  const Nanos late = now + Worker::small().patience + Nanos{1};
  ASSERT_EQ(worker->sessions.take_finished_jobs(late).size(), 1u);
  EXPECT_EQ(worker->sessions.receive(talk.id(), none, plaintext, wire, late), Progress::error);
  EXPECT_EQ(worker->sessions.failure(talk.id()), Failure::abandoned);
  EXPECT_EQ(worker->count(Counter::tls_failed_abandoned), 1u);
}

TEST_F(SessionJobsTest, TooManyHandshakesAreRefusedAndIdleConnectionsTakeNone) {
  const ServerContext server = context();
  std::vector<std::unique_ptr<Conversation>> talks;
  int refused = 0;
  for (int i = 0; i < 40; ++i) {
    talks.push_back(std::make_unique<Conversation>(*worker, server, TlsClient::Options{}, now));
    if (i < 20) continue;  // says nothing
    talks[i]->client.step();
    talks[i]->pump();
    if (talks[i]->last == Progress::error) {
      EXPECT_EQ(worker->sessions.failure(talks[i]->id()), Failure::overloaded);
      ++refused;
    }
  }
  EXPECT_EQ(refused, 20 - static_cast<int>(Worker::small().handshakes));
  EXPECT_EQ(worker->count(Counter::tls_ssl_objects), Worker::small().handshakes);
}

TEST_F(SessionJobsTest, AThousandIdleConnectionsHoldNoSslObject) {
  SessionsConfig config = Worker::small();
  config.sessions = 1000;
  worker.reset();
  worker = std::make_unique<Worker>("tls_idle", 0, config);
  const ServerContext server = context();
  std::vector<std::unique_ptr<Conversation>> talks;
  for (int i = 0; i < 300; ++i) {
    talks.push_back(std::make_unique<Conversation>(*worker, server, TlsClient::Options{}, now));
    ASSERT_TRUE(talks.back()->shake_hands());
  }
  EXPECT_EQ(worker->count(Counter::tls_ssl_objects), 0u);
  EXPECT_EQ(worker->count(Counter::tls_sessions), 300u);
  // Far more of them than hot keys: each still has its own.
  for (std::size_t i = 0; i < talks.size(); ++i) {
    talks[i]->send("answer " + std::to_string(i));
    ASSERT_EQ(talks[i]->client.read(), "answer " + std::to_string(i));
  }
}

TEST_F(SessionJobsTest, ThePolicyMayGoWhileAHandshakeIsUnderWay) {
  auto server = std::make_unique<ServerContext>(context());
  Conversation talk{*worker, *server, {}, now};
  ASSERT_TRUE(talk.client.step());
  talk.pump();
  server.reset();
  EXPECT_TRUE(talk.shake_hands());
}

TEST_F(SessionJobsTest, HelperThreadsRunThem) {
  const ServerContext server = context();
  HandshakeLine first{0, 4, Worker::small().patience}, second{1, 4, Worker::small().patience};
  HandshakeLine* lines[] = {&first, &second};
  worker->sessions.use_helpers(lines);
  std::atomic<bool> stop{false};
  std::vector<std::thread> helpers;
  for (HandshakeLine* line : lines)
    helpers.emplace_back([line, &stop, this] {
      while (!stop)
        if (!line->serve(now)) std::this_thread::yield();
    });
  {
    std::vector<std::unique_ptr<Conversation>> talks;
    for (int i = 0; i < 12; ++i)
      talks.push_back(std::make_unique<Conversation>(*worker, server, TlsClient::Options{}, now));
    // One gives up while its job is out.
    {
      Conversation gone{*worker, server, {}, now};
      gone.client.step();
      gone.pump();
      worker->sessions.take_finished_jobs(now);
    }
    for (int turn = 0; turn < 100'000; ++turn) {
      bool all = true;
      for (auto& talk : talks) {
        talk->client.step();
        talk->pump();
        all &= talk->announced && talk->client.connected();
      }
      worker->sessions.take_finished_jobs(now);
      if (all) break;
    }
    for (auto& talk : talks) {
      ASSERT_TRUE(talk->announced);
      talk->send("from a helper");
      EXPECT_EQ(talk->client.read(), "from a helper");
    }
    for (int i = 0; i < 1000 && worker->count(Counter::tls_ssl_objects); ++i) {
      worker->sessions.take_finished_jobs(now);
      std::this_thread::yield();
    }
  }
  stop = true;
  for (std::thread& helper : helpers) helper.join();
  worker->sessions.take_finished_jobs(now);
}

}  // namespace
}  // namespace sluice::tls
