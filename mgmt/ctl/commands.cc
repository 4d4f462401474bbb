#include "mgmt/ctl/commands.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <optional>
#include <thread>

#include "mgmt/ctl/client.h"
#include "mgmt/ctl/policy_file.h"
#include "mgmt/ctl/print.h"

namespace sluice::ctl {

namespace {

using flatbuffers::FlatBufferBuilder;
using std::chrono::milliseconds;

volatile std::sig_atomic_t interrupted = 0;

void stop_on_interrupt() {
  struct sigaction action{};
  action.sa_handler = [](int) { interrupted = 1; };
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

milliseconds in_ms(double seconds) { return milliseconds{static_cast<std::int64_t>(seconds * 1000)}; }

// A failure that ends the command.
struct Ended {
  Exit code;
};

[[noreturn]] void fail(Exit code, std::string_view text) {
  fmt::print(stderr, "sluicectl: {}{}", text, text.ends_with('\n') ? "" : "\n");
  throw Ended{code};
}

Exit exit_of(fb::Outcome outcome) {
  switch (outcome) {
    case fb::Outcome::ok: return Exit::ok;
    case fb::Outcome::denied: return Exit::denied;
    case fb::Outcome::busy: return Exit::no_answer;
    default: return Exit::refused;
  }
}

class Node {
 public:
  explicit Node(const Options& options) : options_(options), client_(open(options)) {}

  // The reply, or the end of the command with everything that the node says against it.
  Reply ask(const Compose& compose) {
    auto reply = client_.ask(compose);
    if (!reply) fail(reply.error().code, reply.error().text);
    if ((*reply)->outcome() != fb::Outcome::ok) {
      if (options_.json) fmt::print("{}", table_json(&**reply, "Reply"));
      fail(exit_of((*reply)->outcome()), print_refusal(**reply));
    }
    return std::move(*reply);
  }

  // A command with an empty table or simple fields.
  template <typename Create>
  Reply ask(fb::Command type, Create&& create) {
    return ask([&](FlatBufferBuilder& out) { return std::pair{type, create(out).Union()}; });
  }

 private:
  static Client open(const Options& options) {
    auto client = Client::connect(options.socket, in_ms(options.timeout_s));
    if (!client) fail(client.error().code, client.error().text);
    return std::move(*client);
  }

  const Options& options_;
  Client client_;
};

template <typename T>
const T& result_of(const Reply& reply, const T* result) {
  if (!result) fail(Exit::no_answer, "the node answered with something else than was asked for");
  return *result;
}

template <typename T, typename... More>
void show(const Options& options, const T& result, const char* name, More... more) {
  fmt::print("{}", options.json ? table_json(&result, name) : print(result, more...));
}

// ---- policy

void apply(const Options& o) {
  const auto policy = read_policy(o.file);
  if (!policy) fail(Exit::usage, policy.error());
  Node node{o};
  const Reply reply = node.ask([&](FlatBufferBuilder& out) {
    const auto bytes = out.CreateVector(*policy);
    return o.dry_run ? std::pair{fb::Command::DryRun, fb::CreateDryRun(out, bytes).Union()}
                     : std::pair{fb::Command::Apply, fb::CreateApply(out, bytes, o.if_generation).Union()};
  });
  show(o, result_of(reply, reply->result_as_Applied()), "Applied", o.dry_run);
}

struct EndpointKey {
  std::string cluster, name;
  auto operator<=>(const EndpointKey&) const = default;
};
struct EndpointValue {
  std::string address;
  std::uint32_t weight = 1;
};

EndpointKey endpoint_key(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == text.npos || slash == 0 || slash + 1 == text.size())
    fail(Exit::usage, fmt::format("\"{}\" is not CLUSTER/NAME", text));
  return {std::string{text.substr(0, slash)}, std::string{text.substr(slash + 1)}};
}

std::uint32_t weight_of(std::string_view text) {
  std::uint32_t weight = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), weight);
  if (error != std::errc{} || end != text.data() + text.size())
    fail(Exit::usage, fmt::format("\"{}\" is not a weight", text));
  return weight;
}

std::pair<std::string_view, std::string_view> cut(std::string_view text, const char* form) {
  const std::size_t equals = text.find('=');
  if (equals == text.npos || equals + 1 == text.size()) fail(Exit::usage, fmt::format("\"{}\" is not {}", text, form));
  return {text.substr(0, equals), text.substr(equals + 1)};
}

