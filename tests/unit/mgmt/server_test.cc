#include "mgmt/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <random>
#include <stdexcept>
#include <thread>

#include "mgmt/frame_reader.h"
#include "tests/unit/mgmt/node.h"

namespace sluice::mgmt {
namespace {

struct Appliance : ControlHandler {
  Answer handle(const fb::Request& request, flatbuffers::FlatBufferBuilder& builder) override {
    if (request.command_type() == fb::Command::Services) throw std::runtime_error{"no memory, say"};
    if (request.command_type() != fb::Command::Status)
      return {.outcome = fb::Outcome::unknown_command, .message = "not here"};
    return {.type = fb::Result::StatusReport, .result = fb::CreateStatusReportDirect(builder, "test").Union()};
  }
};

// A client of the socket with plain blocking calls, at most 10 s.
class Peer {
 public:
  explicit Peer(const std::string& path) : fd_(socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    const timeval patience{10, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    connected = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~Peer() { close(fd_); }
  void write(ByteView bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return;
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
  }
  void write_without_waiting(ByteView bytes) {
    (void)::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  template <typename Make>
  void ask(std::uint64_t id, fb::Command command, Make&& make) {
    flatbuffers::FlatBufferBuilder b;
    const flatbuffers::Offset<void> body = make(b);
    b.FinishSizePrefixed(fb::CreateRequest(b, id, command, body));
    write({b.GetBufferPointer(), b.GetSize()});
  }
  void ask_status(std::uint64_t id) {
    ask(id, fb::Command::Status, [](auto& b) { return fb::CreateStatus(b).Union(); });
  }
  void ask_apply(std::uint64_t id, const spec::Policy& policy) {
    ask(id, fb::Command::Apply, [&](auto& b) {
      const auto bytes = encode_policy(policy, PrivateKeys::keep);
      return fb::CreateApply(b, b.CreateVector(bytes)).Union();
    });
  }
  // nullptr at the end of the stream.
  const fb::Reply* reply() {
    FrameReader reader{1u << 30};
    std::uint8_t byte[4096];
    while (reader.state() == FrameReader::State::more) {
      if (pending_.empty()) {
        const ssize_t n = recv(fd_, byte, sizeof byte, 0);
        if (n <= 0) return nullptr;
        pending_.assign(byte, byte + n);
      }
      pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(reader.feed(pending_)));
    }
    frame_ = reader.take();
    flatbuffers::Verifier verifier{frame_.data(), frame_.size()};
    EXPECT_TRUE(verifier.VerifySizePrefixedBuffer<fb::Reply>(nullptr));
    return flatbuffers::GetSizePrefixedRoot<fb::Reply>(frame_.data());
  }
  bool connected = false;

 private:
  int fd_;
  std::vector<std::uint8_t> pending_, frame_;
};

class ServerTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "sluice-sock-XXXXXX";
    ASSERT_TRUE(mkdtemp(name.data()));
    ASSERT_EQ(chmod(name.c_str(), 0755), 0);
    options.path = name + "/sluice.sock";
    options.clients_max = 8;
    start();
  }
  void start() {
    auto opened = Server::open(options, node.publisher, appliance);
    ASSERT_TRUE(opened) << opened.error();
    server = std::move(*opened);
    thread = std::thread{[this] {
      pollfd wait{server->fd(), POLLIN, 0};
      while (!stop) {
        poll(&wait, 1, 5);
        server->step({std::chrono::steady_clock::now().time_since_epoch().count()});
      }
    }};
  }
  void TearDown() override {
    stop = true;
    thread.join();
    server.reset();
    EXPECT_FALSE(std::filesystem::exists(options.path));
    std::filesystem::remove_all(options.path.parent_path());
  }
  struct Took {
    std::chrono::microseconds wall, cpu;  // until the reply was here; of it, what the server's thread worked
  };
  std::chrono::microseconds server_cpu() {
    clockid_t clock{};
    timespec used{};
    EXPECT_EQ(pthread_getcpuclockid(thread.native_handle(), &clock), 0);
    EXPECT_EQ(clock_gettime(clock, &used), 0);
    return std::chrono::microseconds{used.tv_sec * 1'000'000 + used.tv_nsec / 1'000};
  }
  // One question on a connection of its own; how long the answer took.
  Took ask_status(const char* while_what) {
    const auto before = std::chrono::steady_clock::now();
    const auto cpu_before = server_cpu();
    Peer peer{options.path};
    peer.ask_status(5);
    const fb::Reply* reply = peer.reply();
    EXPECT_TRUE(reply) << while_what;
    if (reply) {
      EXPECT_EQ(reply->id(), 5u);
      EXPECT_EQ(reply->outcome(), fb::Outcome::ok);
    }
    return {std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - before),
            server_cpu() - cpu_before};
  }
  // Issue 2: within 100 ms. The server may work no longer than that on what came before the question; that is counted
  // in its own CPU time, since a machine that does something else as well takes the CPU away for as long. A server that
  // sleeps or waits instead has two seconds, the best of three.
  void expect_status(const char* while_what) {
    Took best{std::chrono::microseconds::max(), {}};
    for (int i = 0; i < 3 && best.wall > std::chrono::milliseconds{100}; ++i) {
      const Took took = ask_status(while_what);
      if (took.wall < best.wall) best = took;
      worst = std::max(worst, took.wall);
    }
    EXPECT_LE(best.cpu, std::chrono::milliseconds{100}) << while_what;
    EXPECT_LE(best.wall, std::chrono::seconds{2}) << while_what;
    ++asked;
  }
  void print_worst() const {
    std::printf("status answered %d times, at the latest after %lld us\n", asked,
                static_cast<long long>(worst.count()));
  }

