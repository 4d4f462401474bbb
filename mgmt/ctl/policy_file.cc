#include "mgmt/ctl/policy_file.h"

#include <flatbuffers/idl.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>

#include "mgmt/schema/policy_generated.h"
#include "mgmt/schema/schema_text.h"

namespace sluice::ctl {

namespace {

flatbuffers::IDLOptions json_options(bool lines) {
  flatbuffers::IDLOptions options;
  options.strict_json = true;
  options.output_default_scalars_in_json = true;
  options.indent_step = lines ? 2 : -1;
  return options;
}

void parse_schema(flatbuffers::Parser& parser, std::string_view text) {
  const std::string schema{text};
  if (!parser.Parse(schema.c_str())) throw std::logic_error{"the embedded schema: " + parser.error_};
}

std::expected<std::string, std::string> read_text(const std::string& file) {
  if (file == "-") return std::string{std::istreambuf_iterator<char>{std::cin}, {}};
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored))
    return std::unexpected{fmt::format("{}: {}", file, std::strerror(EISDIR))};
  std::ifstream in{file, std::ios::binary};
  if (!in) return std::unexpected{fmt::format("{}: {}", file, std::strerror(errno))};
  return std::string{std::istreambuf_iterator<char>{in}, {}};
}

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += {'\\', c};
    else if (static_cast<unsigned char>(c) < 0x20) out += fmt::format("\\u{:04x}", c);
    else out += c;
  }
  return out + '"';
}

// Walks JSON as FlatBuffers takes it (comments, keys without quotes) far enough to tell strings from what surrounds
// them.
class Walk {
 public:
  explicit Walk(std::string_view text) : text_(text) {}

  enum class Piece : std::uint8_t { end, text, word, other };
  // The next piece; its text is from `from` to `to`, without quotes for Piece::text.
  Piece next() {
    skip_blank();
    from = at_;
    if (at_ >= text_.size()) return Piece::end;
    const char first = text_[at_++];
    if (first == '"' || first == '\'') {
      from = at_;
      while (at_ < text_.size() && text_[at_] != first) at_ += text_[at_] == '\\' ? 2 : 1;
      to = std::min(at_, text_.size());
      at_ = std::min(at_ + 1, text_.size());
      return Piece::text;
    }
    if (!is_word(first)) {
      to = at_;
      return Piece::other;
    }
    while (at_ < text_.size() && is_word(text_[at_])) ++at_;
    to = at_;
    return Piece::word;
  }
  std::string_view piece() const { return text_.substr(from, to - from); }

  std::size_t from = 0, to = 0;

 private:
  static bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }
  void skip_blank() {
    while (at_ < text_.size()) {
      if (std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
      else if (text_.substr(at_).starts_with("//")) at_ = std::min(text_.find('\n', at_), text_.size());
      else if (text_.substr(at_).starts_with("/*")) at_ = std::min(text_.find("*/", at_), text_.size() - 2) + 2;
      else return;
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

std::expected<std::string, std::string> resolve_files(std::string_view json, const std::string& name,
                                                      const std::string& folder) {
  std::string out;
  std::size_t copied = 0;
  enum class Seen : std::uint8_t { nothing, key, colon } seen = Seen::nothing;
  Walk walk{json};
  for (auto piece = walk.next(); piece != Walk::Piece::end; piece = walk.next()) {
    if (piece != Walk::Piece::other && (walk.piece() == "chain_pem" || walk.piece() == "key_pem") &&
        seen != Seen::colon) {
      seen = Seen::key;
    } else if (piece == Walk::Piece::other && walk.piece() == ":" && seen == Seen::key) {
      seen = Seen::colon;
    } else {
      if (seen == Seen::colon && piece == Walk::Piece::text && walk.piece().starts_with('@')) {
        const std::string path{walk.piece().substr(1)};
        const auto text = read_text((std::filesystem::path{folder} / path).string());
        if (!text) {
          const auto line = std::count(json.begin(), json.begin() + static_cast<std::ptrdiff_t>(walk.from), '\n') + 1;
          return std::unexpected{fmt::format("{}:{}: {}", name, line, text.error())};
        }
        out += json.substr(copied, walk.from - 1 - copied);
        out += json_string(*text);
        copied = walk.to + 1;
      }
      seen = Seen::nothing;
    }
  }
  return out + std::string{json.substr(std::min(copied, json.size()))};
}

std::expected<Bytes, std::string> parse_policy(std::string_view json, const std::string& name,
                                               const std::string& folder) {
  const auto text = resolve_files(json, name, folder);
  if (!text) return std::unexpected{text.error()};
  if (text->find('\0') != text->npos) return std::unexpected{fmt::format("{}: neither JSON nor a Policy buffer", name)};
  flatbuffers::Parser parser;
  parse_schema(parser, mgmt::policy_schema);
  if (!parser.Parse(text->c_str(), nullptr, name.c_str())) return std::unexpected{parser.error_};
  if (parser.builder_.GetSize() == 0) return std::unexpected{fmt::format("{}: holds no policy", name)};
  return Bytes{parser.builder_.GetBufferPointer(), parser.builder_.GetBufferPointer() + parser.builder_.GetSize()};
}

std::expected<Bytes, std::string> read_policy(const std::string& file) {
  errno = 0;
  const auto text = read_text(file);
  if (!text) return std::unexpected{text.error()};
  const std::size_t identifier_at = sizeof(flatbuffers::uoffset_t);
  if (text->substr(0, identifier_at + 4).ends_with(fb::PolicyIdentifier()) && text->size() > identifier_at + 4)
    return Bytes{text->begin(), text->end()};
  return parse_policy(*text, file == "-" ? "standard input" : file, std::filesystem::path{file}.parent_path().string());
}

std::string policy_json(const Bytes& policy) {
  flatbuffers::Parser parser{json_options(true)};
  parser.opts.output_default_scalars_in_json = false;  // as short as an operator would write it
  parse_schema(parser, mgmt::policy_schema);
  std::string text;
  if (!GenerateText(parser, policy.data(), &text)) throw std::runtime_error{"the policy holds text that is not UTF-8"};
  return text;
}

std::string table_json(const void* table, const std::string& name, bool lines) {
  flatbuffers::Parser parser{json_options(lines)};
  parse_schema(parser, mgmt::policy_schema);
  // The one schema includes the other, which the parser has read by now.
  std::string control{mgmt::control_schema};
  const std::string_view include = "include \"policy.fbs\";";
  control.replace(control.find(include), include.size(), "");
  parse_schema(parser, control);
  std::string text;
  if (!GenerateTextFromTable(parser, table, "sluice.fb." + name, &text))
    throw std::runtime_error{"the reply holds text that is not UTF-8"};
  if (!text.ends_with('\n')) text += '\n';
  return text;
}

}  // namespace sluice::ctl