// A weight alone needs the address that the endpoint has: the running policy tells, and its generation guards the
// delta.
std::uint64_t look_up(Node& node, const std::vector<std::string>& weights, std::map<EndpointKey, EndpointValue>& set) {
  const Reply reply = node.ask(fb::Command::Get, [](FlatBufferBuilder& out) { return fb::CreateGet(out); });
  const fb::PolicyCopy& copy = result_of(reply, reply->result_as_PolicyCopy());
  std::map<EndpointKey, std::string> addresses;
  if (copy.policy() && copy.policy()->size()) {
    const Bytes bytes{copy.policy()->begin(), copy.policy()->end()};
    flatbuffers::Verifier verifier{bytes.data(), bytes.size(), 64, 100'000'000};
    if (!fb::VerifyPolicyBuffer(verifier)) fail(Exit::no_answer, "the node sent a policy that cannot be read");
    if (const auto* endpoints = fb::GetPolicy(bytes.data())->endpoints())
      for (const fb::Endpoint* e : *endpoints)
        if (e->cluster() && e->name() && e->address())
          addresses[{e->cluster()->str(), e->name()->str()}] = e->address()->str();
  }
  for (const std::string& text : weights) {
    const auto [name, weight] = cut(text, "CLUSTER/NAME=WEIGHT");
    const EndpointKey key = endpoint_key(name);
    const auto found = addresses.find(key);
    if (found == addresses.end()) fail(Exit::refused, fmt::format("there is no endpoint {}", name));
    set[key] = {found->second, weight_of(weight)};
  }
  return copy.generation();
}

void endpoints(const Options& o) {
  std::map<EndpointKey, EndpointValue> set;
  for (const std::string& text : o.set) {
    const auto [name, value] = cut(text, "CLUSTER/NAME=ADDRESS:PORT[,WEIGHT]");
    const std::size_t comma = value.find(',');
    set[endpoint_key(name)] = {std::string{value.substr(0, comma)},
                               comma == value.npos ? 1 : weight_of(value.substr(comma + 1))};
  }
  std::vector<EndpointKey> remove;
  for (const std::string& text : o.remove) remove.push_back(endpoint_key(text));
  if (set.empty() && remove.empty() && o.weight.empty())
    fail(Exit::usage, "nothing to do: give --set, --weight or --remove");
  Node node{o};
  std::uint64_t generation = o.if_generation;
  if (!o.weight.empty()) {
    const std::uint64_t seen = look_up(node, o.weight, set);
    if (generation == 0) generation = seen;
  }
  const Reply reply = node.ask(fb::Command::EndpointDelta, [&](FlatBufferBuilder& out) {
    std::vector<flatbuffers::Offset<fb::Endpoint>> sets;
    for (const auto& [key, value] : set)
      sets.push_back(
          fb::CreateEndpointDirect(out, key.cluster.c_str(), key.name.c_str(), value.address.c_str(), value.weight));
    std::vector<flatbuffers::Offset<fb::EndpointName>> names;
    for (const EndpointKey& key : remove)
      names.push_back(fb::CreateEndpointNameDirect(out, key.cluster.c_str(), key.name.c_str()));
    return fb::CreateEndpointDeltaDirect(out, &sets, &names, generation);
  });
  show(o, result_of(reply, reply->result_as_Applied()), "Applied", false);
}

void get(const Options& o) {
  Node node{o};
  const Reply reply = node.ask(fb::Command::Get, [](FlatBufferBuilder& out) { return fb::CreateGet(out); });
  const fb::PolicyCopy& copy = result_of(reply, reply->result_as_PolicyCopy());
  if (copy.generation() == 0 || !copy.policy()) fail(Exit::refused, "no policy was applied yet");
  const Bytes policy{copy.policy()->begin(), copy.policy()->end()};
  std::string text;
  if (o.binary) {
    text.assign(policy.begin(), policy.end());
  } else {
    flatbuffers::Verifier verifier{policy.data(), policy.size(), 64, 100'000'000};
    if (!fb::VerifyPolicyBuffer(verifier)) fail(Exit::no_answer, "the node sent a policy that cannot be read");
    text = policy_json(policy);
  }
  if (o.output.empty()) {
    std::cout << text << std::flush;
    return;
  }
  std::ofstream file{o.output, std::ios::binary};
  file << text << std::flush;
  if (!file) fail(Exit::usage, fmt::format("{}: cannot be written", o.output));
}

// ---- views

void stats(const Options& o) {
  Node node{o};
  std::vector<fb::ObjectKind> kinds;
  for (const std::string& name : o.kinds)
    for (const fb::ObjectKind kind : fb::EnumValuesObjectKind())
      if (name == fb::EnumNameObjectKind(kind)) kinds.push_back(kind);
  const auto fetch = [&] {
    return node.ask(fb::Command::Stats,
                    [&](FlatBufferBuilder& out) { return fb::CreateStats(out, out.CreateVector(kinds)); });
  };
  std::optional<Reply> before;
  if (o.watch) stop_on_interrupt();
  const auto interval = in_ms(o.interval_s);
  auto taken = std::chrono::steady_clock::now();
  for (std::uint32_t round = 1;; ++round) {
    Reply now = fetch();
    const auto at = std::chrono::steady_clock::now();
    const double seconds = std::chrono::duration<double>(at - taken).count();
    const fb::StatsReport& report = result_of(now, now->result_as_StatsReport());
    if (o.json) fmt::print("{}", table_json(&report, "StatsReport", !o.watch));
    else if (!o.watch) fmt::print("{}", print(report, o.all));
    else if (before) fmt::print("{}\n", print(report, o.all, (*before)->result_as_StatsReport(), seconds));
    std::fflush(stdout);
    if (!o.watch || interrupted || (o.rounds && round > o.rounds)) return;
    before.reset();
    before.emplace(std::move(now));
    taken = at;
    std::this_thread::sleep_for(interval);
    if (interrupted) return;
  }
}

