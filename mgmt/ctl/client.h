// client.h - sluicectl's end of the management socket: one request, one reply, size-prefixed FlatBuffers
// (mgmt/schema/control.fbs). Blocking, with a time limit over the whole exchange. What comes back is verified.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <string>
#include <vector>

#include "mgmt/ctl/exit.h"
#include "mgmt/schema/control_generated.h"

namespace sluice::ctl {

struct Failure {
  Exit code;
  std::string text;
};

class Reply {
 public:
  explicit Reply(std::vector<std::uint8_t> bytes) : bytes_(std::move(bytes)) {}
  const fb::Reply* operator->() const { return flatbuffers::GetSizePrefixedRoot<fb::Reply>(bytes_.data()); }
  const fb::Reply& operator*() const { return *operator->(); }

 private:
  std::vector<std::uint8_t> bytes_;
};

// Puts a command into the builder.
using Compose = std::function<std::pair<fb::Command, flatbuffers::Offset<void>>(flatbuffers::FlatBufferBuilder&)>;

class Client {
 public:
  static std::expected<Client, Failure> connect(const std::string& path, std::chrono::milliseconds patience);
  Client(Client&& other) noexcept;
  Client& operator=(Client&&) = delete;
  ~Client();

  // A reply whatever its outcome is; a Failure when there is none.
  std::expected<Reply, Failure> ask(const Compose& compose);

 private:
  Client(int fd, std::chrono::milliseconds patience) : fd_(fd), patience_(patience) {}
  bool wait(short events, std::chrono::steady_clock::time_point until) const;
  bool send(const std::uint8_t* bytes, std::size_t size, std::chrono::steady_clock::time_point until) const;
  std::expected<void, Failure> receive(std::uint8_t* bytes, std::size_t size,
                                       std::chrono::steady_clock::time_point until) const;

  int fd_;
  std::chrono::milliseconds patience_;
  std::uint64_t next_id_ = 1;
};

}  // namespace sluice::ctl
