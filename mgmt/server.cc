#include "mgmt/server.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>

#include "mgmt/file.h"
#include "mgmt/frame_reader.h"

namespace sluice::mgmt {

namespace {

constexpr std::size_t read_bytes = 64 << 10;
// A client that owes us this much reading, or has this many jobs waiting, is not read from.
constexpr std::size_t unread_max = 1 << 20;
constexpr unsigned in_flight_max = 16;
// Requests answered for one client before the others have their turn.
constexpr unsigned turn_max = 16;
// One that may not speak may at most ask something short.
constexpr std::size_t denied_bytes_max = 64 << 10;
// A new client has its say for so long before it may have to make way.
constexpr Nanos say_time{10'000'000};

bool is_for_policy(fb::Command command) {
  return command == fb::Command::Apply || command == fb::Command::DryRun || command == fb::Command::EndpointDelta ||
         command == fb::Command::Get;
}

const fb::Request* verified(const Bytes& frame) {
  flatbuffers::Verifier verifier{frame.data(), frame.size(), 16,
                                 static_cast<flatbuffers::uoffset_t>(frame.size() / 8 + 1)};
  return fb::VerifySizePrefixedRequestBuffer(verifier) ? fb::GetSizePrefixedRequest(frame.data()) : nullptr;
}

ByteView view(const flatbuffers::Vector<std::uint8_t>* bytes) {
  return bytes ? ByteView{bytes->data(), bytes->size()} : ByteView{};
}

// On the policy thread.
Bytes do_policy_request(Publisher& publisher, const fb::Request& request) {
  const std::uint64_t id = request.id();
  if (const auto* apply = request.command_as_Apply())
    return apply_reply(id, publisher.apply(view(apply->policy()), apply->if_generation()));
  if (const auto* dry_run = request.command_as_DryRun())
    return apply_reply(id, publisher.dry_run(view(dry_run->policy())));
  if (const auto* delta = request.command_as_EndpointDelta()) {
    auto decoded = decode_delta(*delta, publisher.limits());
    if (decoded) return apply_reply(id, publisher.apply(*decoded, delta->if_generation()));
    ApplyResult refused;
    refused.faults = std::move(decoded.error());
    return apply_reply(id, refused);
  }
  if (request.command_as_Get()) return copy_reply(id, publisher.status().generation, publisher.copy());
  return plain_reply(id, fb::Outcome::too_large, "larger than a request of this kind may be");
}

}  // namespace

struct Server::Client {
  Client(ClientId id, int fd, bool allowed, std::size_t most) : id(id), fd(fd), allowed(allowed), frames(most) {}
  ~Client() { ::close(fd); }

  const ClientId id;
  const int fd;
  const bool allowed;
  FrameReader frames;
  Bytes input;  // read and not yet cut into frames
  std::size_t input_at = 0;
  std::deque<Bytes> output;  // the front one is sent up to output_at
  std::size_t output_at = 0;
  std::size_t unread = 0;  // bytes in output
  unsigned in_flight = 0;  // requests on the policy thread
  bool closing = false;    // nothing more is read; closed when all is sent
  bool ended = false;      // the peer has shut down its side
  bool gone = false;       // the peer is no more: it reads no reply
  std::uint32_t watched = 0;
  Nanos came;
  Nanos active;  // last byte in either direction
  Nanos frame_began;

  bool blocked() const { return closing || unread > unread_max || in_flight >= in_flight_max; }
  bool has_input() const { return input_at < input.size(); }
  bool finished() const { return (closing || (ended && !has_input())) && output.empty() && in_flight == 0; }
};

Server::Server(const ServerOptions& options, Publisher& publisher, ControlHandler& handler)
    : options_(options), publisher_(publisher), handler_(handler) {}

std::expected<std::unique_ptr<Server>, std::string> Server::open(const ServerOptions& options, Publisher& publisher,
                                                                 ControlHandler& handler) {
  std::unique_ptr<Server> server{new Server(options, publisher, handler)};
  if (auto listening = server->listen(); !listening) return std::unexpected{listening.error()};
  return server;
}

Server::~Server() {
  jobs_.reset();
  clients_.clear();
  if (listener_ >= 0) ::close(listener_);
  if (epoll_ >= 0) ::close(epoll_);
  if (bound_) {
    ::unlink(options_.path.c_str());
    ::unlink((options_.path.string() + ".lock").c_str());
  }
  if (lock_ >= 0) ::close(lock_);
}

Server::Client* Server::find(ClientId id) {
  const auto found = clients_.find(id);
  return found == clients_.end() ? nullptr : found->second.get();
}

void Server::drop(ClientId id) {
  const auto found = clients_.find(id);
  if (found == clients_.end()) return;
  output_bytes_ -= found->second->unread;
  clients_.erase(found);
}

bool Server::may(int fd) const {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  if (peer.uid == 0) return true;
  if (group_ == 0) return false;
  if (peer.gid == group_) return true;
  std::vector<gid_t> groups(65536);
  size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
  if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) != 0) return false;
  groups.resize(size / sizeof(gid_t));
  return std::ranges::find(groups, group_) != groups.end();
}

