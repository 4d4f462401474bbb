// docs_gen.cc - writes the reference pages: docs-gen FOLDER. Everything they say comes from where the programs have it:
// the schema's comments, node_keys.h, counters.list.h, the command lines. `./dev tidy` fails when docs/ is not what
// this writes.

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "dataplane/base/counters.h"
#include "mgmt/command_line.h"
#include "mgmt/ctl/exit.h"
#include "mgmt/ctl/options.h"
#include "mgmt/exposition.h"
#include "mgmt/node_config.h"
#include "mgmt/schema/schema_text.h"

namespace {

using namespace sluice;

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(' ');
  return first == text.npos ? std::string_view{} : text.substr(first, text.find_last_not_of(' ') - first + 1);
}

std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == '|' ? std::string{"\\|"} : std::string{c};
  return out;
}

// A schema as a page: a heading for each table, enum and union, a row for each member, their `///` comments as text.
class SchemaPage {
 public:
  std::string of(std::string_view schema) {
    while (!schema.empty()) {
      const std::size_t end = schema.find('\n');
      line(trimmed(schema.substr(0, end)));
      schema.remove_prefix(end == schema.npos ? schema.size() : end + 1);
    }
    return std::move(out_);
  }

 private:
  void line(std::string_view text) {
    if (text.starts_with("///")) {
      said_ += (said_.empty() ? "" : " ") + std::string{trimmed(text.substr(3))};
    } else if (text.starts_with("table ") || text.starts_with("enum ") || text.starts_with("union ")) {
      begin(text);
    } else if (inside_ && !text.empty() && !text.starts_with("//")) {
      if (const std::size_t close = text.find('}'); close != text.npos) {
        members(text.substr(0, close));
        inside_ = false;
      } else {
        members(text);
      }
    } else if (text.empty()) {
      said_.clear();
    }
  }

  void begin(std::string_view text) {
    const std::size_t brace = text.find('{');
    const std::string_view kind = text.substr(0, text.find(' '));
    std::string_view name = trimmed(text.substr(kind.size(), brace - kind.size()));
    name = trimmed(name.substr(0, name.find(':')));
    of_table_ = kind == "table";
    out_ += fmt::format("\n## {}\n\n{}", name, said_.empty() ? "" : said_ + "\n\n");
    out_ +=
        of_table_ ? "| field | type | default | meaning |\n|---|---|---|---|\n" : "| value | meaning |\n|---|---|\n";
    said_.clear();
    inside_ = true;
    std::string_view rest = text.substr(brace + 1);
    if (const std::size_t close = rest.find('}'); close != rest.npos) {
      rest = rest.substr(0, close);
      inside_ = false;
    }
    members(rest);
  }

  void members(std::string_view text) {
    while (!(text = trimmed(text)).empty()) {
      const std::size_t end = text.find_first_of(of_table_ ? ";" : ",");
      const std::string_view one = trimmed(text.substr(0, end));
      text.remove_prefix(end == text.npos ? text.size() : end + 1);
      if (one.empty()) continue;
      if (of_table_) {
        const std::size_t colon = one.find(':'), equals = one.find('=');
        const std::string_view type = trimmed(one.substr(colon + 1, equals == one.npos ? equals : equals - colon - 1));
        const std::string_view value = equals == one.npos ? std::string_view{} : trimmed(one.substr(equals + 1));
        out_ += fmt::format("| `{}` | {} | {} | {} |\n", one.substr(0, colon), type, value, cell(said_));
      } else {
        out_ += fmt::format("| `{}` | {} |\n", one, cell(said_));
      }
      said_.clear();
    }
  }

  std::string out_, said_;
  bool inside_ = false, of_table_ = false;
};

std::string policy_page() {
  return "# Policy\n\nWhat an operator or a control plane configures, as one whole: `sluicectl apply FILE` with JSON "
         "of this form, or a\n"
         "FlatBuffer of `mgmt/schema/policy.fbs`. Names refer to objects of the same policy. Times are in "
         "milliseconds; 0 switches a\n"
         "timeout off unless it says otherwise. `examples/policy.json` is a worked one.\n" +
         SchemaPage{}.of(mgmt::policy_schema) +
         "\n# The management socket\n\nA Unix stream socket, mode 0660: uid 0 and the node's group may speak to it. "
         "Each direction is a sequence\n"
         "of size-prefixed FlatBuffers of `mgmt/schema/control.fbs`: a `Request` is answered by exactly one `Reply` "
         "with its id.\n"
         "`examples/control_plane.py` speaks it.\n" +
         SchemaPage{}.of(mgmt::control_schema);
}

std::string counters_page() {
  std::string page =
      "# Counters\n\nOf each worker: in `sluicectl stats` under these names, in `/metrics` under those of the second "
      "column, by `worker`. A name\nthat starts with `drop_` is a reason for which packets die.\n\n"
      "| counter | metric | unit | meaning |\n|---|---|---|---|\n";
  for (const CounterInfo& info : counter_info)
    page += fmt::format("| `{}` | `{}` | {} | {} |\n", info.name, mgmt::metric_name(info), info.unit, cell(info.help));
  page +=
      "\n# Other metrics\n\nOf the node, and of each named object: KIND is `listener`, `route`, `cluster`, `endpoint` "
      "or `service`. What an object\ncounted begins at 0 when it is first applied, and goes on through policies that "
      "keep its name.\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n";
  for (const mgmt::MetricInfo& info : mgmt::metric_reference())
    page += fmt::format("| `{}` | {} | {} | {} |\n", info.name, info.type, info.labels, cell(info.help));
  return page;
}

std::string help_of(const CLI::App& app, const std::string& name) {
  return fmt::format("```\n{}```\n\n", app.help(name));
}

std::string commands_page() {
  std::string page = "# Commands\n\n## sluiced\n\n";
  CLI::App sluiced;
  mgmt::CommandLine line;
  mgmt::describe(sluiced, line);
  page += help_of(sluiced, "");
  page +=
      "Signals: SIGTERM and SIGINT drain and leave (a second one leaves at once); SIGHUP opens the log files "
      "anew.\n\n## sluicectl\n\n";
  CLI::App sluicectl;
  ctl::Options options;
  ctl::describe(sluicectl, options);
  page += help_of(sluicectl, "");
  for (const CLI::App* sub : sluicectl.get_subcommands([](const CLI::App*) { return true; }))
    page += fmt::format("### sluicectl {}\n\n{}", sub->get_name(), help_of(*sub, "sluicectl " + sub->get_name()));
  while (page.ends_with("\n\n")) page.pop_back();
  return page;
}

bool write(const std::filesystem::path& file, const std::string& text) {
  std::ofstream out{file, std::ios::binary};
  out << text << std::flush;
  return static_cast<bool>(out);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "docs-gen FOLDER: writes the reference pages there\n");
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  std::error_code ignored;
  std::filesystem::create_directories(folder, ignored);
  const std::map<std::string, std::string> pages = {{"policy.md", policy_page()},
                                                    {"node.md", mgmt::node_reference()},
                                                    {"counters.md", counters_page()},
                                                    {"commands.md", commands_page()}};
  for (const auto& [name, text] : pages)
    if (!write(folder / name, "<!-- Written by docs-gen from the source; change it there. -->\n\n" + text)) {
      fmt::print(stderr, "docs-gen: {} cannot be written\n", (folder / name).string());
      return 1;
    }
  return 0;
}

// Tested in tests/tidy/promises.py.
