#include "mgmt/access_log.h"

#include <flatbuffers/idl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace sluice::mgmt {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string name_of(policy::ObjectKind kind, std::uint32_t id) {
  return fmt::format("{}-{}", std::array{"listener", "route", "cluster", "endpoint", "service"}[static_cast<int>(kind)],
                     id);
}

AccessRecord record() {
  AccessRecord r;
  r.start = {1'000};
  r.duration = {12'345'678};
  r.routed = {2'000};
  r.upstream_connected = {3'000};
  r.upstream_first_byte = {4'000};
  r.generation = 7;
  r.bytes_received = 11;
  r.bytes_sent = 22;
  r.client = {*parse_ip("203.0.113.9"), 4711};
  r.local = {*parse_ip("2001:db8::1"), 443};
  r.upstream = {*parse_ip("10.0.0.1"), 8080};
  r.listener = 1, r.route = 2, r.cluster = 3, r.endpoint = 4;
  r.status = 200;
  r.attempts = 1;
  r.secure = true;
  r.method.set("GET");
  r.authority.set("example.com");
  r.path.set("/a?b=c");
  r.request_id.set("id");
  r.user_agent.set("curl/8");
  return r;
}

constexpr std::int64_t start = 1'700'000'000'123'456'789;  // 2023-11-14T22:13:20.123456Z

std::string line_of(const AccessRecord& r, AccessFormat format) { return access_line(r, format, start, name_of); }

// By an independent reader: JSON as flatbuffers reads it.
class Json {
 public:
  explicit Json(const std::string& text) {
    flatbuffers::Parser parser;
    ok_ = parser.ParseFlexBuffer(text.c_str(), nullptr, &builder_);
    error_ = parser.error_;
  }
  bool ok() const { return ok_; }
  const std::string& error() const { return error_; }
  flexbuffers::Reference operator[](const char* key) const {
    return flexbuffers::GetRoot(builder_.GetBuffer()).AsMap()[key];
  }

 private:
  flexbuffers::Builder builder_;
  bool ok_;
  std::string error_;
};

TEST(AccessLine, JsonSaysWhatTheRecordHolds) {
  const std::string line = line_of(record(), AccessFormat::json);
  ASSERT_EQ(std::ranges::count(line, '\n'), 1);
  const Json json{line};
  ASSERT_TRUE(json.ok()) << json.error() << line;
  EXPECT_EQ(json["time"].AsString().str(), "2023-11-14T22:13:20.123456Z");
  EXPECT_EQ(json["client"].AsString().str(), "203.0.113.9:4711");
  EXPECT_EQ(json["local"].AsString().str(), "[2001:db8::1]:443");
  EXPECT_TRUE(json["tls"].AsBool());
  EXPECT_EQ(json["path"].AsString().str(), "/a?b=c");
  EXPECT_EQ(json["status"].AsInt64(), 200);
  EXPECT_EQ(json["duration_us"].AsInt64(), 12345);
  EXPECT_EQ(json["upstream"].AsString().str(), "10.0.0.1:8080");
  EXPECT_EQ(json["listener"].AsString().str(), "listener-1");
  EXPECT_EQ(json["route"].AsString().str(), "route-2");
  EXPECT_EQ(json["cluster"].AsString().str(), "cluster-3");
  EXPECT_EQ(json["endpoint"].AsString().str(), "endpoint-4");
  EXPECT_EQ(json["generation"].AsInt64(), 7);
}

// Log injection: whatever byte a client sends, there is one line and it reads back.
TEST(AccessLine, EveryByteIsMadeSafe) {
  for (int byte = 0; byte < 256; ++byte) {
    AccessRecord r = record();
    const std::string hostile = std::string{"x"} + static_cast<char>(byte) + "y";
    r.path.set(hostile);
    r.user_agent.set(hostile);
    r.authority.set(hostile);
    r.request_id.set(hostile);
    for (const AccessFormat format : {AccessFormat::json, AccessFormat::text}) {
      const std::string line = line_of(r, format);
      ASSERT_EQ(std::ranges::count(line, '\n'), 1) << byte;
      ASSERT_EQ(line.back(), '\n') << byte;
      for (const char c : std::string_view{line}.substr(0, line.size() - 1)) ASSERT_TRUE(c >= 0x20 && c < 0x7f) << byte;
    }
    const Json json{line_of(r, AccessFormat::json)};
    ASSERT_TRUE(json.ok()) << byte << json.error();
    if (byte >= 0x20 && byte < 0x7f) { ASSERT_EQ(json["path"].AsString().str(), hostile) << byte; }
  }
}

TEST(AccessLine, WhatDidNotHappenIsEmpty) {
  AccessRecord r;
  r.duration = {0};
  r.status = 400;
  r.flag(ResponseFlag::DPE);
  r.flag(ResponseFlag::NR);
  const std::string line = line_of(r, AccessFormat::json);
  const Json json{line};
  ASSERT_TRUE(json.ok()) << json.error() << line;
  EXPECT_TRUE(json["routed_us"].IsNull());
  EXPECT_TRUE(json["upstream_first_byte_us"].IsNull());
  EXPECT_EQ(json["upstream"].AsString().str(), "");
  EXPECT_EQ(json["cluster"].AsString().str(), "");
  EXPECT_EQ(json["flags"].AsString().str(), "NR,DPE");
  const std::string text = line_of(r, AccessFormat::text);
  EXPECT_THAT(text, HasSubstr("\"- - HTTP/1.1\" 400 NR,DPE"));
  EXPECT_THAT(text, Not(HasSubstr("  "))) << "every field holds something";
}

class AccessLogTest : public testing::Test {
 protected:
  void SetUp() override {
    char made[] = "/tmp/sluice-access-XXXXXX";
    ASSERT_NE(mkdtemp(made), nullptr);
    folder_ = made;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path(const char* name) const { return folder_ + "/" + name; }
  static std::string content(const std::string& path) {
    std::ifstream file{path};
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  std::string folder_;
};

TEST_F(AccessLogTest, GathersFlushesAndFollowsLogrotate) {
  auto log = AccessLog::open(AccessFormat::text, path("a"));
  ASSERT_TRUE(log) << log.error();
  log->write(record(), start, name_of);
  EXPECT_EQ(content(path("a")), "") << "writes are gathered";
  log->flush();
  EXPECT_EQ(content(path("a")), line_of(record(), AccessFormat::text));
  std::filesystem::rename(path("a"), path("b"));
  log->write(record(), start, name_of);
  log->reopen();
  log->write(record(), start, name_of);
  log->flush();
  EXPECT_EQ(std::ranges::count(content(path("b")), '\n'), 2) << "what was written before belongs to the old file";
  EXPECT_EQ(std::ranges::count(content(path("a")), '\n'), 1);
  EXPECT_EQ(log->lines(), 3u);
  EXPECT_EQ(log->lost(), 0u);
  struct stat status{};
  ASSERT_EQ(stat(path("a").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07, 0u) << "not for everybody's eyes";
}

TEST_F(AccessLogTest, ManyLinesAreWrittenWithoutBeingAsked) {
  auto log = AccessLog::open(AccessFormat::json, path("a"));
  ASSERT_TRUE(log);
  for (int i = 0; i < 1000; ++i) log->write(record(), start, name_of);
  EXPECT_GT(content(path("a")).size(), 64'000u);
}

TEST_F(AccessLogTest, AFullDiskLosesCountedLines) {
  auto log = AccessLog::open(AccessFormat::text, "/dev/full");
  ASSERT_TRUE(log) << log.error();
  for (int i = 0; i < 3; ++i) log->write(record(), start, name_of);
  log->flush();
  EXPECT_EQ(log->lost(), 3u);
}

TEST_F(AccessLogTest, APlaceThatCannotBeWrittenIsAnErrorWithItsName) {
  const auto log = AccessLog::open(AccessFormat::text, path("none/a"));
  ASSERT_FALSE(log);
  EXPECT_THAT(log.error(), HasSubstr(path("none/a")));
}

}  // namespace
}  // namespace sluice::mgmt
