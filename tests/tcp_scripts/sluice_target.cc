// Our stack in virtual time, through libtcp_shim.
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

#include "tests/support/tcp_shim/tcp_shim.h"
#include "tests/tcp_scripts/backend.h"

namespace sluice::scripts {

namespace {

struct Free {
  void operator()(tcp_shim* shim) const { tcp_shim_free(shim); }
};

class Sluice final : public Target {
 public:
  explicit Sluice(tcp_shim* shim) : shim_(shim), start_(tcp_shim_now_us(shim)) {
    early = late = Nanos{2'000'000};  // timers tick in milliseconds
  }

  Nanos now() override { return micros(tcp_shim_now_us(shim_.get())); }
  std::optional<Left> wait(Nanos until) override {
    for (;;) {
      Bytes packet(65536);
      std::int64_t at = 0;
      const std::int64_t left = std::max<std::int64_t>((until - now()).ns / 1000, 0);
      const ssize_t size = tcp_shim_await(shim_.get(), packet.data(), packet.size(), &at, left);
      if (size <= 0) return {};
      packet.resize(static_cast<std::size_t>(size));
      if (ports_of(packet)) return Left{std::move(packet), micros(at)};
    }
  }
  void inject(const Bytes& packet) override { tcp_shim_inject(shim_.get(), packet.data(), packet.size()); }

  int socket(int domain) override { return tcp_shim_socket(shim_.get(), domain, SOCK_STREAM | SOCK_NONBLOCK, 0); }
  int bind(int fd, const sockaddr* address, socklen_t size) override {
    return tcp_shim_bind(shim_.get(), fd, address, size);
  }
  int listen(int fd, int backlog) override { return tcp_shim_listen(shim_.get(), fd, backlog); }
  int accept(int fd) override { return tcp_shim_accept4(shim_.get(), fd, nullptr, nullptr, SOCK_NONBLOCK); }
  int connect(int fd, const sockaddr* address, socklen_t size) override {
    return tcp_shim_connect(shim_.get(), fd, address, size);
  }
  ssize_t recv(int fd, void* to, std::size_t size, int flags) override {
    return tcp_shim_recv(shim_.get(), fd, to, size, flags);
  }
  ssize_t send(int fd, const void* from, std::size_t size, int flags) override {
    return tcp_shim_send(shim_.get(), fd, from, size, flags);
  }
  int shutdown(int fd, int how) override { return tcp_shim_shutdown(shim_.get(), fd, how); }
  int close(int fd) override { return tcp_shim_close(shim_.get(), fd); }
  int getsockopt(int fd, int level, int name, void* value, socklen_t* size) override {
    return tcp_shim_getsockopt(shim_.get(), fd, level, name, value, size);
  }
  int setsockopt(int fd, int level, int name, const void* value, socklen_t size) override {
    return tcp_shim_setsockopt(shim_.get(), fd, level, name, value, size);
  }
  int ioctl(int fd, unsigned long request, int* value) override {
    return tcp_shim_ioctl(shim_.get(), fd, request, value);
  }
  int poll(int fd, short& events) override {
    pollfd one{fd, events, 0};
    const int result = tcp_shim_poll(shim_.get(), &one, 1, 0);
    events = one.revents;
    return result;
  }

 private:
  Nanos micros(std::int64_t at) const { return Nanos{(at - start_) * 1000}; }

  std::unique_ptr<tcp_shim, Free> shim_;
  const std::int64_t start_;
};

}  // namespace

std::expected<std::unique_ptr<Target>, std::string> make_sluice(const Script& script, bool v6) {
  std::string options = "local=198.51.100.7 local=2001:db8:1::7 buffers=2048 mtu=" + std::to_string(v6 ? mtu6 : mtu4);
  std::map<std::string, std::int64_t> settings = script.settings;
  settings.insert(script.sluice_settings.begin(), script.sluice_settings.end());
  for (const auto& [name, value] : settings) {
    if (name == "tcp_fin_timeout") options += " fin_timeout_ms=" + std::to_string(value * 1000);
    else options += " " + name + "=" + std::to_string(value);
  }
  tcp_shim* shim = tcp_shim_new(options.c_str());
  if (!shim) return std::unexpected("the shim does not take '" + options + "': " + std::strerror(errno));
  return std::make_unique<Sluice>(shim);
}

}  // namespace sluice::scripts