  test::Node node;
  Appliance appliance;
  ServerOptions options;
  std::unique_ptr<Server> server;
  std::thread thread;
  std::atomic<bool> stop{false};
  std::chrono::microseconds worst{0};
  int asked = 0;
};

TEST_F(ServerTest, AppliesDeltasAndGivesBack) {
  Peer peer{options.path};
  peer.ask_apply(1, test::sample());
  const fb::Reply* reply = peer.reply();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->id(), 1u);
  ASSERT_TRUE(reply->result_as_Applied());
  EXPECT_EQ(reply->result_as_Applied()->generation(), 1u);
  EXPECT_EQ(reply->result_as_Applied()->changes()->size(), 11u);
  peer.ask(2, fb::Command::EndpointDelta, [](auto& b) {
    const auto remove = std::vector{fb::CreateEndpointNameDirect(b, "a", "a2")};
    return fb::CreateEndpointDeltaDirect(b, nullptr, &remove).Union();
  });
  ASSERT_TRUE((reply = peer.reply()));
  EXPECT_EQ(reply->result_as_Applied()->generation(), 2u);
  peer.ask(3, fb::Command::Get, [](auto& b) { return fb::CreateGet(b).Union(); });
  ASSERT_TRUE((reply = peer.reply()));
  const auto* bytes = reply->result_as_PolicyCopy()->policy();
  spec::Policy expected = test::sample();
  expected.endpoints.erase(expected.endpoints.begin() + 1);
  EXPECT_EQ(decode_policy({bytes->data(), bytes->size()}, {}).value(), expected);
}

TEST_F(ServerTest, ManyPoliciesAtOnceAreAppliedInOrderOrRefused) {
  Peer one{options.path}, two{options.path};
  for (std::uint64_t i = 1; i <= 8; ++i) {
    one.ask_apply(i, test::sample());
    two.ask_apply(i, test::sample());
  }
  std::vector<std::uint64_t> seen;
  for (Peer* peer : {&one, &two}) {
    std::uint64_t last = 0;
    for (std::uint64_t i = 1; i <= 8; ++i) {
      const fb::Reply* reply = peer->reply();
      ASSERT_TRUE(reply);
      EXPECT_EQ(reply->id(), i);
      ASSERT_TRUE(reply->result_as_Applied());
      EXPECT_GT(reply->result_as_Applied()->generation(), last);
      seen.push_back(last = reply->result_as_Applied()->generation());
    }
  }
  std::ranges::sort(seen);
  for (std::uint64_t i = 0; i < 16; ++i) EXPECT_EQ(seen[i], i + 1);
}

TEST_F(ServerTest, WhoSendsGarbageOrHalfOrReadsNothingHarmsNobody) {
  Peer half{options.path}, huge{options.path}, garbage{options.path}, mute{options.path};
  half.write(bytes(std::string_view{"\x40\0\0\0abc", 7}));
  expect_status("half a message");
  huge.write(bytes(std::string_view{"\xff\xff\xff\xff", 4}));
  const fb::Reply* reply = huge.reply();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->outcome(), fb::Outcome::too_large);
  EXPECT_FALSE(huge.reply()) << "the connection is closed";
  expect_status("a prefix of 4 GiB");
  garbage.write(bytes(std::string_view{"\x08\0\0\0garbage!", 12}));
  ASSERT_TRUE((reply = garbage.reply()));
  EXPECT_EQ(reply->outcome(), fb::Outcome::malformed);
  expect_status("an unverifiable buffer");
  flatbuffers::FlatBufferBuilder b;
  b.FinishSizePrefixed(fb::CreateRequest(b, 1, fb::Command::Status, fb::CreateStatus(b).Union()));
  for (int i = 0; i < 100'000; ++i) mute.write_without_waiting({b.GetBufferPointer(), b.GetSize()});
  expect_status("a client that reads nothing");
  for (int i = 0; i < 50; ++i) {
    Peer silent{options.path};
    expect_status("clients that come and go");
  }
  print_worst();
}

TEST_F(ServerTest, RandomBytesFromManyClientsHoldNobodyUp) {
  std::atomic<bool> enough{false};
  std::vector<std::thread> abusers;
  for (unsigned n = 0; n < 3; ++n)
    abusers.emplace_back([&, n] {
      std::mt19937 random{n + 1};
      flatbuffers::FlatBufferBuilder b;
      b.FinishSizePrefixed(fb::CreateRequest(b, 1, fb::Command::Get, fb::CreateGet(b).Union()));
      const std::vector<std::uint8_t> good{b.GetBufferPointer(), b.GetBufferPointer() + b.GetSize()};
      while (!enough) {
        Peer peer{options.path};
        for (int i = 0; i < 20 && !enough; ++i) {
          std::vector<std::uint8_t> bytes = good;
          switch (random() % 4) {
            case 0:  // anything, of any length
              bytes.resize(random() % 5000);
              for (std::uint8_t& each : bytes) each = static_cast<std::uint8_t>(random());
              break;
            case 1:  // a request with a wrong bit
              bytes[4 + random() % (bytes.size() - 4)] ^= static_cast<std::uint8_t>(1u << random() % 8);
              break;
            case 2:  // half of one
              bytes.resize(random() % bytes.size());
              break;
            case 3:  // 4 GiB are announced, or almost
              std::ranges::fill(std::span{bytes}.first(4), static_cast<std::uint8_t>(0xff - random() % 8));
              break;
          }
          peer.write_without_waiting(bytes);
        }
      }
    });
  for (int i = 0; i < 200; ++i) expect_status("random bytes");
  enough = true;
  for (std::thread& each : abusers) each.join();
  print_worst();
  Peer peer{options.path};
  peer.ask_apply(1, test::sample());
  const fb::Reply* reply = peer.reply();
  ASSERT_TRUE(reply);
  EXPECT_TRUE(reply->result_as_Applied());
}

TEST_F(ServerTest, StatusIsAnsweredWhileALargePolicyIsCompiled) {
  spec::Policy policy = test::sample();
  auto& routes = policy.route_tables[0].virtual_hosts[0].routes;
  for (int i = 0; i < 30'000; ++i) {
    spec::Route route;
    route.path = {spec::PathMatchKind::exact, "/" + std::to_string(i)};
    route.clusters = {{"a", 1}};
    routes.push_back(std::move(route));
  }
  Peer peer{options.path};
  peer.ask_apply(1, policy);
  std::atomic<bool> done{false};
  std::thread waits{[&] {
    const fb::Reply* reply = peer.reply();
    EXPECT_TRUE(reply && reply->result_as_Applied());
    done = true;
  }};
  while (!done) expect_status("a policy is compiled");
  waits.join();
  EXPECT_GT(asked, 1);
  print_worst();
}

TEST_F(ServerTest, AHandlerThatFailsCostsOneReply) {
  Peer peer{options.path};
  peer.ask(4, fb::Command::Services, [](auto& b) { return fb::CreateServices(b).Union(); });
  const fb::Reply* reply = peer.reply();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->id(), 4u);
  EXPECT_EQ(reply->outcome(), fb::Outcome::failed);
  node.run_time.fails = true;
  peer.ask_apply(5, test::sample());
  ASSERT_TRUE((reply = peer.reply()));
  EXPECT_EQ(reply->id(), 5u);
  EXPECT_EQ(reply->outcome(), fb::Outcome::failed);
  node.run_time.fails = false;
  peer.ask_apply(6, test::sample());
  ASSERT_TRUE((reply = peer.reply()));
  EXPECT_TRUE(reply->result_as_Applied());
}

