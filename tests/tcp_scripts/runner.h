// runner.h - runs one script against one target, and tells what was expected beside what happened.
#pragma once

#include "tests/tcp_scripts/backend.h"

namespace sluice::scripts {

struct Row {
  std::string wanted_at, wanted, got_at, got;
};

struct Outcome {
  bool passed = true;
  std::string why;                   // the first thing that was wrong
  std::vector<Row> rows;             // the conversation up to there
  std::vector<std::string> answers;  // what the target said, without times and numbers that vary; not of imports
};

Outcome run(const Script& script, Target& target, Backend backend, bool v6);
// Two columns, the last row marked when the script failed.
std::string transcript(const Outcome& outcome);

}  // namespace sluice::scripts
