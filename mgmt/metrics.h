// metrics.h - a small HTTP/1.1 listener of the kernel for one page: GET /metrics. For Prometheus on the node's
// management side; nothing of it touches the data plane. Lives in the epoll of the management thread and waits for
// nobody: heads are at most 8 KiB, clients at most 32 (the oldest makes way for a new one), each has 10 s in all; the
// connection closes after the answer. The page is made at most five times a second, however often it is asked for.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <list>
#include <memory>
#include <string>

#include "dataplane/base/address.h"

namespace sluice::mgmt {

class MetricsServer {
 public:
  struct OpenError {
    bool in_use = false;  // somebody else has the address
    std::string text;     // one line, names the address
  };
  // `listen` is "127.0.0.1:9090" or "[::1]:9090"; port 0 takes any. `page` makes the text.
  static std::expected<std::unique_ptr<MetricsServer>, OpenError> open(const std::string& listen,
                                                                       std::function<std::string()> page);
  ~MetricsServer();
  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;

  // Readable when there is something to do.
  int fd() const { return epoll_; }
  // Does what can be done without waiting. When fd() is readable, and now and then to let go of who dawdles.
  void step();
  std::uint16_t port() const;
  std::size_t clients() const { return clients_.size(); }

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Client {
    int fd;
    Time began;
    std::string head;    // what has come of the request
    std::string answer;  // empty: not made yet
    std::size_t sent = 0;
  };
  using Clients = std::list<Client>;

  explicit MetricsServer(std::function<std::string()> page) : page_(std::move(page)) {}
  void accept_all(Time now);
  // False: the client is done with.
  bool serve(Client& client, Time now);
  std::string answer_to(std::string_view head, Time now);
  const std::string& page(Time now);
  void drop(Clients::iterator client);

  std::function<std::string()> page_;
  std::string made_;
  Time made_at_{};
  int epoll_ = -1, listener_ = -1;
  Clients clients_;  // the oldest first
};

}  // namespace sluice::mgmt
