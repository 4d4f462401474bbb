#include "tests/tcp_scripts/segment.h"

#include <algorithm>

namespace sluice::scripts {

namespace {

using Kind = Option::Kind;

std::string option_text(const Option& o, bool answer) {
  const auto number = [](std::uint32_t value, bool any) { return any ? "*" : std::to_string(value); };
  switch (o.kind) {
    case Kind::mss: return "mss " + number(o.value, o.any_value);
    case Kind::sack_permitted: return "sackOK";
    case Kind::timestamps:
      return answer ? "TS" : "TS val " + number(o.value, o.any_value) + " ecr " + number(o.echo, o.any_echo);
    case Kind::window_scale: return answer ? "wscale" : "wscale " + number(o.value, o.any_value);
    case Kind::sack: {
      std::string out = "sack";
      for (const auto& [begin, end] : o.blocks) out += " " + std::to_string(begin) + ":" + std::to_string(end);
      return out;
    }
    case Kind::nop: return "nop";
    case Kind::end: return "eol";
    case Kind::raw: break;
  }
  std::string out = "raw ";
  for (const std::uint8_t byte : o.raw) {
    out += "0123456789abcdef"[byte >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
  return out;
}

bool is_padding(const Option& o) { return o.kind == Kind::nop || o.kind == Kind::end; }

std::string flags_text(std::uint8_t flags) {
  std::string out;
  for (const auto& [bit, letter] :
       {std::pair{SYN, 'S'}, {FIN, 'F'}, {RST, 'R'}, {PSH, 'P'}, {URG, 'U'}, {ECE, 'E'}, {CWR, 'W'}, {ACK, '.'}})
    if (flags & bit) out += letter;
  return out.empty() ? "-" : out;
}

std::string option_difference(const Option& wanted, const Option& got, std::uint32_t ms) {
  const auto near = [&](std::uint32_t a, std::uint32_t b, std::uint32_t by) { return a - b + by <= 2 * by; };
  const std::string both = option_text(wanted, false) + " is " + option_text(got, false);
  if (wanted.kind == Kind::timestamps)
    return (wanted.any_value || near(wanted.value, got.value, ms)) && (wanted.any_echo || wanted.echo == got.echo)
               ? ""
               : both;
  if (wanted.kind == Kind::sack) return wanted.blocks == got.blocks ? "" : both;
  if (wanted.kind == Kind::raw) return wanted.raw == got.raw ? "" : both;
  return wanted.any_value || wanted.value == got.value ? "" : both;
}

// Every option that is wanted once, none besides; their order and padding are the sender's choice.
std::string options_difference(const Segment& wanted, const Segment& got, std::uint32_t ms) {
  if (wanted.options_wanted == Segment::Wanted::any) return "";
  for (const Option& option : got.options) {
    if (is_padding(option)) continue;
    if (wanted.options_wanted == Segment::Wanted::plain) {
      if (option.kind != Kind::timestamps) return "has " + option_text(option, false);
    } else if (!wanted.find(option.kind)) {
      return "has " + option_text(option, false);
    }
  }
  for (const Option& option : wanted.options) {
    if (is_padding(option)) continue;
    const Option* found = got.find(option.kind);
    if (!found) return "lacks " + option_text(option, false);
    if (const std::string what = option_difference(option, *found, ms); !what.empty()) return what;
  }
  return "";
}

}  // namespace

const Option* Segment::find(Option::Kind kind) const {
  const auto at = std::find_if(options.begin(), options.end(), [&](const Option& o) { return o.kind == kind; });
  return at == options.end() ? nullptr : &*at;
}

std::string to_text(const Segment& s, bool answer) {
  std::string out;
  if (s.peer != 1) out += "(" + std::to_string(s.peer) + ") ";
  if (s.ecn && (*s.ecn || !answer))
    out += std::string("[") + (const char*[]){"noecn", "ect1", "ect0", "ce"}[*s.ecn] + "] ";
  out += flags_text(s.flags) + " " + std::to_string(s.seq) + ":" + std::to_string(s.seq + s.size) + "(" +
         std::to_string(s.size) + ")";
  if (s.flags & ACK) out += " ack " + std::to_string(s.ack);
  if (s.window && !answer) out += " win " + std::to_string(*s.window);
  if (answer && s.window && *s.window == 0 && !(s.flags & RST)) out += " win 0";
  if (s.urgent && *s.urgent) out += " urg " + std::to_string(*s.urgent);
  if (s.options_wanted == Segment::Wanted::any) return out + " <...>";
  std::string options;
  for (const Option& option : s.options)
    if (!is_padding(option) && !(answer && option.kind == Kind::timestamps && !(s.flags & SYN)))
      options += (options.empty() ? "" : ",") + option_text(option, answer);
  return options.empty() ? out : out + " <" + options + ">";
}

std::string difference(const Segment& wanted, const Segment& got, std::uint32_t ms) {
  const auto numbers = [](const char* what, std::uint32_t w, std::uint32_t g) {
    return std::string(what) + " " + std::to_string(w) + " is " + std::to_string(g);
  };
  if (wanted.peer != got.peer) return numbers("peer", wanted.peer, got.peer);
  const std::uint8_t mattering = wanted.any_push ? static_cast<std::uint8_t>(~PSH) : 0xff;
  if ((wanted.flags ^ got.flags) & mattering)
    return "flags " + flags_text(wanted.flags) + " are " + flags_text(got.flags);
  if (wanted.seq != got.seq) return numbers("seq", wanted.seq, got.seq);
  if (wanted.size != got.size) return numbers("size", wanted.size, got.size);
  if (wanted.flags & ACK && wanted.ack != got.ack) return numbers("ack", wanted.ack, got.ack);
  if (wanted.window && wanted.window != got.window) return numbers("win", *wanted.window, *got.window);
  if (wanted.urgent && wanted.urgent != got.urgent) return numbers("urg", *wanted.urgent, *got.urgent);
  if (wanted.ecn && wanted.ecn != got.ecn) return numbers("ecn", *wanted.ecn, *got.ecn);
  return options_difference(wanted, got, ms);
}

}  // namespace sluice::scripts
