#include "mgmt/ctl/client.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sluice::ctl {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint32_t reply_bytes_max = 1u << 30;

Failure cannot_connect(const std::string& path, int error) {
  if (error == ENOENT || error == ECONNREFUSED)
    return {Exit::not_running, fmt::format("sluiced is not running: nobody listens on {}", path)};
  if (error == EACCES || error == EPERM)
    return {Exit::denied, fmt::format("denied: {} is for root and the node's group", path)};
  return {Exit::no_answer, fmt::format("cannot connect to {}: {}", path, std::strerror(error))};
}

}  // namespace

std::expected<Client, Failure> Client::connect(const std::string& path, std::chrono::milliseconds patience) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return std::unexpected{Failure{Exit::usage, fmt::format("\"{}\" cannot be the path of a socket", path)}};
  std::memcpy(address.sun_path, path.data(), path.size());
  Client client{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), patience};
  if (client.fd_ < 0)
    return std::unexpected{Failure{Exit::refused, fmt::format("no socket: {}", std::strerror(errno))}};
  if (::connect(client.fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return std::unexpected{cannot_connect(path, errno)};
  fcntl(client.fd_, F_SETFL, O_NONBLOCK);
  return client;
}

Client::Client(Client&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), patience_(other.patience_), next_id_(other.next_id_) {}

Client::~Client() {
  if (fd_ >= 0) close(fd_);
}

bool Client::wait(short events, Clock::time_point until) const {
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
    if (left <= 0) return false;
    pollfd one{.fd = fd_, .events = events, .revents = 0};
    if (poll(&one, 1, static_cast<int>(left)) > 0) return true;
  }
}

// False when the peer closed or takes nothing: its reply may still tell why.
bool Client::send(const std::uint8_t* bytes, std::size_t size, Clock::time_point until) const {
  while (size > 0) {
    const ssize_t n = ::send(fd_, bytes, size, MSG_NOSIGNAL);
    if (n > 0) {
      bytes += n;
      size -= static_cast<std::size_t>(n);
    } else if (errno == EAGAIN) {
      if (!wait(POLLOUT, until)) return false;
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

std::expected<void, Failure> Client::receive(std::uint8_t* bytes, std::size_t size, Clock::time_point until) const {
  while (size > 0) {
    const ssize_t n = ::recv(fd_, bytes, size, 0);
    if (n > 0) {
      bytes += n;
      size -= static_cast<std::size_t>(n);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
      return std::unexpected{Failure{Exit::no_answer, "sluiced closed the connection without an answer"}};
    } else if (errno == EAGAIN && !wait(POLLIN, until)) {
      return std::unexpected{Failure{Exit::no_answer, fmt::format("no answer within {} s", patience_.count() / 1000)}};
    }
  }
  return {};
}

std::expected<Reply, Failure> Client::ask(const Compose& compose) {
  flatbuffers::FlatBufferBuilder builder;
  const auto [type, command] = compose(builder);
  const std::uint64_t id = next_id_++;
  builder.FinishSizePrefixed(fb::CreateRequest(builder, id, type, command));
  const auto until = Clock::now() + patience_;
  const bool sent = send(builder.GetBufferPointer(), builder.GetSize(), until);

  std::vector<std::uint8_t> bytes(sizeof(std::uint32_t));
  if (auto got = receive(bytes.data(), bytes.size(), until); !got) return std::unexpected{got.error()};
  std::uint32_t size;
  std::memcpy(&size, bytes.data(), sizeof size);
  if (size > reply_bytes_max) return std::unexpected{Failure{Exit::no_answer, "what answers is no sluiced"}};
  bytes.resize(sizeof size + size);
  if (auto got = receive(bytes.data() + sizeof size, size, until); !got) return std::unexpected{got.error()};

  flatbuffers::Verifier verifier{bytes.data(), bytes.size(), 64, 100'000'000};
  if (!verifier.VerifySizePrefixedBuffer<fb::Reply>(nullptr))
    return std::unexpected{Failure{Exit::no_answer, "what answers is no sluiced"}};
  Reply reply{std::move(bytes)};
  // A peer that is denied, or whose request is too large, is told so before its request is read.
  if (reply->id() != id && reply->outcome() == fb::Outcome::ok)
    return std::unexpected{Failure{Exit::no_answer, "the answer is to another request"}};
  if (!sent && reply->outcome() == fb::Outcome::ok)
    return std::unexpected{Failure{Exit::no_answer, "the request could not be sent"}};
  return reply;
}

}  // namespace sluice::ctl
