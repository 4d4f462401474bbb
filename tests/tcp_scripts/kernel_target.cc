// The kernel's TCP in real time: real sockets in a network namespace of this process alone, which ends with it, and a
// TUN device as the wire (no offloads are asked for, so the kernel cuts segments and fills checksums itself).
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "tests/tcp_scripts/backend.h"

namespace sluice::scripts {

namespace {

Nanos clock_now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return Nanos{t.tv_sec * 1'000'000'000 + t.tv_nsec};
}

class Kernel final : public Target {
 public:
  explicit Kernel(int tun) : tun_(tun), start_(clock_now()) {
    early = Nanos{8'000'000};  // two jiffies of 4 ms
    late = Nanos{70'000'000};  // this process may wait for a CPU
  }
  ~Kernel() override { ::close(tun_); }

  Nanos now() override { return clock_now() - start_; }
  std::optional<Left> wait(Nanos until) override {
    for (;;) {
      Bytes packet(65536);
      const ssize_t size = ::read(tun_, packet.data(), packet.size());
      if (size > 0) {
        packet.resize(static_cast<std::size_t>(size));
        if (ports_of(packet)) return Left{std::move(packet), now()};
        continue;  // neighbours and routers of IPv6
      }
      const Nanos left = until - now();
      if (left <= Nanos{}) return {};
      const timespec time{left.ns / 1'000'000'000, left.ns % 1'000'000'000};
      pollfd wire{tun_, POLLIN, 0};
      ::ppoll(&wire, 1, &time, nullptr);
    }
  }
  void inject(const Bytes& packet) override {
    if (::write(tun_, packet.data(), packet.size()) < 0) std::perror("inject");
  }

  // Connections that are accepted inherit CUBIC; the sysctl that would do it takes no effect in every kernel's
  // namespaces.
  int socket(int domain) override {
    const int fd = ::socket(domain, SOCK_STREAM | SOCK_NONBLOCK, 0);
    return fd >= 0 && ::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5) != 0 ? -1 : fd;
  }
  int bind(int fd, const sockaddr* address, socklen_t size) override {
    const int yes = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    return ::bind(fd, address, size);
  }
  int listen(int fd, int backlog) override { return ::listen(fd, backlog); }
  int accept(int fd) override { return ::accept4(fd, nullptr, nullptr, SOCK_NONBLOCK); }
  int connect(int fd, const sockaddr* address, socklen_t size) override { return ::connect(fd, address, size); }
  ssize_t recv(int fd, void* to, std::size_t size, int flags) override { return ::recv(fd, to, size, flags); }
  ssize_t send(int fd, const void* from, std::size_t size, int flags) override {
    return ::send(fd, from, size, flags | MSG_NOSIGNAL);
  }
  int shutdown(int fd, int how) override { return ::shutdown(fd, how); }
  int close(int fd) override { return ::close(fd); }
  int getsockopt(int fd, int level, int name, void* value, socklen_t* size) override {
    return ::getsockopt(fd, level, name, value, size);
  }
  int setsockopt(int fd, int level, int name, const void* value, socklen_t size) override {
    return ::setsockopt(fd, level, name, value, size);
  }
  int ioctl(int fd, unsigned long request, int* value) override { return ::ioctl(fd, request, value); }
  int poll(int fd, short& events) override {
    pollfd one{fd, events, 0};
    const int result = ::poll(&one, 1, 0);
    events = one.revents;
    return result;
  }

 private:
  const int tun_;
  const Nanos start_;
};

bool set(const std::string& name, const std::string& value) {
  std::ofstream out("/proc/sys/net/" + name);
  out << value << std::flush;
  return static_cast<bool>(out);
}

int open_tun() {
  const int tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  ifreq request{};
  std::strcpy(request.ifr_name, "wire");
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (tun < 0 || ioctl(tun, TUNSETIFF, &request) < 0) return -1;
  return tun;
}

// The interface goes up with our address and a route for all others. Packets of one segment only: Linux sets PSH at the
// end of each larger one.
bool configure(bool v6) {
  FILE* ip = popen("ip -batch -", "w");
  if (!ip) return false;
  set("ipv6/conf/wire/router_solicitations", "0");
  std::fprintf(ip, "link set wire mtu %u gso_max_segs 1 up\n", unsigned{v6 ? mtu6 : mtu4});
  if (v6) std::fprintf(ip, "addr add 2001:db8:1::7/128 dev wire nodad\nroute add 2001:db8::/64 dev wire\n");
  else std::fprintf(ip, "addr add 198.51.100.7/32 dev wire\nroute add 192.0.2.0/24 dev wire\n");
  if (pclose(ip) != 0) return false;
  if (v6) ::usleep(200'000);  // IPv6 uses the device a moment after it is up
  return true;
}

}  // namespace

std::expected<std::unique_ptr<Target>, std::string> make_kernel(const Script& script, bool v6) {
  if (unshare(CLONE_NEWNET) < 0) return std::unexpected(std::string("no network namespace: ") + std::strerror(errno));
  setpriority(PRIO_PROCESS, 0, -10);
  const int tun = open_tun();
  if (tun < 0 || !configure(v6)) return std::unexpected(std::string("no TUN device: ") + std::strerror(errno));
  auto kernel = std::make_unique<Kernel>(tun);
  // What distributions change, and what outlives a connection.
  std::map<std::string, std::int64_t> settings{
      {"tcp_no_metrics_save", 1}, {"tcp_ecn", 2}, {"tcp_fastopen", 0}, {"tcp_syncookies", 1}};
  for (const auto* more : {&script.settings, &script.linux_settings})
    for (const auto& [name, value] : *more) settings[name] = value;
  set("ipv4/tcp_rmem", "4096 131072 6291456");
  for (const auto& [name, value] : settings)
    if (!set("ipv4/" + name, std::to_string(value))) return std::unexpected("no sysctl net.ipv4." + name);
  return kernel;
}

}  // namespace sluice::scripts
