#include "perf/peers/haproxy.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <regex>
#include <thread>

namespace sluice::perf {

namespace {

// A TCP port of loopback that is free at the moment.
std::uint16_t free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  bind(socket, reinterpret_cast<sockaddr*>(&at), sizeof at);
  getsockname(socket, reinterpret_cast<sockaddr*>(&at), &size);
  close(socket);
  return ntohs(at.sin_port);
}

bool listens(std::uint16_t port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  at.sin_port = htons(port);
  const bool yes = connect(socket, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0;
  close(socket);
  return yes;
}

std::string body_of(unsigned size) {
  std::string body;
  for (unsigned i = 0; i < size; ++i) body += static_cast<char>('a' + i % 26);
  return body;
}

std::string filled(std::string text, std::initializer_list<std::pair<const char*, std::string>> values) {
  for (const auto& [name, value] : values)
    for (std::size_t at = 0; (at = text.find(name, at)) != text.npos; at += value.size())
      text.replace(at, std::strlen(name), value);
  return text;
}

}  // namespace

std::expected<std::unique_ptr<Haproxy>, std::string> Haproxy::start() {
  std::unique_ptr<Haproxy> peer{new Haproxy};
  const std::string haproxy = find_program("haproxy"), nginx = find_program("nginx");
  peer->wrk_ = find_program("wrk");
  if (haproxy.empty() || nginx.empty() || peer->wrk_.empty())
    return std::unexpected{std::string{"haproxy, nginx and wrk must be installed: ./dev setup"}};
  const std::string folder = SLUICE_PEERS;
  const std::uint16_t backend = free_port();
  peer->port_ = free_port();
  bool written = true;
  for (const char* name : {"haproxy.cfg", "nginx.conf", "answers.lua"}) {
    const std::string text = read_text(folder + "/" + name);
    written &= !text.empty() && write_text(peer->scratch_ / name, filled(text, {{"@PORT@", std::to_string(peer->port_)},
                                                                                {"@BACKEND@", std::to_string(backend)},
                                                                                {"@FOLDER@", peer->scratch_ / ""},
                                                                                {"@BODY@", body_of(128)}}));
  }
  if (!written) return std::unexpected{"the peers' configurations cannot be read in " + folder};
  const int last = static_cast<int>(std::thread::hardware_concurrency()) - 1;
  peer->nginx_ =
      std::make_unique<Process>(std::vector<std::string>{nginx, "-e", "stderr", "-c", peer->scratch_ / "nginx.conf"},
                                peer->scratch_ / "nginx.log", 0);
  peer->haproxy_ =
      std::make_unique<Process>(std::vector<std::string>{haproxy, "-db", "-f", peer->scratch_ / "haproxy.cfg"},
                                peer->scratch_ / "haproxy.log", last);
  for (int i = 0; i < 3000 && !(listens(backend) && listens(peer->port_)); ++i) usleep(10'000);
  if (!listens(backend)) return std::unexpected{"nginx does not start: " + read_text(peer->scratch_ / "nginx.log")};
  if (!listens(peer->port_))
    return std::unexpected{"haproxy does not start: " + read_text(peer->scratch_ / "haproxy.log")};
  return peer;
}

std::expected<Haproxy::Rate, std::string> Haproxy::drive(bool close, unsigned seconds) {
  std::vector<std::string> command{wrk_,    "-t1",
                                   "-c100", "--timeout",
                                   "20s",   fmt::format("-d{}s", seconds),
                                   "-s",    scratch_ / "answers.lua",
                                   "-H",    "Host: bench.example"};
  if (close) command.insert(command.end(), {"-H", "Connection: close"});
  command.push_back(fmt::format("http://127.0.0.1:{}/", port_));
  const double before = haproxy_->cpu_seconds();
  Process wrk{command, scratch_ / "wrk.log", 0};
  const auto code = wrk.wait(seconds + 20);
  const double used = haproxy_->cpu_seconds() - before;
  const std::string log = read_text(scratch_ / "wrk.log");
  static const std::regex line{R"(answers (\d+) wrong (\d+) unconnected (\d+) unread (\d+) unwritten (\d+))"
                               R"( refused (\d+) late (\d+))"};
  std::smatch found;
  if (code != 0 || !std::regex_search(log, found, line)) return std::unexpected{"wrk failed: " + log};
  const double answers = std::stod(found[1]);
  for (std::size_t i = 2; i < found.size(); ++i)
    if (found[i] != "0" || answers == 0) return std::unexpected{"not every answer was right: " + found.str()};
  if (used <= 0) return std::unexpected{std::string{"haproxy used no measurable time"}};
  return Rate{answers / used, used / seconds};
}

}  // namespace sluice::perf