// Whoever has been silent longest and waits for nothing makes way for a new one. Who came just now does not: the new
// one waits in the backlog meanwhile.
Server::Room Server::room() {
  if (clients_.size() < options_.clients_max) return {.free = true};
  Room room;
  for (const auto& [id, client] : clients_) {
    if (client->in_flight > 0) continue;
    if (now_ - client->came < say_time) room.soon = true;
    else if (!room.silent || client->active < room.silent->active) room.silent = client.get();
  }
  return room;
}

void Server::accept_all() {
  for (unsigned i = 0; i < 16; ++i) {
    const Room room = this->room();
    if (!room.free && !room.silent && room.soon) return;
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    if (!room.free && !room.silent) {
      ::close(fd);
      continue;
    }
    if (!room.free) drop(room.silent->id);
    const bool allowed = may(fd);
    const ClientId id = next_client_++;
    auto client = std::make_unique<Client>(id, fd, allowed, allowed ? options_.request_bytes_max : denied_bytes_max);
    client->came = client->active = now_;
    epoll_event event{.events = EPOLLIN, .data = {.u64 = id}};
    client->watched = EPOLLIN;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0) clients_.emplace(id, std::move(client));
  }
}

void Server::step(Nanos now) {
  now_ = now;
  std::array<epoll_event, 64> events;
  const int n = epoll_wait(epoll_, events.data(), events.size(), 0);
  bool accepts = false;
  for (int i = 0; i < n; ++i) {
    const std::uint64_t mark = events[static_cast<std::size_t>(i)].data.u64;
    if (mark == listener_mark) accepts = true;
    else if (mark == jobs_mark) jobs_->finish();
    else serve(mark, events[static_cast<std::size_t>(i)].events);
  }
  if (accepts) accept_all();  // last: nobody makes way whose request has arrived
  close_idle();
}

void Server::close_idle() {
  for (auto each = clients_.begin(); each != clients_.end();) {
    Client& client = *(each++)->second;
    const bool half = client.frames.mid_frame() && now_ - client.frame_began > options_.patience;
    const bool unread = !client.output.empty() && now_ - client.active > options_.patience;
    if (half || unread) drop(client.id);
  }
}

void Server::serve(ClientId id, std::uint32_t events) {
  Client* client = find(id);
  if (!client) return;
  if (events & (EPOLLHUP | EPOLLERR)) return let_go(*client);
  if ((events & EPOLLOUT) && !write_some(*client)) return drop(id);
  if ((events & EPOLLIN) && !read_some(*client)) return drop(id);
  process(*client);
  if (client->finished()) return drop(id);
  watch(*client);
}

// The peer is gone and reads nothing more; what it asked for before is done.
void Server::let_go(Client& client) {
  client.gone = true;
  forget_output(client);
  for (unsigned i = 0; i < turn_max && !client.ended && !client.blocked(); ++i) {
    if (!read_some(client)) break;
    process(client);
  }
  drop(client.id);
}

void Server::forget_output(Client& client) {
  output_bytes_ -= client.unread;
  client.unread = 0;
  client.output.clear();
  client.output_at = 0;
}

// False when the connection is broken.
bool Server::read_some(Client& client) {
  if (client.has_input() || client.blocked() || client.ended) return true;
  client.input.resize(read_bytes);
  client.input_at = 0;
  const ssize_t n = recv(client.fd, client.input.data(), client.input.size(), 0);
  client.input.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  if (n == 0) client.ended = true;
  client.active = now_;
  return true;
}

