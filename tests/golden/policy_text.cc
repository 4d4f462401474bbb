#include "tests/golden/policy_text.h"

#include <sstream>

namespace sluice::test {

namespace {

// One line's words; the first that cannot be read fails the line.
class Words {
 public:
  explicit Words(const std::string& line) : in_(line) {}
  std::string word() {
    std::string out;
    if (!(in_ >> out)) ok = false;
    return out;
  }
  bool more() { return static_cast<bool>(in_ >> std::ws) && !in_.eof(); }
  unsigned number() { return number(word()); }
  unsigned number(const std::string& text) {
    char* end = nullptr;
    const unsigned long value = std::strtoul(text.c_str(), &end, 0);
    if (text.empty() || *end) ok = false;
    return static_cast<unsigned>(value);
  }
  template <typename T>
  T need(std::optional<T> value) {
    if (!value) ok = false;
    return value.value_or(T{});
  }
  // "80" or "30000-39999"
  PortRange ports() {
    const std::string text = word();
    const std::size_t dash = text.find('-');
    PortRange range;
    range.first = static_cast<std::uint16_t>(number(text.substr(0, dash)));
    range.last = dash == text.npos ? range.first : static_cast<std::uint16_t>(number(text.substr(dash + 1)));
    return range;
  }
  bool ok = true;

 private:
  std::istringstream in_;
};

void read_interface(Words& in, NodePolicy& out) {
  Interface interface;
  interface.port = static_cast<PortId>(in.number());
  while (in.more()) {
    const std::string word = in.word();
    if (word.starts_with("vlan=")) interface.vlan = static_cast<std::uint16_t>(in.number(word.substr(5)));
    else if (word.starts_with("exception=")) interface.exception_port = static_cast<PortId>(in.number(word.substr(10)));
    else interface.addresses.push_back(in.need(parse_prefix(word)));
  }
  if (interface.port < out.ports.size()) interface.mac = out.ports[interface.port];
  else in.ok = false;
  out.interfaces.push_back(interface);
}

void read_listener(Words& in, NodePolicy& out) {
  NodeListener listener;
  listener.rule.id = in.number();
  listener.rule.destination = in.need(parse_prefix(in.word()));
  listener.rule.ports = in.ports();
  while (in.more()) {
    const std::string word = in.word();
    if (word.starts_with("to=")) listener.to = in.need(parse_endpoint(word.substr(3)));
    else if (word == "client_address") listener.use_client_address = true;
    else listener.rule.ingress = static_cast<PortId>(in.number(word));
  }
  out.listeners.push_back(listener);
}

void read_service(Words& in, NodePolicy& out) {
  ServiceSpec service;
  service.id = in.number();
  service.protocol = in.word() == "udp" ? Protocol::udp : Protocol::tcp;
  service.vip = in.need(parse_prefix(in.word()));
  service.ports = in.ports();
  service.maglev_size = 251;
  out.services.push_back(service);
}

void read_backend(Words& in, NodePolicy& out) {
  Backend backend;
  backend.endpoint = in.number();
  backend.at = in.need(parse_endpoint(in.word()));
  if (in.more()) backend.weight = in.number();
  if (out.services.empty()) in.ok = false;
  else out.services.back().backends.push_back(backend);
}

void read_line(const std::string& name, Words& in, NodePolicy& out) {
  if (name == "port") {
    const unsigned id = in.number();
    if (id != out.ports.size()) in.ok = false;
    out.ports.push_back(in.need(parse_mac(in.word())));
  } else if (name == "interface") {
    read_interface(in, out);
  } else if (name == "route") {
    const Prefix destination = in.need(parse_prefix(in.word()));
    in.ok = in.word() == "via" && in.ok;
    out.routes.push_back({destination, in.need(parse_ip(in.word()))});
  } else if (name == "snat" || name == "upstream") {
    const IpAddress address = in.need(parse_ip(in.word()));
    out.local.push_back({address, in.ports(), name == "snat" ? LocalUse::snat : LocalUse::upstream});
  } else if (name == "listener") {
    read_listener(in, out);
  } else if (name == "workers") {
    out.workers = static_cast<std::uint16_t>(in.number());
  } else if (name == "service") {
    read_service(in, out);
  } else if (name == "backend") {
    read_backend(in, out);
  } else {
    in.ok = false;
  }
}

}  // namespace

std::expected<NodePolicy, std::string> read_policy(const std::string& text) {
  NodePolicy out;
  std::istringstream lines{text};
  for (std::string line; std::getline(lines, line);) {
    Words in{line};
    if (!in.more() || line.starts_with('#')) continue;
    const std::string name = in.word();
    read_line(name, in, out);
    if (!in.ok || in.more()) return std::unexpected("policy: cannot read: " + line);
  }
  return out;
}

}  // namespace sluice::test
