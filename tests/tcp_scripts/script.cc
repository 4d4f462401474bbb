#include "tests/tcp_scripts/script.h"

#include <charconv>
#include <filesystem>
#include <fstream>

namespace sluice::scripts {

namespace {

// Seconds, as 0, 1.25 or .1
bool seconds(Text& text, Nanos& out) {
  std::size_t size = 0;
  while (size < text.left.size() && (text.left[size] == '.' || (text.left[size] >= '0' && text.left[size] <= '9')))
    ++size;
  double value = 0;
  const char* end = text.left.data() + size;
  if (size == 0 || std::from_chars(text.left.data(), end, value).ptr != end) return text.fail("a time is in seconds");
  out = Nanos{static_cast<std::int64_t>(value * 1e9 + 0.5)};
  text.left.remove_prefix(size);
  return true;
}

struct Reader {
  Script script;
  std::string why;

  bool file(const std::string& path, bool imported);
  bool line(const std::string& text, bool imported, int number, const std::string& folder);
  bool comment(std::string_view text);
  bool setting(Text text, std::map<std::string, std::int64_t>& out);
};

// `# differs: WHY`, `# linux: no, WHY`, `# family: 4`, `# set: tcp_ecn=1 ...`, `# linux set:`, `# sluice set:`; all
// other comments are for people.
bool Reader::comment(std::string_view line) {
  Text text{line, {}};
  text.take("#");
  const auto rest = [&](std::string& out) {
    text.skip_space();
    out += (out.empty() ? "" : " ") + std::string(text.left);
    return true;
  };
  if (text.take("differs:")) return rest(script.differs);
  if (text.take("linux: no,")) return rest(script.why_not_linux);
  if (text.take("family: 4")) return script.only4 = true;
  if (text.take("family: 6")) return script.only6 = true;
  if (text.take("set:")) return setting(text, script.settings);
  if (text.take("linux set:")) return setting(text, script.linux_settings);
  if (text.take("sluice set:")) return setting(text, script.sluice_settings);
  return true;
}

bool Reader::setting(Text text, std::map<std::string, std::int64_t>& out) {
  while (text.skip_space(), !text.left.empty()) {
    const std::string name(text.word());
    std::int64_t value = 0;
    if (name.empty() || !text.take("=") || !text.number(value)) return why = "set: NAME=NUMBER", false;
    out[name] = value;
  }
  return true;
}

bool Reader::line(const std::string& whole, bool imported, int number, const std::string& folder) {
  Text text{whole, {}};
  text.skip_space();
  if (text.left.empty()) return true;
  if (text.left[0] == '#') return comment(text.left);
  for (const char c : text.left) script.digest = (script.digest ^ static_cast<std::uint8_t>(c)) * 1099511628211u;
  Event event;
  event.line = number;
  event.imported = imported;
  if (text.take("linux:")) event.linux_only = true;
  if (text.take("sluice:")) event.sluice_only = true;
  text.skip_space();
  event.text = text.left;
  if (text.take("import")) {
    text.skip_space();
    return file(folder + "/" + std::string(text.word()) + ".tcp", true);
  }
  bool right = read_when(text, event.when);
  if (right && text.take("< icmp")) right = read_icmp(text, event.action.emplace<InjectIcmp>().icmp);
  else if (right && text.take("<")) {
    Segment& s = event.action.emplace<Inject>().segment;
    right = read_segment(text, s);
    if (!s.window) s.window = 65535;
  } else if (right && text.take(">")) right = read_segment(text, event.action.emplace<Expect>().segment);
  else if (right && text.take("%{")) right = read_assert(text, event.action.emplace<Assert>());
  else if (right && text.take("quiet")) event.action.emplace<Quiet>();
  else if (right) right = read_call(text, event.action.emplace<Call>());
  text.skip_space();
  if (right && !text.left.empty() && text.left[0] != '#')
    right = text.fail("what is '" + std::string(text.left) + "'?");
  if (!right) return why = text.why.empty() ? "cannot be read" : text.why, false;
  script.events.push_back(std::move(event));
  return true;
}

bool Reader::file(const std::string& path, bool imported) {
  std::ifstream in(path);
  if (!in) return why = path + ": cannot be read", false;
  // Imports stand in a folder `preamble` here or further up.
  std::filesystem::path folder = std::filesystem::absolute(path).parent_path();
  while (folder.filename() != "preamble" && !std::filesystem::exists(folder / "preamble") &&
         folder != folder.root_path())
    folder = folder.parent_path();
  if (folder.filename() != "preamble") folder /= "preamble";
  std::string text;
  for (int number = 1; std::getline(in, text); ++number) {
    if (line(text, imported, number, folder.string())) continue;
    if (why.find(".tcp:") == std::string::npos) why = path + ":" + std::to_string(number) + ": " + why;
    return false;
  }
  return true;
}

}  // namespace

void Text::skip_space() {
  while (!left.empty() && (left[0] == ' ' || left[0] == '\t')) left.remove_prefix(1);
}

bool Text::take(std::string_view word) {
  skip_space();
  if (!left.starts_with(word)) return false;
  left.remove_prefix(word.size());
  return true;
}

bool Text::number(std::int64_t& out) {
  skip_space();
  const auto [end, error] = std::from_chars(left.data(), left.data() + left.size(), out);
  if (error != std::errc{}) return fail("a number is missing");
  left.remove_prefix(static_cast<std::size_t>(end - left.data()));
  return true;
}

std::string_view Text::word(std::string_view also) {
  std::size_t size = 0;
  while (size < left.size() && (std::isalnum(static_cast<unsigned char>(left[size])) || also.contains(left[size])))
    ++size;
  const std::string_view out = left.substr(0, size);
  left.remove_prefix(size);
  return out;
}

bool read_when(Text& text, When& out) {
  text.skip_space();
  if (text.take("*")) return out.any = true;
  if (text.take("+")) out.relative = true;
  if (!seconds(text, out.from)) return false;
  out.to = out.from;
  if (!text.left.starts_with("~")) return true;
  text.left.remove_prefix(1);
  if (text.left.starts_with("+")) text.left.remove_prefix(1);
  return seconds(text, out.to);
}

std::expected<Script, std::string> read_script(const std::string& path) {
  Reader reader;
  reader.script.name = std::filesystem::path(path).stem().string();
  if (!reader.file(path, false)) return std::unexpected(reader.why);
  return std::move(reader.script);
}

}  // namespace sluice::scripts
