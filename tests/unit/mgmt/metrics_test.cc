#include "mgmt/metrics.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

namespace sluice::mgmt {
namespace {

class MetricsTest : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = MetricsServer::open("127.0.0.1:0", [this] {
      ++made_;
      return page_;
    });
    ASSERT_TRUE(opened) << opened.error().text;
    server_ = std::move(*opened);
  }

  int connect() {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    sockaddr_in at{.sin_family = AF_INET, .sin_port = htons(server_->port()), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    ::connect(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at);
    pollfd one{.fd = fd, .events = POLLOUT, .revents = 0};
    poll(&one, 1, 1000);
    return fd;
  }

  // All that the server answers until it closes.
  std::string read_all(int fd) {
    std::string text;
    for (int turns = 0; turns < 2000; ++turns) {
      server_->step();
      char buffer[4096];
      const ssize_t n = recv(fd, buffer, sizeof buffer, 0);
      if (n == 0) return text;
      if (n > 0) text.append(buffer, static_cast<std::size_t>(n));
      else usleep(1000);
    }
    ADD_FAILURE() << "the server does not close";
    return text;
  }

  std::string ask(const std::string& request) {
    const int fd = connect();
    send(fd, request.data(), request.size(), MSG_NOSIGNAL);
    std::string answer = read_all(fd);
    close(fd);
    return answer;
  }

  std::string page_ = "sluice_up 1\n";
  int made_ = 0;
  std::unique_ptr<MetricsServer> server_;
};

TEST_F(MetricsTest, ServesThePage) {
  const std::string answer = ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
  EXPECT_NE(answer.find("Content-Length: 12\r\n"), answer.npos) << answer;
  EXPECT_TRUE(answer.ends_with("\r\n\r\nsluice_up 1\n")) << answer;
}

TEST_F(MetricsTest, HeadHasNoBody) {
  const std::string answer = ask("HEAD /metrics HTTP/1.1\r\n\r\n");
  EXPECT_NE(answer.find("Content-Length: 12\r\n"), answer.npos) << answer;
  EXPECT_TRUE(answer.ends_with("\r\n\r\n")) << answer;
}

TEST_F(MetricsTest, OtherPagesMethodsAndGarbage) {
  EXPECT_TRUE(ask("GET /other HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
  EXPECT_TRUE(ask("POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
  EXPECT_TRUE(ask("\x16\x03\x01 garbage\r\n\r\n").starts_with("HTTP/1.1 400 "));
  EXPECT_TRUE(ask("GET /metrics HTTP/1.1\r\n" + std::string(9000, 'a')).starts_with("HTTP/1.1 431 "));
  EXPECT_EQ(made_, 0);
}

TEST_F(MetricsTest, ABigPageGoesOutInPieces) {
  page_.assign(20 << 20, 'x');
  const std::string answer = ask("GET /metrics HTTP/1.1\r\n\r\n");
  EXPECT_EQ(answer.size() - answer.find("\r\n\r\n") - 4, page_.size());
}

TEST_F(MetricsTest, WhoSaysNothingOrReadsNothingKeepsNobodyOut) {
  page_.assign(4 << 20, 'x');
  std::vector<int> idle;
  for (int i = 0; i < 50; ++i) {
    idle.push_back(connect());
    if (i % 2) send(idle.back(), "GET /metrics HTTP/1.1\r\n\r\n", 25, MSG_NOSIGNAL);
    server_->step();
  }
  EXPECT_LE(server_->clients(), 32u);
  EXPECT_TRUE(ask("GET /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200 "));
  for (const int fd : idle) close(fd);
}

TEST_F(MetricsTest, MakesThePageSeldom) {
  for (int i = 0; i < 20; ++i) ask("GET /metrics HTTP/1.1\r\n\r\n");
  EXPECT_GE(made_, 1);
  EXPECT_LT(made_, 20);
}

TEST(Metrics, ABusyAddressIsSaid) {
  auto first = MetricsServer::open("127.0.0.1:0", [] { return std::string{}; });
  ASSERT_TRUE(first);
  const std::string at = "127.0.0.1:" + std::to_string((*first)->port());
  const auto second = MetricsServer::open(at, [] { return std::string{}; });
  ASSERT_FALSE(second);
  EXPECT_TRUE(second.error().in_use);
  EXPECT_EQ(second.error().text, "metrics: cannot listen on " + at + ": Address already in use");
}

TEST(Metrics, OnlyAddressesAreListenedOn) {
  const auto server = MetricsServer::open("localhost", [] { return std::string{}; });
  ASSERT_FALSE(server);
  EXPECT_FALSE(server.error().in_use);
}

}  // namespace
}  // namespace sluice::mgmt
