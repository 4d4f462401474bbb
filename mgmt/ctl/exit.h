// exit.h - how sluicectl ends. Scripts lean on these numbers: they never change their meaning.
#pragma once

#include <array>
#include <string_view>

namespace sluice::ctl {

enum class Exit : int { ok = 0, refused = 1, usage = 2, not_running = 3, denied = 4, no_answer = 5 };

struct ExitMeaning {
  Exit code;
  std::string_view text;
};
inline constexpr std::array exit_meanings = {
    ExitMeaning{Exit::ok, "done"},
    ExitMeaning{Exit::refused, "the node refused it or failed; every fault is printed"},
    ExitMeaning{Exit::usage, "the command line is wrong, or a file cannot be read or is no policy"},
    ExitMeaning{Exit::not_running, "sluiced is not running: nobody listens on the socket"},
    ExitMeaning{Exit::denied, "the caller is neither root nor a member of the node's group"},
    ExitMeaning{Exit::no_answer, "the node is busy or did not answer in time: ask again"},
};

}  // namespace sluice::ctl

// Tested in tests/unit/mgmt/ctl/options_test.cc.
