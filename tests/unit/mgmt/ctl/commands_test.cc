#include "mgmt/ctl/commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "mgmt/ctl/print.h"
#include "mgmt/server.h"
#include "tests/unit/mgmt/node.h"

namespace sluice::ctl {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// Answers that tell the test what the command asked for.
struct Handler : mgmt::ControlHandler {
  mgmt::Answer handle(const fb::Request& request, flatbuffers::FlatBufferBuilder& out) override {
    switch (request.command_type()) {
      case fb::Command::Status:
        return {.type = fb::Result::StatusReport, .result = fb::CreateStatusReportDirect(out, "7.8.9", "abc").Union()};
      case fb::Command::Flows: {
        const auto* flows = request.command_as_Flows();
        asked = flows->service()->str() + " " + std::to_string(flows->limit());
        return {.type = fb::Result::FlowsReport, .result = fb::CreateFlowsReport(out).Union()};
      }
      case fb::Command::LogLevel: asked = fb::EnumNameLogSeverity(request.command_as_LogLevel()->level()); return {};
      case fb::Command::Drain: return {.outcome = fb::Outcome::failed, .message = "not now"};
      case fb::Command::Connections:  // not what was asked for
        return {.type = fb::Result::StatusReport, .result = fb::CreateStatusReport(out).Union()};
      default: return {.outcome = fb::Outcome::unknown_command, .message = "not known here"};
    }
  }
  std::string asked;
};

class Commands : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "sluice-ctl-XXXXXX";
    ASSERT_TRUE(mkdtemp(name.data()));
    folder = name;
    options.path = folder + "/s.sock";
    auto opened = mgmt::Server::open(options, node.publisher, handler);
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
    std::filesystem::remove_all(folder);
  }

  // As main() does it; `out` and `err` are what was printed.
  Exit ctl(std::vector<std::string> words) {
    CLI::App app;
    Options parsed;
    parsed.socket = options.path;
    describe(app, parsed);
    std::ranges::reverse(words);
    app.parse(words);
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const Exit exit = run(app.get_subcommands().front()->get_name(), parsed, app);
    std::fflush(stdout);
    out = testing::internal::GetCapturedStdout();
    err = testing::internal::GetCapturedStderr();
    return exit;
  }
  std::string file(const std::string& name, const std::string& text) {
    std::ofstream{folder + "/" + name, std::ios::binary} << text;
    return folder + "/" + name;
  }
  std::string sample() {
    const auto bytes = mgmt::encode_policy(mgmt::test::sample(), mgmt::PrivateKeys::keep);
    return file("policy.bin", {bytes.begin(), bytes.end()});
  }
  std::uint32_t weight_of(const std::string& cluster, const std::string& endpoint) {
    const auto policy = mgmt::decode_policy(node.publisher.copy(), {});
    for (const auto& each : policy->endpoints)
      if (each.cluster == cluster && each.name == endpoint) return each.weight;
    return ~0u;
  }

  std::string folder, out, err;
  mgmt::test::Node node;
  Handler handler;
  mgmt::ServerOptions options;
  std::unique_ptr<mgmt::Server> server;
  std::thread thread;
  std::atomic<bool> stop{false};
};

