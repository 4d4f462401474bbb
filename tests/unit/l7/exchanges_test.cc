// Requests through the pipeline as shipped: what the server is asked, what the client is told, when either misbehaves.
#include "l7/exchanges.h"

#include <gmock/gmock.h>

#include "tests/unit/l7/proxied.h"

namespace sluice {
namespace {

using test::Talk;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr std::string_view get = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr std::string_view ok2 = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

class ExchangesTest : public test::Proxied {
 protected:
  Talk& server() { return servers.back(); }
};

TEST_F(ExchangesTest, RequestsOfAConnectionShareOneUpstream) {
  Talk& client = connect();
  ASSERT_TRUE(client.connected);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ask(client, get), "");
    ASSERT_EQ(servers.size(), 1u);
    EXPECT_THAT(answer(server(), ok2), StartsWith("GET /x HTTP/1.1\r\nhost: a\r\n"));
    EXPECT_EQ(client.got, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
  }
  EXPECT_FALSE(client.finished);
  EXPECT_EQ(count(Counter::http_requests), 3u);
}

TEST_F(ExchangesTest, ASecondClientWhileTheFirstWaitsHasAnUpstreamOfItsOwn) {
  Talk& first = connect();
  ask(first, get);
  Talk& second = connect();
  ask(second, get);
  ASSERT_EQ(servers.size(), 2u);
  answer(servers.back(), "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond");
  answer(servers.front(), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst");
  EXPECT_THAT(first.got, EndsWith("first"));
  EXPECT_THAT(second.got, EndsWith("second"));
}

TEST_F(ExchangesTest, PipelinedRequestsAreAnsweredInOrder) {
  Talk& client = connect();
  ask(client, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(answer(server(), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"), StartsWith("GET /1 "));
  EXPECT_THAT(answer(servers.back(), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo"), StartsWith("GET /2 "));
  EXPECT_LT(client.got.find("one"), client.got.find("two"));
  EXPECT_NE(client.got.find("two"), std::string::npos);
}

TEST_F(ExchangesTest, AnEndpointThatRefusesIs502) {
  listener.to = parse_endpoint("192.0.2.5:8081");
  Talk& client = connect();
  EXPECT_THAT(ask(client, get), StartsWith("HTTP/1.1 502 "));
  EXPECT_FALSE(client.reset);
}

TEST_F(ExchangesTest, AnEndpointThatIsNotThereIsAnErrorAfterTheConnectTimeout) {
  listener.to = parse_endpoint("192.0.2.77:8080");
  listener.connect_timeout = Nanos{500'000'000};
  Talk& client = connect();
  EXPECT_EQ(ask(client, get), "");
  run(600);
  EXPECT_THAT(client.got, testing::AnyOf(StartsWith("HTTP/1.1 504 "), StartsWith("HTTP/1.1 502 ")));
}

TEST_F(ExchangesTest, ASilentEndpointIs504AndItsConnectionGoes) {
  listener.request_timeout = Nanos{1'000'000'000};
  Talk& client = connect();
  EXPECT_EQ(ask(client, get), "");
  run(800);
  EXPECT_EQ(client.got, "");
  run(300);
  EXPECT_THAT(client.got, StartsWith("HTTP/1.1 504 "));
  EXPECT_TRUE(server().reset || server().finished) << "its late answer must not meet another request";
  EXPECT_EQ(ask(client, get), "");
  EXPECT_EQ(servers.size(), 2u);
}

// Ten seconds from its first byte (support/node.cc), not from the connection's beginning.
TEST_F(ExchangesTest, AHeadThatIsNotWholeInTimeIs408) {
  Talk& client = connect();
  run(9'000);
  EXPECT_EQ(ask(client, "GET /x HT"), "");
  run(5'000);
  EXPECT_EQ(ask(client, "TP/1.1\r\n"), "");
  run(4'500);
  EXPECT_EQ(client.got, "") << "it has some time left, and what comes in between gives it none";
  EXPECT_FALSE(client.finished);
  run(1'000);
  EXPECT_THAT(client.got, StartsWith("HTTP/1.1 408 "));
  EXPECT_TRUE(client.finished);
}

TEST_F(ExchangesTest, AClientThatAsksNothingIsLetGo) {
  Talk& client = connect();
  run(9'000);
  EXPECT_FALSE(client.finished);
  run(2'000);
  EXPECT_EQ(client.got, "");
  EXPECT_TRUE(client.finished);
}

TEST_F(ExchangesTest, TheHeadsDeadlineEndsWithTheHead) {
  Talk& client = connect();
  EXPECT_EQ(ask(client, get.substr(0, 5)), "");
  run(8'000);
  EXPECT_EQ(ask(client, get.substr(5)), "");
  run(12'000);
  answer(server(), ok2);
  EXPECT_THAT(client.got, EndsWith("ok"));
  run(30'000);
  EXPECT_FALSE(client.finished) << "nor is the time for a first request its own still running";
}

TEST_F(ExchangesTest, WhatIsNoRequestIs400AndTheEnd) {
  Talk& client = connect();
  EXPECT_THAT(ask(client, "GET / HTTP/1.1\r\nHost : a\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_TRUE(client.finished);
  EXPECT_EQ(servers.size(), 0u);
}

TEST_F(ExchangesTest, AHeadThatIsTooLargeIs431) {
  Talk& client = connect();
  EXPECT_THAT(ask(client, "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(70'000, 'x') + "\r\n\r\n"),
              StartsWith("HTTP/1.1 431 "));
  EXPECT_EQ(servers.size(), 0u);
}

TEST_F(ExchangesTest, OverTheLimitOfRequestsIs503) {
  listener.max_requests = 1;
  Talk& first = connect();
  ask(first, get);
  Talk& second = connect();
  EXPECT_THAT(ask(second, get), StartsWith("HTTP/1.1 503 "));
  answer(server(), ok2);
  EXPECT_THAT(first.got, EndsWith("ok"));
  EXPECT_EQ(ask(second, get), "") << "the place is free again";
  answer(server(), ok2);
  EXPECT_THAT(second.got, EndsWith("ok"));
}

TEST_F(ExchangesTest, BodiesPassBothWaysWhole) {
  std::string up(300'000, 0), down(400'000, 0);
  for (std::size_t i = 0; i < up.size(); ++i) up[i] = static_cast<char>('a' + i * 7 % 26);
  for (std::size_t i = 0; i < down.size(); ++i) down[i] = static_cast<char>('A' + i * 11 % 26);
  Talk& client = connect();
  ask(client, "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n" + up);
  run(500);
  EXPECT_THAT(server().got, EndsWith("\r\n\r\n" + up));
  client.got.clear();
  answer(server(), "HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n" + down);
  run(500);
  EXPECT_THAT(client.got, EndsWith("\r\n\r\n" + down));
}

TEST_F(ExchangesTest, AClientThatDoesNotReadHoldsTheServerBack) {
  Talk& client = connect();
  ask(client, get);
  client.reads = false;
  answer(server(), "HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n");
  const std::string piece(50'000, 'p');
  std::uint64_t given = 0;
  for (int i = 0; i < 100 && given < 3'000'000; ++i) {
    if (peers->send_room(server().id) >= piece.size()) {
      say(server(), piece);
      given += piece.size();
    }
    run(20);
  }
  EXPECT_LT(given, 2'500'000u) << "the node takes what it may hold, and no more";
  client.reads = true;
  for (int i = 0; i < 1000 && given < 3'000'000; ++i) {
    if (peers->send_room(server().id) >= piece.size()) {
      say(server(), piece);
      given += piece.size();
    }
    run(5);
  }
  run(500);
  EXPECT_THAT(client.got, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(client.got.size() - client.got.find("\r\n\r\n") - 4, 3'000'000u);
}

TEST_F(ExchangesTest, ChunkedBodiesWithTrailers) {
  Talk& client = connect();
  ask(client, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n");
  const std::string asked =
      answer(server(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwxyz\r\n0\r\nX-Sum: 7\r\n\r\n");
  EXPECT_THAT(asked, HasSubstr("transfer-encoding: chunked"));
  EXPECT_THAT(asked, EndsWith("0\r\n\r\n"));
  EXPECT_THAT(asked, Not(HasSubstr("x=y"))) << "chunk extensions are hop-by-hop";
  EXPECT_THAT(client.got, HasSubstr("wxyz"));
  EXPECT_THAT(client.got, testing::ContainsRegex("[xX]-[sS]um: 7\r\n\r\n$"));
}

TEST_F(ExchangesTest, HeadHasNoBodyAndTheConnectionGoesOn) {
  Talk& client = connect();
  ask(client, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
  answer(server(), "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
  EXPECT_EQ(client.got, "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
  ask(client, get);
  EXPECT_EQ(servers.size(), 1u);
  answer(server(), ok2);
  EXPECT_THAT(client.got, EndsWith("ok"));
}

TEST_F(ExchangesTest, ExpectContinuePassesThrough) {
  Talk& client = connect();
  ask(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  ASSERT_EQ(servers.size(), 1u);
  EXPECT_THAT(answer(server(), "HTTP/1.1 100 Continue\r\n\r\n"), HasSubstr("100-continue"));
  EXPECT_THAT(client.got, StartsWith("HTTP/1.1 100 "));
  ask(client, "body");
  EXPECT_THAT(answer(server(), ok2), EndsWith("body"));
  EXPECT_THAT(client.got, EndsWith("ok"));
}

TEST_F(ExchangesTest, AClientThatGoesAwayTakesItsRequestWithIt) {
  Talk& client = connect();
  ask(client, get);
  peers->abort(client.id, now);
  run();
  EXPECT_TRUE(server().reset || server().finished);
  Talk& other = connect();
  ask(other, get);
  EXPECT_EQ(servers.size(), 2u) << "an upstream that owes an answer is not used again";
  answer(server(), ok2);
  EXPECT_THAT(other.got, EndsWith("ok"));
}

TEST_F(ExchangesTest, AnAnswerThatIsCutIsSeenAsCut) {
  Talk& client = connect();
  ask(client, get);
  answer(server(), "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
  peers->shutdown(server().id, now);
  run();
  EXPECT_THAT(client.got, EndsWith("half"));
  EXPECT_TRUE(client.reset || client.finished) << "the length that was promised tells it (RFC 9112 8)";
  EXPECT_EQ(client.got.find("HTTP/1.1", 1), std::string::npos) << "no second answer behind half of one";
}

TEST_F(ExchangesTest, AnAnswerWithoutLengthEndsWithItsConnection) {
  Talk& client = connect();
  ask(client, get);
  answer(server(), "HTTP/1.1 200 OK\r\n\r\nuntil the end");
  peers->shutdown(server().id, now);
  run();
  EXPECT_THAT(client.got, HasSubstr("until the end"));
  EXPECT_FALSE(client.reset);
}

TEST_F(ExchangesTest, AnIdleUpstreamThatEndsIsNotUsedAgain) {
  Talk& client = connect();
  ask(client, get);
  answer(server(), ok2);
  peers->shutdown(server().id, now);
  run();
  ask(client, get);
  ASSERT_EQ(servers.size(), 2u);
  answer(server(), ok2);
  EXPECT_THAT(client.got, EndsWith("ok"));
}

// TCP ends what stands still when buffers are short (l4/tcp/pressure.cc): the endpoint has done nothing wrong.
TEST_F(ExchangesTest, AnUpstreamThatIsCutForWantOfBuffersIs503) {
  held_buffers_max = 128;
  listener.request_timeout = Nanos{60'000'000'000};
  for (int i = 0; i < 24; ++i) {
    Talk& client = connect();
    ask(client, "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
    server().reads = false;
    say(client, std::string(100'000, 'u'));
  }
  EXPECT_EQ(count(Counter::http_upstream_cut), 0u) << "they wait";
  run(9'000);
  EXPECT_GT(count(Counter::tcp_pressure_cut_idle), 0u);
  EXPECT_GT(count(Counter::http_upstream_cut), 0u);
  EXPECT_EQ(count(Counter::http_upstream_failures), 0u);
  std::uint64_t refused = 0;
  for (const Talk& client : clients) refused += client.got.starts_with("HTTP/1.1 503 ");
  EXPECT_GT(refused, 0u);
  EXPECT_LE(refused, count(Counter::http_upstream_cut));
}

TEST_F(ExchangesTest, AnAnswerThatIsNoHttpIs502) {
  Talk& client = connect();
  ask(client, get);
  answer(server(), "SSH-2.0-OpenSSH_9.2\r\n\r\n");
  EXPECT_THAT(client.got, StartsWith("HTTP/1.1 502 "));
}

TEST_F(ExchangesTest, DrainingAnswersSayCloseAndIdleClientsEnd) {
  Talk& idle = connect();
  Talk& busy = connect();
  ask(busy, get);
  node->pipeline(0).drain(now);
  run();
  EXPECT_TRUE(idle.finished);
  EXPECT_FALSE(busy.finished);
  EXPECT_FALSE(node->pipeline(0).drained());
  answer(server(), ok2);
  EXPECT_THAT(busy.got, HasSubstr("connection: close"));
  EXPECT_TRUE(busy.finished);
  peers->shutdown(busy.id, now);
  peers->shutdown(idle.id, now);
  run(100);
  EXPECT_TRUE(node->pipeline(0).drained());
}

TEST_F(ExchangesTest, AnUploadThatShutItsWindowWhileItWaitedForAConnectionGoesOn) {
  listener.max_connections = 1;
  Talk& first = connect();
  ask(first, get);
  Talk& second = connect();
  const std::string body(2'000'000, 'u');
  ask(second, "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n" + body);
  run(3'000);
  ASSERT_EQ(servers.size(), 1u) << "the second request waits";
  answer(server(), ok2);
  run(3'000);
  ASSERT_EQ(servers.size(), 1u);
  EXPECT_THAT(server().got, EndsWith("\r\n\r\n" + body));
}

TEST_F(ExchangesTest, AClientThatStopsReadingHasTheEndOfItsLastAnswerLater) {
  const std::string body(100'000, 'b');
  Talk& client = connect();
  ask(client, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  client.reads = false;
  answer(server(), "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + body);
  run(7'000);  // longer than what comes is read and dropped after the end
  client.reads = true;
  run(1'000);
  EXPECT_THAT(client.got, EndsWith("\r\n\r\n" + body));
  EXPECT_FALSE(client.reset);
  EXPECT_TRUE(client.finished);
}

TEST_F(ExchangesTest, ANodeThatEndsInTheMidstOfRequestsGivesAllBack) {
  Talk& client = connect();
  ask(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
  Talk& other = connect();
  ask(other, "GET /" + std::string(3000, 'p') + " HTTP/1.1\r\nHost: a\r\n\r\n");
  node.reset();
  EXPECT_FALSE(client.finished);
}

TEST_F(ExchangesTest, AnHttp10ClientGetsItsEnd) {
  Talk& client = connect();
  ask(client, "GET / HTTP/1.0\r\n\r\n");
  answer(server(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
  EXPECT_THAT(client.got, EndsWith("\r\n\r\nabc")) << "it knows no chunks";
  EXPECT_TRUE(client.finished);
}

}  // namespace
}  // namespace sluice
