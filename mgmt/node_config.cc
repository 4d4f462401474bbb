#include "mgmt/node_config.h"

#include <fmt/format.h>

#include <toml++/toml.h>
#include <charconv>
#include <fstream>
#include <initializer_list>
#include <set>
#include <sstream>

#include "mgmt/node_keys.h"

namespace sluice::mgmt {

namespace {

std::optional<Nanos> parse_duration(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || value < 0) return std::nullopt;
  const std::string_view unit{end, static_cast<std::size_t>(text.data() + text.size() - end)};
  constexpr std::pair<std::string_view, std::int64_t> units[] = {
      {"us", 1'000}, {"ms", 1'000'000}, {"s", 1'000'000'000}, {"m", 60'000'000'000}, {"h", 3'600'000'000'000}};
  for (const auto& [name, factor] : units)
    if (unit == name && value <= INT64_MAX / factor) return Nanos{value * factor};
  return std::nullopt;
}

std::optional<PortRange> parse_ports(std::string_view text) {
  unsigned first = 0, last = 0;
  const char* const end = text.data() + text.size();
  const auto one = std::from_chars(text.data(), end, first);
  if (one.ec != std::errc{} || one.ptr == end || *one.ptr != '-') return std::nullopt;
  const auto two = std::from_chars(one.ptr + 1, end, last);
  if (two.ec != std::errc{} || two.ptr != end || first == 0 || first > last || last > 65535) return std::nullopt;
  return PortRange{static_cast<std::uint16_t>(first), static_cast<std::uint16_t>(last)};
}

// Reads one table; remembers which keys are known, so that the others are errors.
class TableReader {
 public:
  TableReader(const toml::table& table, std::string path, std::vector<NodeError>& errors)
      : table_(table), path_(std::move(path)), errors_(errors) {}
  ~TableReader() {
    for (const auto& [key, node] : table_)
      if (!known_.contains(key.str())) fail(key.str(), &node, "unknown key");
  }

  template <typename T>
  void number(std::string_view key, T& out, std::int64_t low, std::int64_t high, const char*, bool required = false) {
    read<std::int64_t>(key, required, "a whole number", [&](std::int64_t value, const toml::node& node) {
      if (value < low || value > high) fail(key, &node, fmt::format("{} is not between {} and {}", value, low, high));
      else out = static_cast<T>(value);
    });
  }
  void text(std::string_view key, std::string& out, const char*, bool required = false) {
    read<std::string>(key, required, "a string", [&](const std::string& value, const toml::node& node) {
      if (required && value.empty()) fail(key, &node, "must not be empty");
      else out = value;
    });
  }
  void flag(std::string_view key, bool& out, const char*) {
    read<bool>(key, false, "true or false", [&](bool value, const toml::node&) { out = value; });
  }
  void duration(std::string_view key, Nanos& out, const char*) {
    parsed(key, out, parse_duration, "a duration such as \"250ms\", \"30s\" or \"5m\"", false);
  }
  void prefix(std::string_view key, Prefix& out, const char*, bool required = false) {
    parsed(key, out, parse_prefix, "a prefix such as \"10.0.0.0/8\"", required);
  }
  void address(std::string_view key, IpAddress& out, const char*, bool required = false) {
    parsed(key, out, parse_ip, "an IP address", required);
  }
  void ports(std::string_view key, PortRange& out, const char*) {
    parsed(key, out, parse_ports, "a range of ports such as \"32768-65535\"", false);
  }
  void prefixes(std::string_view key, std::vector<Prefix>& out, const char*) {
    each(key, out, parse_prefix, "an address with its prefix length, such as \"10.0.0.1/24\"");
  }
  void addresses(std::string_view key, std::vector<IpAddress>& out, const char*) {
    each(key, out, parse_ip, "an IP address");
  }
  void cpus(std::string_view key, std::vector<std::int64_t>& out, const char*) {
    const toml::array* array = array_of(key);
    if (!array) return;
    for (const toml::node& node : *array) {
      const auto value = node.value_exact<std::int64_t>();
      if (!value || *value < 0 || *value > 1023) fail(key, &node, "takes CPU numbers from 0 to 1023");
      else out.push_back(*value);
    }
  }
  template <typename Enum>
  void choice(std::string_view key, Enum& out, std::initializer_list<const char*> names, const char*) {
    read<std::string>(key, false, "a string", [&](const std::string& value, const toml::node& node) {
      std::string all;
      int place = 0;
      for (const char* name : names) {
        if (value == name) {
          out = static_cast<Enum>(place);
          return;
        }
        all += (place++ ? ", " : "") + fmt::format("\"{}\"", name);
      }
      fail(key, &node, fmt::format("\"{}\" is not one of {}", value, all));
    });
  }
  template <typename T, typename F>
  void table(std::string_view key, T& out, const char*, F&& inner) {
    known_.emplace(key);
    const toml::node* node = table_.get(key);
    if (!node) return;
    if (!node->is_table()) return fail(key, node, "must be a table");
    TableReader reader{*node->as_table(), join(key), errors_};
    inner(reader, out);
  }
  template <typename T, typename F>
  void list(std::string_view key, std::vector<T>& out, const char*, F&& inner) {
    known_.emplace(key);
    const toml::node* node = table_.get(key);
    if (!node) return;
    if (!node->is_array_of_tables()) return fail(key, node, fmt::format("must be written as [[{}]]", join(key)));
    std::size_t place = 0;
    for (const toml::node& item : *node->as_array()) {
      TableReader reader{*item.as_table(), fmt::format("{}[{}]", join(key), place++), errors_};
      inner(reader, out.emplace_back());
    }
  }

 private:
  std::string join(std::string_view key) const {
    return path_.empty() ? std::string{key} : path_ + "." + std::string{key};
  }
  void fail(std::string_view key, const toml::node* node, std::string text) {
    const std::uint32_t line = node ? node->source().begin.line : table_.source().begin.line;
    errors_.push_back({line, join(key), std::move(text)});
  }
  template <typename T, typename F>
  void read(std::string_view key, bool required, const char* what, F&& take) {
    known_.emplace(key);
    const toml::node* node = table_.get(key);
    if (!node) {
      if (required) fail(key, nullptr, "is missing");
      return;
    }
    const auto value = node->value_exact<T>();
    if (!value) return fail(key, node, fmt::format("must be {}", what));
    take(*value, *node);
  }
  template <typename T, typename Parse>
  void parsed(std::string_view key, T& out, Parse parse, const char* what, bool required) {
    read<std::string>(key, required, what, [&](const std::string& text, const toml::node& node) {
      if (const auto value = parse(text)) out = *value;
      else fail(key, &node, fmt::format("\"{}\" is not {}", text, what));
    });
  }
  const toml::array* array_of(std::string_view key) {
    known_.emplace(key);
    const toml::node* node = table_.get(key);
    if (node && !node->is_array()) fail(key, node, "must be an array");
    return node ? node->as_array() : nullptr;
  }
  template <typename T, typename Parse>
  void each(std::string_view key, std::vector<T>& out, Parse parse, const char* what) {
    const toml::array* array = array_of(key);
    if (!array) return;
    for (const toml::node& node : *array) {
      const auto text = node.value_exact<std::string>();
      const auto value = text ? parse(*text) : std::nullopt;
      if (value) out.push_back(*value);
      else fail(key, &node, fmt::format("takes {}", what));
    }
  }

  const toml::table& table_;
  std::string path_;
  std::vector<NodeError>& errors_;
  std::set<std::string, std::less<>> known_;
};

// Writes the reference: one row a key, one heading a table.
class ReferenceWriter {
 public:
  explicit ReferenceWriter(std::string path, bool list = false) : path_(std::move(path)) {
    if (!path_.empty()) out_ = fmt::format("\n## `{}`\n\n", list ? "[[" + path_ + "]]" : "[" + path_ + "]");
  }
  std::string take() { return out_ + rows_ + tables_; }

  template <typename T>
  void number(std::string_view key, T& value, std::int64_t low, std::int64_t high, const char* help,
              bool required = false) {
    row(key, high == INT64_MAX ? "number" : fmt::format("number, {} to {}", low, high), fmt::format("{}", value), help,
        required);
  }
  void text(std::string_view key, std::string& value, const char* help, bool required = false) {
    row(key, "string", value.empty() ? "" : "\"" + value + "\"", help, required);
  }
  void flag(std::string_view key, bool& value, const char* help) {
    row(key, "true or false", value ? "true" : "false", help);
  }
  void duration(std::string_view key, Nanos& value, const char* help) {
    row(key, "duration",
        value.ns % 1'000'000'000 == 0 ? fmt::format("\"{}s\"", value.ns / 1'000'000'000)
                                      : fmt::format("\"{}us\"", value.micros()),
        help);
  }
  void prefix(std::string_view key, Prefix&, const char* help, bool required) {
    row(key, "prefix", "", help, required);
  }
  void address(std::string_view key, IpAddress&, const char* help, bool required) {
    row(key, "address", "", help, required);
  }
  void ports(std::string_view key, PortRange& value, const char* help) {
    row(key, "port range", fmt::format("\"{}-{}\"", value.first, value.last), help);
  }
  void prefixes(std::string_view key, std::vector<Prefix>&, const char* help) {
    row(key, "array of addresses with prefix length", "[]", help);
  }
  void addresses(std::string_view key, std::vector<IpAddress>&, const char* help) {
    row(key, "array of addresses", "[]", help);
  }
  void cpus(std::string_view key, std::vector<std::int64_t>&, const char* help) {
    row(key, "array of CPU numbers", "[]", help);
  }
  template <typename Enum>
  void choice(std::string_view key, Enum& value, std::initializer_list<const char*> names, const char* help) {
    std::string all;
    for (const char* name : names) all += (all.empty() ? "" : ", ") + fmt::format("\"{}\"", name);
    row(key, all, fmt::format("\"{}\"", names.begin()[static_cast<std::size_t>(value)]), help);
  }
  template <typename T, typename F>
  void table(std::string_view key, T& value, const char* help, F&& inner) {
    nested(key, value, help, inner, false);
  }
  template <typename T, typename F>
  void list(std::string_view key, std::vector<T>&, const char* help, F&& inner) {
    T value;
    nested(key, value, help, inner, true);
  }

 private:
  template <typename T, typename F>
  void nested(std::string_view key, T& value, const char* help, F&& inner, bool list) {
    ReferenceWriter writer{path_.empty() ? std::string{key} : path_ + "." + std::string{key}, list};
    writer.out_ += fmt::format("{}{}.\n\n", static_cast<char>(std::toupper(help[0])), help + 1);
    inner(writer, value);
    tables_ += writer.take();
  }
  void row(std::string_view key, std::string_view type, std::string_view value, const char* help,
           bool required = false) {
    if (rows_.empty()) rows_ = "| key | value | default | meaning |\n|---|---|---|---|\n";
    rows_ += fmt::format("| `{}` | {} | {} | {} |\n", key, type,
                         required        ? "required"
                         : value.empty() ? ""
                                         : fmt::format("`{}`", value),
                         help);
  }

  std::string path_, out_, rows_, tables_;
};

}  // namespace

std::string to_text(const NodeError& error, std::string_view file) {
  std::string text{file};
  if (error.line) text += fmt::format(":{}", error.line);
  if (!error.key.empty()) text += ": " + error.key;
  return text + ": " + error.text;
}

std::expected<NodeConfig, std::vector<NodeError>> parse_node(std::string_view text) {
  std::vector<NodeError> errors;
  NodeConfig config;
  try {
    const toml::table table = toml::parse(text);
    TableReader reader{table, "", errors};
    visit_node(reader, config);
  } catch (const toml::parse_error& error) {
    errors.push_back({error.source().begin.line, "", std::string{error.description()}});
  }
  if (errors.empty() && config.ports.empty()) errors.push_back({0, "port", "there must be at least one [[port]]"});
  if (!errors.empty()) return std::unexpected{std::move(errors)};
  return config;
}

std::expected<NodeConfig, std::vector<NodeError>> read_node_file(const std::string& path) {
  std::ifstream file{path};
  std::stringstream text;
  if (file) text << file.rdbuf();
  if (!file) return std::unexpected{std::vector<NodeError>{{0, "", "cannot be read"}}};
  return parse_node(text.str());
}

std::string node_reference() {
  NodeConfig defaults;
  ReferenceWriter writer{""};
  visit_node(writer, defaults);
  return "# The node file\n\nMade from mgmt/node_keys.h; do not edit. TOML; an unknown key is an error that names its "
         "line.\n" +
         writer.take();
}

}  // namespace sluice::mgmt