TEST_F(ServerTest, SilentClientsMakeWayForNewOnes) {
  std::vector<std::unique_ptr<Peer>> silent;
  for (int i = 0; i < 20; ++i) silent.push_back(std::make_unique<Peer>(options.path));
  expect_status("more silent clients than there is room for");
}

TEST_F(ServerTest, ACommandOfALaterVersionIsNamedUnknown) {
  Peer peer{options.path};
  peer.ask(9, static_cast<fb::Command>(77), [](auto& b) { return fb::CreateGet(b).Union(); });
  const fb::Reply* reply = peer.reply();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->id(), 9u);
  EXPECT_EQ(reply->outcome(), fb::Outcome::unknown_command);
  peer.ask(10, fb::Command::NONE, [](auto&) { return flatbuffers::Offset<void>{}; });
  ASSERT_TRUE((reply = peer.reply()));
  EXPECT_EQ(reply->outcome(), fb::Outcome::malformed);
}

TEST_F(ServerTest, AnotherUserIsDenied) {
  struct stat info;
  ASSERT_EQ(stat(options.path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0660u);
  ASSERT_EQ(chmod(options.path.c_str(), 0666), 0);
  const pid_t child = fork();
  if (child == 0) {
    if (setgid(65534) != 0 || setuid(65534) != 0) _exit(9);
    Peer peer{options.path};
    if (!peer.connected) _exit(8);
    peer.ask_status(3);
    const fb::Reply* reply = peer.reply();
    _exit(reply && reply->id() == 3 && reply->outcome() == fb::Outcome::denied ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(ServerTest, ASecondServerFindsThePathTaken) {
  auto second = Server::open(options, node.publisher, appliance);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error(), testing::HasSubstr("another sluiced serves"));
  expect_status("after the second one gave up");
}

}  // namespace
}  // namespace sluice::mgmt
