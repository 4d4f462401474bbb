// server.h - the management socket: Unix stream, size-prefixed requests and replies (mgmt/schema/control.fbs).
// One thread serves all clients with epoll and never waits for one: buffers are bounded by client and in sum, a client
// that reads nothing is not read from, what stands still is closed. Policies and deltas go to the policy thread
// (jobs.h), which owns the Publisher from the server's birth to its death, in the order in which they arrived whole;
// everything else is answered at once by a ControlHandler. Who may: uid 0 and the members of the group (0660 on the
// socket says the same). Others get `denied`. A second sluiced on the same path finds the lock taken.
#pragma once

#include <sys/types.h>

#include <expected>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "mgmt/jobs.h"
#include "mgmt/publish.h"
#include "mgmt/reply.h"

namespace sluice::mgmt {

// What a handler says to a request: an outcome, a line for a person, and the result that it has put into the builder.
struct Answer {
  fb::Outcome outcome = fb::Outcome::ok;
  std::string message;
  fb::Result type = fb::Result::NONE;
  flatbuffers::Offset<void> result;
};

// Answers Status, Stats, Drain, Services, Flows, Connections, TraceStart, TraceRead and LogLevel; made by the
// appliance. Called on the server's thread, which serves nobody meanwhile: at most a few milliseconds. What it does not
// know it answers with unknown_command.
class ControlHandler {
 public:
  virtual ~ControlHandler() = default;
  virtual Answer handle(const fb::Request& request, flatbuffers::FlatBufferBuilder& builder) = 0;
};

struct ServerOptions {
  std::filesystem::path path = "/run/sluice/sluice.sock";
  std::string group = "sluice";  // may connect, when there is such a group
  std::size_t clients_max = 64;
  std::size_t request_bytes_max = (64 << 20) + 4096;  // of one request
  std::size_t inline_bytes_max = 256 << 10;           // larger ones are verified on the policy thread
  std::size_t input_bytes_max = 256 << 20;            // of all requests that are not complete yet
  std::size_t output_bytes_max = 256 << 20;           // of all replies that were not read yet
  std::size_t jobs_max = 64;                          // waiting for the policy thread
  std::size_t jobs_bytes_max = 256 << 20;
  Nanos patience{30'000'000'000};  // for the rest of a request, and for a reply to be read
};

class Server {
 public:
  // The error names the path and the reason: one line.
  static std::expected<std::unique_ptr<Server>, std::string> open(const ServerOptions& options, Publisher& publisher,
                                                                  ControlHandler& handler);
  // Closes all and removes the socket.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Readable when there is something to do: for the epoll of the management thread.
  int fd() const { return epoll_; }
  // Does what can be done without waiting. Call it when fd() is readable, and at least every second.
  void step(Nanos now);
  std::size_t clients() const { return clients_.size(); }

 private:
  struct Client;
  struct Room {
    const Client* silent = nullptr;  // who makes way
    bool free = false, soon = false;
  };
  using ClientId = std::uint64_t;
  static constexpr std::uint64_t listener_mark = 0, jobs_mark = 1;  // what epoll says of other descriptors

  Server(const ServerOptions& options, Publisher& publisher, ControlHandler& handler);
  std::expected<void, std::string> listen();
  void accept_all();
  bool may(int fd) const;
  void serve(ClientId id, std::uint32_t events);
  void let_go(Client& client);
  void forget_output(Client& client);
  bool read_some(Client& client);
  bool write_some(Client& client);
  void process(Client& client);
  void answer(Client& client, Bytes request);
  void run_inline(Client& client, const fb::Request& request);
  void run_apart(Client& client, std::uint64_t id, Bytes request);
  void send(Client& client, Bytes reply);
  void say(Client& client, std::uint64_t id, fb::Outcome outcome, std::string_view message);
  void watch(Client& client);
  void close_idle();
  Room room();
  void drop(ClientId id);
  Client* find(ClientId id);

  const ServerOptions options_;
  Publisher& publisher_;
  ControlHandler& handler_;
  gid_t group_ = 0;  // 0: only uid 0
  int epoll_ = -1, listener_ = -1, lock_ = -1;
  bool bound_ = false;
  std::map<ClientId, std::unique_ptr<Client>> clients_;
  ClientId next_client_ = 16;  // below: marks of other descriptors
  std::size_t output_bytes_ = 0;
  Nanos now_;
  std::unique_ptr<Jobs> jobs_;
};

}  // namespace sluice::mgmt
