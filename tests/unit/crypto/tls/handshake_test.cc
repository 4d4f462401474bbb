#include "crypto/tls/handshake.h"

#include "tests/unit/crypto/tls/fixture.h"

namespace sluice::tls {
namespace {

struct HandshakeTest : testing::Test {
  Libraries libraries{1};
  TicketKeyring keyring;
  HandshakeOutput out;
  std::size_t consumed = 0;
  ServerContext context() {
    keyring.rotate(*TicketKeys::random_key());
    ServerConfig config;
    config.fallback = {identity(KeyType::ec)};
    config.tickets = 3;
    return std::move(*ServerContext::build(config, libraries, keyring, time(nullptr)));
  }
};

TEST_F(HandshakeTest, HandsOutSecretsAndCountsTheTicketsThatOpensslSealed) {
  const ServerContext server = context();
  Handshake handshake{server.inner(), 0};
  TlsClient client{{.name = "www.example.com"}};
  ASSERT_TRUE(client.step());
  const std::string hello = client.take();
  EXPECT_EQ(handshake.step(bytes(hello), consumed, out), Handshake::Step::more);
  EXPECT_EQ(consumed, hello.size());
  EXPECT_TRUE(handshake.holds_ssl());
  client.feed(text(out.view()));
  out.size = 0;
  ASSERT_TRUE(client.step());
  ASSERT_TRUE(client.write("early bird"));
  // The client's Finished and its first data come together: the data is not the handshake's.
  const std::string flight = client.take();
  EXPECT_EQ(handshake.step(bytes(flight), consumed, out), Handshake::Step::done);
  EXPECT_EQ(flight.size() - consumed, record_header_size + 10 + 17);
  EXPECT_FALSE(handshake.holds_ssl());
  const Established& result = handshake.result();
  EXPECT_EQ(result.server_sequence, 3u);
  EXPECT_EQ(result.client_sequence, 0u);
  EXPECT_EQ(result.name.view(), "www.example.com");
  EXPECT_EQ(result.client_secret.size(), hash_size(find_suite(result.suite)->hash));
  EXPECT_FALSE(result.resumed);
}

TEST_F(HandshakeTest, OnlyWholeRecordsAreConsumed) {
  const ServerContext server = context();
  Handshake handshake{server.inner(), 0};
  TlsClient client{{}};
  client.step();
  const std::string hello = client.take();
  EXPECT_EQ(handshake.step(bytes(std::string_view{hello}.substr(0, hello.size() - 1)), consumed, out),
            Handshake::Step::more);
  EXPECT_EQ(consumed, 0u);
  EXPECT_EQ(out.size, 0u);
}

TEST_F(HandshakeTest, WhatIsNoTlsIsAnsweredByAnAlertInTheClear) {
  const ServerContext server = context();
  Handshake web{server.inner(), 0};
  EXPECT_EQ(web.step(bytes("GET / HTTP/1.1\r\n"), consumed, out), Handshake::Step::failed);
  EXPECT_EQ(web.failure(), Failure::malformed);
  EXPECT_EQ(text(out.view()), std::string_view("\x15\x03\x03\x00\x02\x02\x0a", 7));
  EXPECT_FALSE(web.holds_ssl());
  out.size = 0;
  Handshake large{server.inner(), 0};
  EXPECT_EQ(large.step(bytes(std::string_view("\x16\x03\x01\x41\x01", 5)), consumed, out), Handshake::Step::failed);
  EXPECT_EQ(text(out.view()), std::string_view("\x15\x03\x03\x00\x02\x02\x16", 7)) << "record_overflow";
}

TEST_F(HandshakeTest, AnOldJobIsDroppedUnrun) {
  const ServerContext server = context();
  Handshake handshake{server.inner(), 0};
  HandshakeLine line{0, 2, Nanos{1000}};
  EXPECT_FALSE(line.serve(Nanos{0}));
  HandshakeJob *a = line.make(), *b = line.make();
  ASSERT_TRUE(a && b);
  EXPECT_EQ(line.make(), nullptr);
  a->handshake = b->handshake = &handshake;
  a->submitted = Nanos{5000};
  b->submitted = Nanos{5900};
  line.submit(a);
  line.submit(b);
  EXPECT_TRUE(line.serve(Nanos{6500}));
  EXPECT_TRUE(line.serve(Nanos{6500}));
  EXPECT_EQ(line.take(), a);
  EXPECT_TRUE(a->dropped);
  EXPECT_FALSE(handshake.holds_ssl() && a->dropped && line.take() == nullptr);
  EXPECT_FALSE(b->dropped);
  line.free(a);
  EXPECT_EQ(line.make(), a);
}

}  // namespace
}  // namespace sluice::tls