void flows(const Options& o) {
  Node node{o};
  const Reply reply = node.ask(fb::Command::Flows, [&](FlatBufferBuilder& out) {
    return fb::CreateFlowsDirect(out, o.service.c_str(), o.limit);
  });
  show(o, result_of(reply, reply->result_as_FlowsReport()), "FlowsReport");
}

void connections(const Options& o) {
  Node node{o};
  const Reply reply = node.ask(fb::Command::Connections, [&](FlatBufferBuilder& out) {
    return fb::CreateConnectionsDirect(out, o.listener.c_str(), o.limit, o.detail);
  });
  show(o, result_of(reply, reply->result_as_ConnectionsReport()), "ConnectionsReport");
}

void status(const Options& o) {
  Node node{o};
  const Reply reply = node.ask(fb::Command::Status, [](FlatBufferBuilder& out) { return fb::CreateStatus(out); });
  show(o, result_of(reply, reply->result_as_StatusReport()), "StatusReport");
}

void services(const Options& o) {
  Node node{o};
  const Reply reply = node.ask(fb::Command::Services, [](FlatBufferBuilder& out) { return fb::CreateServices(out); });
  show(o, result_of(reply, reply->result_as_ServicesReport()), "ServicesReport");
}

// ---- actions

void done(const Options& o, std::string_view text) {
  if (o.json) fmt::print("{{\"outcome\": \"ok\"}}\n");
  else fmt::print("{}\n", text);
}

void drain(const Options& o) {
  {
    Node node{o};
    node.ask(fb::Command::Drain, [&](FlatBufferBuilder& out) { return fb::CreateDrain(out, o.drain_timeout_ms); });
  }
  while (o.wait) {
    std::this_thread::sleep_for(milliseconds{100});
    const auto client = Client::connect(o.socket, milliseconds{1000});
    if (!client && client.error().code == Exit::not_running) return done(o, "drained: the node has left");
  }
  done(o, "draining: no new connections");
}

std::uint8_t protocol_number(const std::string& text) {
  if (text.empty()) return 0;
  const std::map<std::string, std::uint8_t> known = {{"tcp", 6}, {"udp", 17}, {"icmp", 1}, {"icmp6", 58}};
  if (const auto found = known.find(text); found != known.end()) return found->second;
  std::uint8_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number == 0)
    fail(Exit::usage, fmt::format("\"{}\" is not a protocol", text));
  return number;
}

void trace(const Options& o) {
  const std::uint8_t protocol = protocol_number(o.protocol);
  Node node{o};
  node.ask(fb::Command::TraceStart, [&](FlatBufferBuilder& out) {
    return fb::CreateTraceStartDirect(out, o.packets, o.address.c_str(), o.port, protocol, o.ingress.c_str());
  });
  stop_on_interrupt();
  const auto until = std::chrono::steady_clock::now() + in_ms(o.wait_s);
  const auto read = [&] {
    return node.ask(fb::Command::TraceRead, [](FlatBufferBuilder& out) { return fb::CreateTraceRead(out); });
  };
  while (!interrupted && std::chrono::steady_clock::now() < until) {
    const Reply reply = read();
    if (result_of(reply, reply->result_as_TraceReport()).waiting() == 0) break;
    std::this_thread::sleep_for(milliseconds{100});
  }
  // The last packet's story may still be on its way through the stages.
  std::this_thread::sleep_for(milliseconds{100});
  const Reply reply = read();
  show(o, result_of(reply, reply->result_as_TraceReport()), "TraceReport");
}

void log(const Options& o) {
  Node node{o};
  fb::LogSeverity level = fb::LogSeverity::info;
  for (const fb::LogSeverity one : fb::EnumValuesLogSeverity())
    if (o.level == fb::EnumNameLogSeverity(one)) level = one;
  node.ask(fb::Command::LogLevel, [&](FlatBufferBuilder& out) { return fb::CreateLogLevel(out, level); });
  done(o, fmt::format("log level is {}", o.level));
}

constexpr std::pair<std::string_view, void (*)(const Options&)> commands[] = {
    {"apply", apply}, {"connections", connections},
    {"drain", drain}, {"endpoints", endpoints},
    {"flows", flows}, {"get", get},
    {"log", log},     {"services", services},
    {"stats", stats}, {"status", status},
    {"trace", trace},
};

}  // namespace

Exit run(const std::string& command, const Options& options, const CLI::App& app) {
  if (command == "completion") {
    fmt::print("{}", bash_completion(app));
    return Exit::ok;
  }
  try {
    for (const auto& [name, act] : commands)
      if (name == command) act(options);
  } catch (const Ended& ended) { return ended.code; } catch (const std::exception& error) {
    fmt::print(stderr, "sluicectl: {}\n", error.what());
    return Exit::refused;
  }
  return Exit::ok;
}

}  // namespace sluice::ctl