TEST(Print, ConnectionsInDetailSpeakAsSsDoes) {
  flatbuffers::FlatBufferBuilder out;
  const auto limited_by = out.CreateString("congestion");
  fb::ConnectionDetailBuilder d{out};
  d.add_mss(1448), d.add_receive_mss(1400), d.add_path_mtu(1500), d.add_ssthresh_segments(7), d.add_lost_segments(1);
  d.add_cwnd_segments(10), d.add_unacknowledged_segments(4);
  d.add_send_scale(7), d.add_receive_scale(3), d.add_timestamps(true), d.add_sack(true), d.add_reordering(true);
  d.add_rto_us(204'000), d.add_rtt_variance_us(750), d.add_delivery_rate(1'250'000), d.add_limited_by(limited_by);
  const auto detail = d.Finish();
  const auto connection =
      fb::CreateConnectionStatusDirect(out, 1, "listener", "web", "192.0.2.1:80", "192.0.2.9:4000", "established", "",
                                       5000, 10, 100, 2896, 14'480, 1500, 3, detail);
  out.Finish(fb::CreateConnectionsReport(out, out.CreateVector(&connection, 1), 7, true));
  const std::string text = print(*flatbuffers::GetRoot<fb::ConnectionsReport>(out.GetBufferPointer()));
  for (const char* word : {"192.0.2.1:80 <> 192.0.2.9:4000", " ts sack ", "wscale:7,3", "rto:204 ", "rtt:1.500/0.750",
                           "mss:1448 rcvmss:1400 pmtu:1500", "cwnd:10 ssthresh:7", "unacked:4", "retrans:3", "lost:1 ",
                           "reordering", "delivery_rate:10.0Mbps", "limited_by:congestion", "1 of 7", "not all"})
    EXPECT_THAT(text, HasSubstr(word));
  EXPECT_THAT(text, testing::Not(HasSubstr("ecn")));
}

TEST_F(Commands, ApplyTellsWhatChanged) {
  EXPECT_EQ(ctl({"apply", sample(), "--dry-run"}), Exit::ok);
  EXPECT_THAT(out, HasSubstr("added cluster dns"));
  EXPECT_EQ(node.publisher.status().generation, 0u);
  EXPECT_EQ(ctl({"apply", sample()}), Exit::ok);
  EXPECT_THAT(out, StartsWith("generation 1 runs"));
  EXPECT_EQ(ctl({"apply", sample(), "--json"}), Exit::ok);
  EXPECT_THAT(out, HasSubstr("\"generation\": 2"));
  EXPECT_EQ(err, "");
}

TEST_F(Commands, ARefusalNamesEveryFault) {
  const std::string bad = file("bad.json", R"({"listeners": [{"name": "web", "port": 80, "routes": "none"}],
    "endpoints": [{"cluster": "none", "name": "e", "address": "here"}]})");
  EXPECT_EQ(ctl({"apply", bad}), Exit::refused);
  EXPECT_THAT(err, HasSubstr("  listeners[0].routes: "));
  EXPECT_THAT(err, HasSubstr("  endpoints[0].address: "));
  EXPECT_THAT(err, StartsWith("sluicectl: refused"));
  EXPECT_EQ(out, "");
  EXPECT_EQ(ctl({"apply", sample(), "--if-generation", "9"}), Exit::refused);
  EXPECT_EQ(node.publisher.status().generation, 0u);
}

TEST_F(Commands, FilesThatAreNoPolicyAreTheCallersFault) {
  EXPECT_EQ(ctl({"apply", folder + "/absent"}), Exit::usage);
  EXPECT_EQ(ctl({"apply", file("torn.json", "{\"listeners\": [")}), Exit::usage);
  EXPECT_THAT(err, HasSubstr("torn.json"));
}

TEST_F(Commands, EndpointsChangeAloneAndUnderTheGenerationThatWasSeen) {
  ASSERT_EQ(ctl({"apply", sample()}), Exit::ok);
  EXPECT_EQ(ctl({"endpoints", "--weight", "a/a1=0"}), Exit::ok);
  EXPECT_EQ(weight_of("a", "a1"), 0u);
  EXPECT_EQ(ctl({"endpoints", "--set", "a/a3=10.0.0.3:8080,5", "--remove", "a/a2"}), Exit::ok);
  EXPECT_EQ(weight_of("a", "a3"), 5u);
  EXPECT_EQ(weight_of("a", "a2"), ~0u);
  EXPECT_EQ(ctl({"endpoints", "--weight", "a/none=1"}), Exit::refused);
  for (const char* wrong : {"a1=0", "a/=0", "/a1=0", "a/a1", "a/a1=x", "a/a1=-1"})
    EXPECT_EQ(ctl({"endpoints", "--weight", wrong}), Exit::usage) << wrong;
  EXPECT_EQ(ctl({"endpoints"}), Exit::usage);
  EXPECT_EQ(ctl({"endpoints", "--set", "a/a4=10.0.0.4:1", "--if-generation", "1"}), Exit::refused);
}

TEST_F(Commands, GetGivesBackWhatRuns) {
  EXPECT_EQ(ctl({"get"}), Exit::refused);
  EXPECT_THAT(err, HasSubstr("no policy was applied yet"));
  ASSERT_EQ(ctl({"apply", sample()}), Exit::ok);
  ASSERT_EQ(ctl({"get", "--binary", "-o", folder + "/copy"}), Exit::ok);
  ASSERT_EQ(ctl({"apply", folder + "/copy"}), Exit::ok);
  EXPECT_THAT(out, HasSubstr("no change"));
  ASSERT_EQ(ctl({"get"}), Exit::ok);
  ASSERT_EQ(ctl({"apply", file("copy.json", out)}), Exit::ok);
  EXPECT_THAT(out, HasSubstr("no change")) << "as JSON too";
}

TEST_F(Commands, ViewsAndActionsAskForWhatTheOptionsSay) {
  EXPECT_EQ(ctl({"status"}), Exit::ok);
  EXPECT_THAT(out, StartsWith("sluiced 7.8.9 (abc)"));
  EXPECT_EQ(ctl({"status", "--json"}), Exit::ok);
  EXPECT_THAT(out, HasSubstr("\"version\": \"7.8.9\""));
  EXPECT_EQ(ctl({"flows", "--service", "dns", "--limit", "5"}), Exit::ok);
  EXPECT_EQ(handler.asked, "dns 5");
  EXPECT_EQ(ctl({"log", "debug"}), Exit::ok);
  EXPECT_EQ(handler.asked, "debug");
}

TEST_F(Commands, WhatTheNodeDoesNotDoIsToldByTheExitCode) {
  EXPECT_EQ(ctl({"drain"}), Exit::refused);
  EXPECT_THAT(err, HasSubstr("not now"));
  EXPECT_EQ(ctl({"services"}), Exit::refused);
  EXPECT_THAT(err, HasSubstr("not known here"));
  EXPECT_EQ(ctl({"connections"}), Exit::no_answer) << "an answer to something else is none";
  EXPECT_EQ(ctl({"trace", "--protocol", "nonsense"}), Exit::usage);
  EXPECT_EQ(ctl({"--socket", folder + "/none", "status"}), Exit::not_running);
  EXPECT_THAT(err, StartsWith("sluicectl: sluiced is not running"));
}

}  // namespace
}  // namespace sluice::ctl
