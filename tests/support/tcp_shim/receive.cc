// read, recv and their kin.
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cstring>

#include "tests/support/tcp_shim/shim.h"
#include "tests/support/tcp_shim/tcp_shim.h"

namespace sluice::shim {

namespace {

// Copies [at, at + n) of the chain into an iovec, behind `done` bytes that it has already.
void scatter(const Chain& from, std::uint32_t at, std::uint32_t n, const iovec* to, std::size_t count,
             std::size_t done) {
  for (std::size_t i = 0; i < count && n > 0; ++i) {
    if (done >= to[i].iov_len) {
      done -= to[i].iov_len;
      continue;
    }
    const auto size = static_cast<std::uint32_t>(std::min<std::size_t>(to[i].iov_len - done, n));
    from.peek(at, {static_cast<std::uint8_t*>(to[i].iov_base) + done, size});
    done = 0;
    at += size;
    n -= size;
  }
}

}  // namespace

ssize_t Shim::receive(Call& call, Socket& s, const iovec* to, std::size_t count, int flags) {
  if (flags & MSG_ERRQUEUE) return fail(EAGAIN);
  if (s.listening) return fail(ENOTCONN);
  if (flags & MSG_OOB) return fail(EINVAL);
  std::size_t wanted = 0;
  for (std::size_t i = 0; i < count; ++i) wanted += to[i].iov_len;
  const auto low = static_cast<std::size_t>(std::max(s.options.rcvlowat, 1));
  const std::size_t target = std::max<std::size_t>(flags & MSG_WAITALL ? wanted : std::min(low, wanted), 1);
  const Nanos deadline = deadline_of(*this, s, s.options.receive_timeout, flags);
  std::size_t done = 0;
  while (true) {
    if (s.closed) return fail(EBADF);
    if (s.open) stack->receive(s.id, s.inbox);
    const std::uint32_t from =
        flags & MSG_PEEK ? static_cast<std::uint32_t>(std::min<std::size_t>(done, s.inbox.size())) : 0;
    const auto n = static_cast<std::uint32_t>(std::min<std::size_t>(s.inbox.size() - from, wanted - done));
    if (n > 0) {
      const auto nowhere = [&](const iovec& piece) { return !piece.iov_base && piece.iov_len; };
      if (!(flags & MSG_TRUNC) && std::any_of(to, to + count, nowhere))
        return done ? static_cast<ssize_t>(done) : fail(EFAULT);
      if (!(flags & MSG_TRUNC)) scatter(s.inbox, from, n, to, count, done);
      done += n;
      if (!(flags & MSG_PEEK)) {
        s.inbox.trim_front(n);
        if (s.open) stack->consumed(s.id, n, now);
        changed();
      }
    }
    if (done >= target || (wanted == 0 && !s.inbox.empty())) break;
    if (s.done) break;
    if (s.error) {
      if (done == 0) return fail(std::exchange(s.error, 0));
      break;
    }
    if (s.shut_read) break;
    if (!s.open && done == 0) return fail(ENOTCONN);
    if (const int why = call.sleep(deadline)) {
      if (done > 0) break;
      return fail(why == ETIMEDOUT ? EAGAIN : why);
    }
  }
  return static_cast<ssize_t>(done);
}

}  // namespace sluice::shim

using namespace sluice::shim;

namespace {

// TCP_CM_INQ, where TCP_INQ asked for it: what is left to read, the FIN counted.
void put_control(const Shim& t, const Socket& s, msghdr& message) {
  const std::size_t room = message.msg_control ? message.msg_controllen : 0;
  message.msg_controllen = 0;
  if (!s.options.tell_inq) return;
  if (room < sizeof(cmsghdr)) {
    message.msg_flags |= MSG_CTRUNC;
    return;
  }
  const int left = static_cast<int>(t.readable(s)) + s.done;
  cmsghdr header{};
  header.cmsg_len = CMSG_LEN(sizeof left);
  header.cmsg_level = IPPROTO_TCP;
  header.cmsg_type = TCP_CM_INQ;
  if (room < header.cmsg_len) {
    message.msg_flags |= MSG_CTRUNC;
    header.cmsg_len = room;
  }
  auto* at = static_cast<std::uint8_t*>(message.msg_control);
  std::memcpy(at, &header, sizeof header);
  std::memcpy(at + CMSG_LEN(0), &left, header.cmsg_len - CMSG_LEN(0));
  message.msg_controllen = std::min<std::size_t>(room, CMSG_SPACE(sizeof left));
}

ssize_t receive_pieces(tcp_shim* shim, int fd, const iovec* to, std::size_t count, int flags) {
  Call call{*shim->shim};
  const SocketPtr s = shim->shim->socket(fd);
  return s ? shim->shim->receive(call, *s, to, count, flags) : -1;
}

ssize_t receive_one(tcp_shim* shim, int fd, void* to, std::size_t size, int flags) {
  const iovec one{to, size};
  return receive_pieces(shim, fd, &one, 1, flags);
}

}  // namespace

ssize_t tcp_shim_read(tcp_shim* shim, int fd, void* to, size_t size) {
  const iovec one{to, size};
  return tcp_shim_readv(shim, fd, &one, 1);
}
ssize_t tcp_shim_readv(tcp_shim* shim, int fd, const iovec* to, int count) {
  if (count < 0 || count > 1024) return fail(EINVAL);
  if (!to && count) return fail(EFAULT);
  {
    Call call{*shim->shim};
    const FilePtr file = shim->shim->file(fd);
    if (!file) return -1;
    if (!file->socket) return fail(EINVAL);
  }
  if (std::all_of(to, to + count, [](const iovec& piece) { return piece.iov_len == 0; })) return 0;
  return receive_pieces(shim, fd, to, static_cast<std::size_t>(count), 0);
}
ssize_t tcp_shim_recv(tcp_shim* shim, int fd, void* to, size_t size, int flags) {
  return receive_one(shim, fd, to, size, flags);
}
ssize_t tcp_shim_recvfrom(tcp_shim* shim, int fd, void* to, size_t size, int flags, sockaddr*, socklen_t* from_size) {
  const ssize_t n = receive_one(shim, fd, to, size, flags);
  if (n >= 0 && from_size) *from_size = 0;  // a stream tells no source
  return n;
}
ssize_t tcp_shim_recvmsg(tcp_shim* shim, int fd, msghdr* message, int flags) {
  if (!message || (!message->msg_iov && message->msg_iovlen)) return fail(EFAULT);
  if (message->msg_iovlen > 1024) return fail(EMSGSIZE);
  Call call{*shim->shim};
  const SocketPtr s = shim->shim->socket(fd);
  if (!s) return -1;
  const ssize_t n = shim->shim->receive(call, *s, message->msg_iov, message->msg_iovlen, flags);
  if (n >= 0) {
    message->msg_namelen = 0;
    message->msg_flags = 0;
    put_control(*shim->shim, *s, *message);
  }
  return n;
}
