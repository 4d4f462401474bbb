#include "dataplane/base/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <regex>
#include <string>

namespace sluice {
namespace {

struct LogTest : testing::Test {
  int ends[2];
  void SetUp() override { ASSERT_EQ(pipe2(ends, O_NONBLOCK), 0); }
  void TearDown() override {
    close(ends[0]);
    close(ends[1]);
  }
  std::string written() {
    char text[4096];
    const ssize_t n = read(ends[0], text, sizeof text);
    return n > 0 ? std::string(text, static_cast<std::size_t>(n)) : "";
  }
};

TEST_F(LogTest, OneLineAMessageWhateverTheTextHolds) {
  const Log log{ends[1]};
  log.warning("port uplink is down\nforged line\x1b[0m");
  EXPECT_TRUE(std::regex_match(
      written(),
      std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warning port uplink is down\?forged line\?\[0m\n)")));
  log.error(std::string(5000, 'x'));
  const std::string line = written();
  EXPECT_EQ(line.size(), 1024u);
  EXPECT_EQ(line.back(), '\n');
}

TEST_F(LogTest, TheLevelChangesLive) {
  Log log{ends[1]};
  log.debug("unseen");
  EXPECT_EQ(written(), "");
  log.set_level(LogSeverity::debug);
  log.debug("seen");
  EXPECT_NE(written().find(" debug seen\n"), std::string::npos);
  log.set_level(LogSeverity::error);
  log.warning("unseen");
  EXPECT_EQ(written(), "");
  EXPECT_TRUE(log.on(LogSeverity::error));
}

}  // namespace
}  // namespace sluice
