// script.h - a script: what happens when, as read from text. README.md here tells the notation.
#pragma once

#include <expected>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "dataplane/base/units.h"
#include "tests/tcp_scripts/segment.h"

namespace sluice::scripts {

enum class Backend : std::uint8_t { sluice, linux_kernel };

// When an event is due: at a time, within a range of times, or whenever it comes.
struct When {
  bool relative = false;  // to the event before
  bool any = false;
  Nanos from{}, to{};
};

struct Inject {
  Segment segment;
};
struct InjectIcmp {
  Icmp icmp;
};
struct Expect {
  Segment segment;
};
// name(file, arguments...) = result ERROR. `...` stands for arguments that matter to no one.
struct Call {
  std::string name;
  std::vector<std::int64_t> arguments;  // constants by their value; the first is the script's number of a file
  std::vector<std::int64_t> list;       // [ ... ] or { ... }: what getsockopt should find, what setsockopt sets
  bool any_result = false;
  std::int64_t result = 0;
  int error = 0;
};
// %{ name op value; ... }% about the file that was accepted or connected last
struct Assert {
  struct Term {
    std::string name, op;
    std::int64_t value;
  };
  std::vector<Term> terms;
};
struct Quiet {};  // nothing may be sent up to here

struct Event {
  When when;
  std::variant<Inject, InjectIcmp, Expect, Call, Assert, Quiet> action;
  std::string text;  // as written
  int line = 0;
  bool imported = false;
  bool linux_only = false, sluice_only = false;
};

struct Script {
  std::string name;
  std::uint64_t digest = 14695981039346656037u;  // FNV-1a of all lines that do something, imports too
  std::string why_not_linux;                     // why it cannot run against the kernel; empty: it can
  std::string differs;                           // why the kernel's answer is another than ours
  bool only4 = false, only6 = false;
  std::map<std::string, std::int64_t> settings;  // of both, by the last part of Linux's sysctl's name
  std::map<std::string, std::int64_t> linux_settings, sluice_settings;
  std::vector<Event> events;
};

// The script of a file, with what it imports; or "file:line: what is wrong".
std::expected<Script, std::string> read_script(const std::string& path);

// Parts of the notation. Each takes what it reads off the front of `text`; false with `why` when it cannot.
struct Text {
  std::string_view left;
  std::string why;

  void skip_space();
  bool take(std::string_view word);  // after spaces
  bool number(std::int64_t& out);
  bool fail(std::string what) {
    if (why.empty()) why = std::move(what);
    return false;
  }
  std::string_view word(std::string_view also = "_");  // letters, digits and these
};
bool read_when(Text& text, When& out);
bool read_segment(Text& text, Segment& out);
bool read_icmp(Text& text, Icmp& out);
bool read_call(Text& text, Call& out);
bool read_assert(Text& text, Assert& out);

}  // namespace sluice::scripts