bool Server::write_some(Client& client) {
  while (!client.output.empty()) {
    const Bytes& front = client.output.front();
    const ssize_t n = ::send(client.fd, front.data() + client.output_at, front.size() - client.output_at, MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    client.active = now_;
    client.output_at += static_cast<std::size_t>(n);
    client.unread -= static_cast<std::size_t>(n);
    output_bytes_ -= static_cast<std::size_t>(n);
    if (client.output_at < front.size()) return true;
    client.output.pop_front();
    client.output_at = 0;
  }
  return true;
}

void Server::process(Client& client) {
  for (unsigned i = 0; i < turn_max && client.has_input() && !client.blocked(); ++i) {
    if (!client.frames.mid_frame()) client.frame_began = now_;
    client.input_at += client.frames.feed(ByteView{client.input}.subspan(client.input_at));
    if (client.frames.state() == FrameReader::State::too_large) {
      say(client, 0, client.allowed ? fb::Outcome::too_large : fb::Outcome::denied,
          fmt::format("{} bytes are more than a request may have", client.frames.announced()));
      client.closing = true;
    }
    if (client.frames.state() == FrameReader::State::complete) answer(client, client.frames.take());
  }
  if (!client.has_input()) {
    client.input = {};
    client.input_at = 0;
  }
  std::size_t held = 0;
  if (client.frames.held() > read_bytes)
    for (const auto& [id, each] : clients_) held += each->frames.held();
  if (held > options_.input_bytes_max) {
    say(client, 0, fb::Outcome::busy, "too much is being sent by all clients together; ask again");
    client.closing = true;
  }
}

void Server::answer(Client& client, Bytes frame) {
  if (frame.size() > options_.inline_bytes_max && client.allowed) return run_apart(client, 0, std::move(frame));
  const fb::Request* request = verified(frame);
  if (!client.allowed) {
    say(client, request ? request->id() : 0, fb::Outcome::denied, "only root and members of the group may");
    client.closing = true;
    return;
  }
  if (!request) {
    say(client, 0, fb::Outcome::malformed, "not a Request buffer");
    client.closing = true;  // the stream cannot be trusted any more
    return;
  }
  if (is_for_policy(request->command_type())) return run_apart(client, request->id(), std::move(frame));
  run_inline(client, *request);
}

void Server::run_inline(Client& client, const fb::Request& request) {
  if (request.command_type() == fb::Command::NONE || !request.command())
    return say(client, request.id(), fb::Outcome::malformed, "the request has no command");
  if (request.command_type() > fb::Command::MAX)
    return say(client, request.id(), fb::Outcome::unknown_command, "this sluiced does not know the command");
  try {
    flatbuffers::FlatBufferBuilder builder;
    const Answer answer = handler_.handle(request, builder);
    const auto text =
        answer.message.empty() ? flatbuffers::Offset<flatbuffers::String>{} : builder.CreateString(answer.message);
    builder.FinishSizePrefixed(
        fb::CreateReply(builder, request.id(), answer.outcome, text, 0, answer.type, answer.result));
    send(client, {builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize()});
  } catch (const std::exception& error) {
    say(client, request.id(), fb::Outcome::failed, fmt::format("the node failed: {}", error.what()));
  }
}

// `id` is 0 where the request is not verified yet.
void Server::run_apart(Client& client, std::uint64_t id, Bytes frame) {
  const std::size_t size = frame.size();
  auto job = [this, client = client.id, verify = id == 0,
              frame = std::make_shared<const Bytes>(std::move(frame))]() -> Jobs::Finish {
    const fb::Request* request = verify ? verified(*frame) : fb::GetSizePrefixedRequest(frame->data());
    auto reply = std::make_shared<Bytes>();
    try {
      *reply = request ? do_policy_request(publisher_, *request)
                       : plain_reply(0, fb::Outcome::malformed, "not a Request buffer");
    } catch (const std::exception& error) {
      *reply = plain_reply(request ? request->id() : 0, fb::Outcome::failed,
                           fmt::format("the node failed: {}", error.what()));
    }
    return [this, client, reply, bad = !request] {
      Client* asker = find(client);
      if (!asker) return;
      --asker->in_flight;
      send(*asker, std::move(*reply));
      asker->closing = asker->closing || bad;
      process(*asker);
      if (asker->finished()) return drop(client);
      watch(*asker);
    };
  };
  if (jobs_->submit(size, std::move(job))) ++client.in_flight;
  else say(client, id, fb::Outcome::busy, "too many policies are waiting; ask again");
}

void Server::say(Client& client, std::uint64_t id, fb::Outcome outcome, std::string_view message) {
  send(client, plain_reply(id, outcome, message));
}

void Server::send(Client& client, Bytes reply) {
  if (client.gone) return;
  if (output_bytes_ + reply.size() > options_.output_bytes_max) {
    reply = plain_reply(0, fb::Outcome::busy, "too many replies are waiting to be read");
    client.closing = true;
  }
  if (client.output.empty()) client.active = now_;
  client.unread += reply.size();
  output_bytes_ += reply.size();
  client.output.push_back(std::move(reply));
  if (!write_some(client)) {
    forget_output(client);
    client.closing = true;
  }
}

void Server::watch(Client& client) {
  std::uint32_t wanted = 0;
  if (!client.output.empty()) wanted |= EPOLLOUT;
  if (!client.blocked()) {
    // What is left of the input is looked at again as soon as the client could take an answer.
    if (client.has_input()) wanted |= EPOLLOUT;
    else if (!client.ended) wanted |= EPOLLIN;
  }
  if (wanted == client.watched) return;
  epoll_event event{.events = wanted, .data = {.u64 = client.id}};
  epoll_ctl(epoll_, EPOLL_CTL_MOD, client.fd, &event);
  client.watched = wanted;
}

}  // namespace sluice::mgmt
