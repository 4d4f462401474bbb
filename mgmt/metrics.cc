#include "mgmt/metrics.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

namespace sluice::mgmt {

namespace {

constexpr std::size_t head_max = 8 * 1024, clients_max = 32;
constexpr std::chrono::seconds patience{10};
constexpr std::chrono::milliseconds fresh{200};

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

SocketAddress socket_address(const Endpoint& at) {
  SocketAddress result;
  if (at.address.is_v4()) {
    auto& in = reinterpret_cast<sockaddr_in&>(result.storage);
    in.sin_family = AF_INET;
    in.sin_port = htons(at.port);
    std::memcpy(&in.sin_addr, at.address.bytes.data() + 12, 4);
    result.size = sizeof in;
  } else {
    auto& in = reinterpret_cast<sockaddr_in6&>(result.storage);
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(at.port);
    std::memcpy(&in.sin6_addr, at.address.bytes.data(), 16);
    result.size = sizeof in;
  }
  return result;
}

std::string response(std::string_view status, std::string_view type, std::string_view body, bool with_body,
                     std::string_view more = "") {
  return fmt::format("HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n{}Connection: close\r\n\r\n{}", status,
                     type, body.size(), more, with_body ? body : std::string_view{});
}

}  // namespace

std::expected<std::unique_ptr<MetricsServer>, MetricsServer::OpenError> MetricsServer::open(
    const std::string& listen, std::function<std::string()> page) {
  const auto at = parse_endpoint(listen);
  if (!at) return std::unexpected{OpenError{false, fmt::format("metrics: \"{}\" is not ADDRESS:PORT", listen)}};
  const auto fail = [&](int error) {
    return std::unexpected{
        OpenError{error == EADDRINUSE, fmt::format("metrics: cannot listen on {}: {}", listen, std::strerror(error))}};
  };
  std::unique_ptr<MetricsServer> server{new MetricsServer{std::move(page)}};
  const SocketAddress address = socket_address(*at);
  server->listener_ = socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (server->listener_ < 0) return fail(errno);
  const int on = 1;
  setsockopt(server->listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(server->listener_, reinterpret_cast<const sockaddr*>(&address.storage), address.size) != 0)
    return fail(errno);
  if (::listen(server->listener_, clients_max) != 0) return fail(errno);
  server->epoll_ = epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
  if (server->epoll_ < 0 || epoll_ctl(server->epoll_, EPOLL_CTL_ADD, server->listener_, &event) != 0)
    return fail(errno);
  return server;
}

MetricsServer::~MetricsServer() {
  while (!clients_.empty()) drop(clients_.begin());
  if (listener_ >= 0) close(listener_);
  if (epoll_ >= 0) close(epoll_);
}

std::uint16_t MetricsServer::port() const {
  sockaddr_storage at{};
  socklen_t size = sizeof at;
  if (getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size) != 0) return 0;
  return ntohs(at.ss_family == AF_INET ? reinterpret_cast<sockaddr_in&>(at).sin_port
                                       : reinterpret_cast<sockaddr_in6&>(at).sin6_port);
}

void MetricsServer::step() {
  const Time now = std::chrono::steady_clock::now();
  std::array<epoll_event, clients_max + 1> events;
  const int n = epoll_wait(epoll_, events.data(), events.size(), 0);
  bool arrived = false;
  for (int i = 0; i < n; ++i) {
    auto* client = static_cast<Client*>(events[static_cast<std::size_t>(i)].data.ptr);
    if (!client) arrived = true;
    else if (!serve(*client, now))
      client->began = Time::min();  // gone below: others of this round may not lose their place
  }
  for (auto each = clients_.begin(); each != clients_.end();) {
    const auto client = each++;
    if (client->began == Time::min() || now - client->began > patience) drop(client);
  }
  if (arrived) accept_all(now);
}

void MetricsServer::accept_all(Time now) {
  for (std::size_t i = 0; i < clients_max; ++i) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    if (clients_.size() == clients_max) drop(clients_.begin());
    clients_.push_back({.fd = fd, .began = now});
    epoll_event event{.events = EPOLLIN, .data = {.ptr = &clients_.back()}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }
}

bool MetricsServer::serve(Client& client, Time now) {
  if (client.answer.empty()) {
    char buffer[2048];
    const ssize_t n = recv(client.fd, buffer, sizeof buffer, 0);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    if (n == 0) return false;
    client.head.append(buffer, static_cast<std::size_t>(n));
    if (client.head.find("\r\n\r\n") == client.head.npos && client.head.find("\n\n") == client.head.npos) {
      if (client.head.size() <= head_max) return true;
      client.answer = response("431 Request Header Fields Too Large", "text/plain", "header too large\n", true);
    } else {
      client.answer = answer_to(client.head, now);
    }
    epoll_event event{.events = EPOLLOUT, .data = {.ptr = &client}};
    epoll_ctl(epoll_, EPOLL_CTL_MOD, client.fd, &event);
  }
  const ssize_t n =
      send(client.fd, client.answer.data() + client.sent, client.answer.size() - client.sent, MSG_NOSIGNAL);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  client.sent += static_cast<std::size_t>(n);
  return client.sent < client.answer.size();
}

std::string MetricsServer::answer_to(std::string_view head, Time now) {
  const std::string_view line = head.substr(0, head.find_first_of("\r\n"));
  const std::size_t one = line.find(' '), two = line.find(' ', one + 1);
  if (one == line.npos || two == line.npos || !line.substr(two + 1).starts_with("HTTP/1."))
    return response("400 Bad Request", "text/plain", "not an HTTP request\n", true);
  const std::string_view method = line.substr(0, one), target = line.substr(one + 1, two - one - 1);
  if (method != "GET" && method != "HEAD")
    return response("405 Method Not Allowed", "text/plain", "only GET and HEAD\n", true, "Allow: GET, HEAD\r\n");
  if (target.substr(0, target.find('?')) != "/metrics")
    return response("404 Not Found", "text/plain", "the page is /metrics\n", method == "GET");
  return response("200 OK", "text/plain; version=0.0.4; charset=utf-8", page(now), method == "GET");
}

const std::string& MetricsServer::page(Time now) {
  if (made_at_ == Time{} || now - made_at_ > fresh) {
    made_ = page_();
    made_at_ = now;
  }
  return made_;
}

void MetricsServer::drop(Clients::iterator client) {
  close(client->fd);
  clients_.erase(client);
}

}  // namespace sluice::mgmt
