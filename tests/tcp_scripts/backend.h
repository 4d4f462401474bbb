// backend.h - what a script runs against: a TCP with socket calls, a wire and a clock. Ours is libtcp_shim in virtual
// time, the other the kernel's in real time, in a network namespace of its own. Calls answer as the system's do, with
// errno; all sockets are non-blocking.
#pragma once

#include <sys/socket.h>

#include <expected>
#include <memory>
#include <optional>
#include <string>

#include "tests/tcp_scripts/script.h"

struct tcp_info;

namespace sluice::scripts {

inline constexpr std::uint16_t local_port = 8080, first_peer_port = 9000;

class Target {
 public:
  virtual ~Target() = default;

  virtual Nanos now() = 0;
  // Lets time pass until a packet of TCP leaves, which is returned with its time, or until `until`.
  struct Left {
    Bytes packet;
    Nanos at;
  };
  virtual std::optional<Left> wait(Nanos until) = 0;
  virtual void inject(const Bytes& packet) = 0;

  virtual int socket(int domain) = 0;
  virtual int bind(int fd, const sockaddr* address, socklen_t size) = 0;
  virtual int listen(int fd, int backlog) = 0;
  virtual int accept(int fd) = 0;
  virtual int connect(int fd, const sockaddr* address, socklen_t size) = 0;
  virtual ssize_t recv(int fd, void* to, std::size_t size, int flags) = 0;
  virtual ssize_t send(int fd, const void* from, std::size_t size, int flags) = 0;
  virtual int shutdown(int fd, int how) = 0;
  virtual int close(int fd) = 0;
  virtual int getsockopt(int fd, int level, int name, void* value, socklen_t* size) = 0;
  virtual int setsockopt(int fd, int level, int name, const void* value, socklen_t size) = 0;
  virtual int ioctl(int fd, unsigned long request, int* value) = 0;
  virtual int poll(int fd, short& events) = 0;

  // How far off a time may be, earlier and later.
  Nanos early{}, late{};
};

inline constexpr std::uint16_t mtu4 = 1500, mtu6 = 1520;  // the same MSS for both families

// Or why it cannot be.
std::expected<std::unique_ptr<Target>, std::string> make_sluice(const Script& script, bool v6);
// Moves this process into a new network namespace that ends with it.
std::expected<std::unique_ptr<Target>, std::string> make_kernel(const Script& script, bool v6);

}  // namespace sluice::scripts
