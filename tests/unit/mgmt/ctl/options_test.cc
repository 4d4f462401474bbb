#include "mgmt/ctl/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mgmt/ctl/exit.h"

namespace sluice::ctl {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Line {
  explicit Line(std::vector<std::string> words) {
    describe(app, options);
    std::ranges::reverse(words);
    try {
      app.parse(words);
    } catch (const CLI::ParseError& error) { exit = error.get_exit_code(); }
  }
  CLI::App app;
  Options options;
  int exit = 0;
};

TEST(Options, CommonOnesStandBeforeAndBehindTheCommand) {
  EXPECT_EQ(Line({"--socket", "/a", "--json", "status"}).options.socket, "/a");
  const Line behind{{"status", "--socket", "/b", "--json", "--timeout", "1.5"}};
  EXPECT_EQ(behind.exit, 0);
  EXPECT_EQ(behind.options.socket, "/b");
  EXPECT_TRUE(behind.options.json);
  EXPECT_EQ(behind.options.timeout_s, 1.5);
  EXPECT_EQ(Line({"status"}).options.socket, default_socket);
}

TEST(Options, EachCommandTakesItsOwn) {
  const Line endpoints{{"endpoints", "--set", "a/1=h:1", "--set", "a/2=h:2", "--weight", "b/1=0", "--remove", "c/1"}};
  EXPECT_EQ(endpoints.exit, 0);
  EXPECT_THAT(endpoints.options.set, ElementsAre("a/1=h:1", "a/2=h:2"));
  EXPECT_THAT(endpoints.options.weight, ElementsAre("b/1=0"));
  EXPECT_THAT(endpoints.options.remove, ElementsAre("c/1"));
  const Line trace{{"trace", "-n", "5", "--port", "80", "--protocol", "tcp"}};
  EXPECT_EQ(trace.options.packets, 5u);
  EXPECT_EQ(trace.options.port, 80);
}

TEST(Options, WhatIsWrongIsAnError) {
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{{},
                                                                                     {"nonsense"},
                                                                                     {"status", "--nonsense"},
                                                                                     {"apply"},
                                                                                     {"status", "more"},
                                                                                     {"log", "loud"},
                                                                                     {"trace", "-n", "0"},
                                                                                     {"trace", "--port", "70000"},
                                                                                     {"stats", "-k", "thing"},
                                                                                     {"status", "--timeout", "-1"}})
    EXPECT_NE(Line{words}.exit, 0) << (words.empty() ? "" : words.back());
}

TEST(Options, HelpNamesEveryExitCode) {
  const std::string help = Line({}).app.help();
  for (const ExitMeaning& each : exit_meanings)
    EXPECT_THAT(help, HasSubstr(std::to_string(static_cast<int>(each.code)) + "  " + std::string{each.text}));
}

TEST(Options, CompletionKnowsEveryCommandAndItsOptions) {
  const Line line{{}};
  const std::string script = bash_completion(line.app);
  for (const CLI::App* command : line.app.get_subcommands([](const CLI::App*) { return true; })) {
    EXPECT_THAT(script, HasSubstr("\n    " + command->get_name() + ") words=")) << command->get_name();
    for (const CLI::Option* option : command->get_options())
      for (const std::string& name : option->get_lnames()) EXPECT_THAT(script, HasSubstr("--" + name));
  }
}

}  // namespace
}  // namespace sluice::ctl
