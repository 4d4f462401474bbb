#include "mgmt/ctl/options.h"

#include <fmt/format.h>

#include "mgmt/ctl/exit.h"

namespace sluice::ctl {

namespace {

// What every command that speaks to the node takes.
CLI::App* speaking(CLI::App& app, Options& o, const char* name, const char* help) {
  CLI::App* sub = app.add_subcommand(name, help);
  sub->add_option("--socket", o.socket, "the node's socket; SLUICE_SOCKET in the environment names another default")
      ->capture_default_str();
  sub->add_option("--timeout", o.timeout_s, "seconds to wait for an answer")
      ->capture_default_str()
      ->check(CLI::Range(0.001, 86400.0));
  sub->add_flag("--json", o.json, "print JSON instead of text");
  return sub;
}

void describe_policy(CLI::App& app, Options& o) {
  CLI::App* apply = speaking(app, o, "apply", "Apply a whole policy; what does not change goes on undisturbed");
  apply
      ->add_option(
          "FILE", o.file,
          "JSON for the schema of docs/policy.md, or a finished Policy buffer; - is standard input. In JSON, chain_pem "
          "and key_pem may be \"@path\": the text of that file, relative to FILE")
      ->required();
  apply->add_flag("-n,--dry-run", o.dry_run, "check and compile it, say what would change, publish nothing");
  apply->add_option("--if-generation", o.if_generation, "refuse unless this generation runs");

  CLI::App* endpoints = speaking(app, o, "endpoints", "Add, change or remove endpoints: all of it or nothing");
  endpoints->add_option("--set", o.set, "CLUSTER/NAME=ADDRESS:PORT[,WEIGHT]: add it, or change address and weight");
  endpoints->add_option("--weight", o.weight, "CLUSTER/NAME=WEIGHT of one that exists; 0 drains it");
  endpoints->add_option("--remove", o.remove, "CLUSTER/NAME");
  endpoints->add_option("--if-generation", o.if_generation, "refuse unless this generation runs");

  CLI::App* get = speaking(app, o, "get", "Print the running policy as JSON, without private keys");
  get->add_flag("--binary", o.binary, "the Policy buffer itself instead of JSON");
  get->add_option("-o,--output", o.output, "write it to this file");
}

void describe_views(CLI::App& app, Options& o) {
  speaking(app, o, "status", "Version, policy generation, workers and ports");

  CLI::App* stats =
      speaking(app, o, "stats", "Counters of the workers and of listeners, routes, clusters, endpoints, services");
  stats->add_flag("-w,--watch", o.watch, "again and again, with rates, until interrupted");
  stats->add_option("--interval", o.interval_s, "seconds between two rounds of --watch")
      ->capture_default_str()
      ->check(CLI::Range(0.05, 3600.0));
  stats->add_option("--rounds", o.rounds, "end --watch after so many; 0: never");
  stats->add_flag("-a,--all", o.all, "counters that are 0 as well");
  stats->add_option("-k,--kind", o.kinds, "only objects of this kind; may be given again")
      ->check(CLI::IsMember({"listener", "route", "cluster", "endpoint", "service"}));

  speaking(app, o, "services", "L4 services and their backends");
  CLI::App* flows = speaking(app, o, "flows", "Flows of L4 services");
  flows->add_option("--service", o.service, "only flows of this service");
  flows->add_option("--limit", o.limit, "list at most so many")->capture_default_str();
  CLI::App* connections = speaking(app, o, "connections", "TCP connections, of clients and to endpoints");
  connections->add_option("--listener", o.listener, "only connections of this listener");
  connections->add_option("--limit", o.limit, "list at most so many")->capture_default_str();
  connections->add_flag("--detail", o.detail, "what TCP knows of each, as `ss -ti` tells it");
}

void describe_actions(CLI::App& app, Options& o) {
  CLI::App* drain = speaking(app, o, "drain", "Take no new connections, let the old ones end, then leave");
  drain->add_option("--within", o.drain_timeout_ms, "milliseconds for the old ones; 0: the node file's drain_timeout");
  drain->add_flag("--wait", o.wait, "return when the node has left");

  CLI::App* trace = speaking(app, o, "trace", "The story of the next packets that match");
  trace->add_option("-n,--packets", o.packets, "how many")->capture_default_str()->check(CLI::Range(1u, 1000u));
  trace->add_option("--address", o.address, "address or prefix of either end");
  trace->add_option("--port", o.port, "port of either end");
  trace->add_option("--protocol", o.protocol, "tcp, udp, icmp, icmp6 or a number");
  trace->add_option("--ingress", o.ingress, "name of the node's port that they come in by");
  trace->add_option("--wait", o.wait_s, "seconds to wait for them")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 86400.0));

  CLI::App* log = speaking(app, o, "log", "Set the level of the node's log, live");
  log->add_option("LEVEL", o.level, "debug, info, warning or error")
      ->required()
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}));

  CLI::App* completion =
      app.add_subcommand("completion", "Print shell completion: source <(sluicectl completion bash)");
  completion->add_option("SHELL", o.shell, "bash")->required()->check(CLI::IsMember({"bash"}));
}

}  // namespace

void describe(CLI::App& app, Options& options) {
  app.name("sluicectl");
  app.description("The operator's hand on a Sluice node");
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("--socket", options.socket,
                 "the node's socket; SLUICE_SOCKET in the environment names another default")
      ->capture_default_str();
  app.add_option("--timeout", options.timeout_s, "seconds to wait for an answer")->capture_default_str();
  app.add_flag("--json", options.json, "print JSON instead of text");
  describe_policy(app, options);
  describe_views(app, options);
  describe_actions(app, options);
  std::string footer = "Exit codes:\n";
  for (const ExitMeaning& meaning : exit_meanings)
    footer += fmt::format("  {}  {}\n", static_cast<int>(meaning.code), meaning.text);
  app.footer(footer);
}

std::string bash_completion(const CLI::App& app) {
  const auto words_of = [](const CLI::App& of) {
    std::string words;
    for (const CLI::Option* option : of.get_options()) {
      for (const std::string& name : option->get_lnames()) words += "--" + name + " ";
      for (const std::string& name : option->get_snames()) words += "-" + name + " ";
    }
    return words;
  };
  std::string names, cases;
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    names += sub->get_name() + " ";
    std::string words = words_of(*sub);
    if (sub->get_name() == "log") words += "debug info warning error";
    if (sub->get_name() == "completion") words += "bash";
    cases += fmt::format("    {}) words=\"{}\" ;;\n", sub->get_name(), words);
  }
  return fmt::format(
      R"(# bash completion for sluicectl; made by: sluicectl completion bash
_sluicectl() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" command="" i words
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case " {0}" in *" ${{COMP_WORDS[i]}} "*) command="${{COMP_WORDS[i]}}"; break ;; esac
  done
  case "$before" in
    --socket|-o|--output) mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
    -k|--kind) mapfile -t COMPREPLY < <(compgen -W "listener route cluster endpoint service" -- "$word"); return ;;
    --protocol) mapfile -t COMPREPLY < <(compgen -W "tcp udp icmp icmp6" -- "$word"); return ;;
  esac
  case "$command" in
    "") words="{0}{1}" ;;
{2}  esac
  if [[ $command == apply && $word != -* ]]; then
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
    return
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}}
complete -o filenames -F _sluicectl sluicectl
)",
      names, words_of(app), cases);
}

}  // namespace sluice::ctl
