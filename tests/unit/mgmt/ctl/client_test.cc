#include "mgmt/ctl/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <thread>

namespace sluice::ctl {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

// Something that listens, takes one connection and does with it what the test says.
class ClientTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "sluice-client-XXXXXX";
    ASSERT_TRUE(mkdtemp(name.data()));
    path = name + "/s";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(listen(listener, 4), 0);
  }
  void TearDown() override {
    close(listener);
    std::filesystem::remove_all(std::filesystem::path{path}.parent_path());
  }
  // What the client makes of a peer that answers its question so.
  std::expected<Reply, Failure> ask(const std::function<void(int fd)>& answer,
                                    milliseconds patience = milliseconds{20'000}) {
    returned = false;
    std::thread peer{[&] {
      const int fd = accept(listener, nullptr, nullptr);
      char question[4096];
      EXPECT_GT(recv(fd, question, sizeof question, 0), 0);
      answer(fd);
      close(fd);
    }};
    auto client = Client::connect(path, patience);
    EXPECT_TRUE(client);
    auto reply = client->ask([](auto& out) { return std::pair{fb::Command::Status, fb::CreateStatus(out).Union()}; });
    returned = true;
    returned.notify_all();
    peer.join();
    return reply;
  }
  static std::vector<std::uint8_t> reply(std::uint64_t id, fb::Outcome outcome) {
    flatbuffers::FlatBufferBuilder out;
    out.FinishSizePrefixed(fb::CreateReplyDirect(out, id, outcome, "so"));
    return {out.GetBufferPointer(), out.GetBufferPointer() + out.GetSize()};
  }
  static void put(int fd, const std::vector<std::uint8_t>& bytes) {
    EXPECT_EQ(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL), std::ssize(bytes));
  }

  std::string path;
  int listener = -1;
  std::atomic<bool> returned{false};  // the client has its reply or gave up
};

TEST_F(ClientTest, ReadsAReplyHoweverItIsCut) {
  const auto whole = ask([](int fd) { put(fd, reply(1, fb::Outcome::ok)); });
  ASSERT_TRUE(whole) << whole.error().text;
  EXPECT_EQ((*whole)->message()->str(), "so");
  const auto cut = ask([](int fd) {
    for (const std::uint8_t byte : reply(1, fb::Outcome::refused)) put(fd, {byte});
  });
  ASSERT_TRUE(cut) << cut.error().text;
  EXPECT_EQ((*cut)->outcome(), fb::Outcome::refused);
}

TEST_F(ClientTest, APeerThatDoesNotAnswerIsGivenUp) {
  const auto silent = ask([&](int) { returned.wait(false); }, milliseconds{100});
  ASSERT_FALSE(silent);
  EXPECT_EQ(silent.error().code, Exit::no_answer);
  EXPECT_THAT(silent.error().text, HasSubstr("no answer within"));
  const auto half = ask([](int fd) {
    auto bytes = reply(1, fb::Outcome::ok);
    bytes.resize(bytes.size() / 2);
    put(fd, bytes);
  });
  ASSERT_FALSE(half);
  EXPECT_EQ(half.error().code, Exit::no_answer);
  EXPECT_THAT(half.error().text, HasSubstr("closed the connection"));
}

TEST_F(ClientTest, WhatIsNoReplyIsNotTaken) {
  for (const std::vector<std::uint8_t>& bytes :
       {std::vector<std::uint8_t>{0xff, 0xff, 0xff, 0xff}, {8, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8}, {0, 0, 0, 0}}) {
    const auto garbage = ask([&](int fd) { put(fd, bytes); });
    ASSERT_FALSE(garbage);
    EXPECT_EQ(garbage.error().code, Exit::no_answer);
    EXPECT_THAT(garbage.error().text, HasSubstr("no sluiced"));
  }
}

TEST_F(ClientTest, AnAnswerToAnotherRequestCountsOnlyAsARefusal) {
  const auto other = ask([](int fd) { put(fd, reply(9, fb::Outcome::ok)); });
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Exit::no_answer);
  const auto denied = ask([](int fd) { put(fd, reply(0, fb::Outcome::denied)); });
  ASSERT_TRUE(denied) << "it may be told before the request is read";
  EXPECT_EQ((*denied)->outcome(), fb::Outcome::denied);
}

TEST_F(ClientTest, NobodyThereIsNotRunning) {
  const auto absent = Client::connect(path + ".none", milliseconds{100});
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, Exit::not_running);
  close(std::exchange(listener, -1));  // the socket of one that was killed
  const auto dead = Client::connect(path, milliseconds{100});
  ASSERT_FALSE(dead);
  EXPECT_EQ(dead.error().code, Exit::not_running);
  EXPECT_EQ(Client::connect("", milliseconds{1}).error().code, Exit::usage);
  EXPECT_EQ(Client::connect(std::string(200, 'x'), milliseconds{1}).error().code, Exit::usage);
}

}  // namespace
}  // namespace sluice::ctl
