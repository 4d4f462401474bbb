// Descriptors: numbers that stand for sockets and epoll sets.
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include "tests/support/tcp_shim/shim.h"

namespace sluice::shim {

int Shim::add(FilePtr file) {
  const auto free = std::find(files.begin(), files.end(), nullptr);
  const int fd = options.first_fd + static_cast<int>(free - files.begin());
  if (free == files.end()) {
    files.push_back(std::move(file));
  } else {
    *free = std::move(file);
  }
  return fd;
}

FilePtr Shim::file(int fd) const {
  const std::int64_t at = std::int64_t{fd} - options.first_fd;
  if (at >= 0 && at < std::ssize(files) && files[static_cast<std::size_t>(at)])
    return files[static_cast<std::size_t>(at)];
  errno = EBADF;
  return nullptr;
}

SocketPtr Shim::socket(int fd) const {
  FilePtr found = file(fd);
  if (found && !found->socket) {
    errno = ENOTSOCK;
    return nullptr;
  }
  return std::static_pointer_cast<Socket>(found);
}

EpollPtr Shim::epoll(int fd) const {
  FilePtr found = file(fd);
  if (found && found->socket) {
    errno = EINVAL;
    return nullptr;
  }
  return std::static_pointer_cast<Epoll>(found);
}

FilePtr Shim::take(int fd) {
  FilePtr found = file(fd);
  if (found) files[static_cast<std::size_t>(fd - options.first_fd)] = nullptr;
  return found;
}

int read_address(const sockaddr* address, socklen_t size, int domain, Endpoint& out) {
  if (!address) return EFAULT;
  if (size < sizeof(sa_family_t) || size > sizeof(sockaddr_storage)) return EINVAL;
  if (domain == AF_INET) {
    if (size < sizeof(sockaddr_in)) return EINVAL;
    sockaddr_in in;
    std::memcpy(&in, address, sizeof in);
    if (in.sin_family != AF_INET) return EAFNOSUPPORT;
    out = {IpAddress::from_v4(ntohl(in.sin_addr.s_addr)), ntohs(in.sin_port)};
    return 0;
  }
  if (size < 24) return EINVAL;  // SIN6_LEN_RFC2133
  sockaddr_in6 in{};
  std::memcpy(&in, address, std::min<std::size_t>(size, sizeof in));
  if (in.sin6_family != AF_INET6) return EAFNOSUPPORT;
  out = {IpAddress::from_v6_wire(in.sin6_addr.s6_addr), ntohs(in.sin6_port)};
  return 0;
}

void write_address(const Endpoint& endpoint, int domain, sockaddr* address, socklen_t* size) {
  if (!address || !size) return;
  sockaddr_storage out{};
  socklen_t length = sizeof(sockaddr_in);
  if (domain == AF_INET) {
    auto& in = reinterpret_cast<sockaddr_in&>(out);
    in.sin_family = AF_INET;
    in.sin_port = htons(endpoint.port);
    in.sin_addr.s_addr = endpoint.address.is_v4() ? htonl(endpoint.address.v4()) : 0;
  } else {
    auto& in = reinterpret_cast<sockaddr_in6&>(out);
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(endpoint.port);
    std::memcpy(in.sin6_addr.s6_addr, endpoint.address.bytes.data(), 16);
    length = sizeof(sockaddr_in6);
  }
  std::memcpy(address, &out, std::min(*size, length));
  *size = length;
}

}  // namespace sluice::shim
