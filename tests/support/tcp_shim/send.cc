// write, send and their kin.
#include <algorithm>

#include "tests/support/tcp_shim/shim.h"
#include "tests/support/tcp_shim/tcp_shim.h"

namespace sluice::shim {

std::uint32_t Shim::send_room(const Socket& s) const {
  const auto limit = static_cast<std::uint32_t>(s.options.sndbuf), queued = info(s).send_queue;
  return limit > queued ? limit - queued : 0;
}

bool Shim::writable(const Socket& s) const {
  const auto limit = static_cast<std::uint64_t>(s.options.sndbuf);
  return !s.open || std::uint64_t{info(s).send_queue} * 3 <= limit * 2;
}

namespace {

// The bytes of an iovec, one piece after the other.
class Gathered {
 public:
  Gathered(const iovec* pieces, std::size_t count) : pieces_(pieces), count_(count) {
    for (std::size_t i = 0; i < count; ++i) left_ += pieces[i].iov_len;
  }
  std::size_t left() const { return left_; }
  ByteView piece(std::size_t limit) {
    while (count_ && at_ == pieces_->iov_len) {
      ++pieces_;
      --count_;
      at_ = 0;
    }
    if (!count_) return {};
    return {static_cast<const std::uint8_t*>(pieces_->iov_base) + at_, std::min(pieces_->iov_len - at_, limit)};
  }
  void took(std::size_t n) {
    at_ += n;
    left_ -= n;
  }

 private:
  const iovec* pieces_;
  std::size_t count_, at_ = 0, left_ = 0;
};

}  // namespace

ssize_t Shim::send(Call& call, Socket& s, const iovec* from, std::size_t count, int flags) {
  if (flags & MSG_OOB) return fail(EOPNOTSUPP);
  Gathered in{from, count};
  if (in.left() > SSIZE_MAX) return fail(EINVAL);
  const Nanos deadline = deadline_of(*this, s, s.options.send_timeout, flags);
  ssize_t done = 0;
  const auto stop = [&](int error) -> ssize_t {
    if (done > 0) return done;
    if (error == EPIPE && s.error) error = std::exchange(s.error, 0);
    return fail(error);
  };
  while (s.open && s.connecting)
    if (const int why = s.error ? EPIPE : call.sleep(deadline)) return stop(why == ETIMEDOUT ? EAGAIN : why);
  if (!s.open) return stop(EPIPE);
  if (s.more != static_cast<bool>(flags & MSG_MORE)) {
    s.more = !s.more;
    apply_options(s);
  }
  while (true) {
    if (s.closed) return stop(EBADF);
    if (s.error || s.shut_write || !s.open) return stop(EPIPE);
    if (in.left() == 0) break;
    Chain bytes;
    for (std::uint32_t room = send_room(s); room > 0 && in.left() > 0;) {
      const ByteView piece = in.piece(room);
      if (!bytes.append_bytes(piece, buffers)) break;
      in.took(piece.size());
      room -= static_cast<std::uint32_t>(piece.size());
    }
    if (bytes.empty()) {
      s.no_space = true;
      if (const int why = call.sleep(deadline)) return stop(why == ETIMEDOUT ? EAGAIN : why);
      continue;
    }
    done += bytes.size();
    stack->send(s.id, std::move(bytes));
    changed();
  }
  return done;
}

}  // namespace sluice::shim

using namespace sluice::shim;

namespace {

ssize_t send_pieces(tcp_shim* shim, int fd, const iovec* from, std::size_t count, int flags) {
  Call call{*shim->shim};
  const SocketPtr s = shim->shim->socket(fd);
  return s ? shim->shim->send(call, *s, from, count, flags) : -1;
}

ssize_t send_one(tcp_shim* shim, int fd, const void* from, std::size_t size, int flags) {
  const iovec one{const_cast<void*>(from), size};
  return send_pieces(shim, fd, &one, 1, flags);
}

}  // namespace

ssize_t tcp_shim_write(tcp_shim* shim, int fd, const void* from, size_t size) {
  return send_one(shim, fd, from, size, 0);
}
ssize_t tcp_shim_writev(tcp_shim* shim, int fd, const iovec* from, int count) {
  if (count < 0 || count > 1024) return fail(EINVAL);
  return send_pieces(shim, fd, from, static_cast<std::size_t>(count), 0);
}
ssize_t tcp_shim_send(tcp_shim* shim, int fd, const void* from, size_t size, int flags) {
  return send_one(shim, fd, from, size, flags);
}
ssize_t tcp_shim_sendto(tcp_shim* shim, int fd, const void* from, size_t size, int flags, const sockaddr*, socklen_t) {
  return send_one(shim, fd, from, size, flags);
}
ssize_t tcp_shim_sendmsg(tcp_shim* shim, int fd, const msghdr* message, int flags) {
  if (!message) return fail(EFAULT);
  if (message->msg_iovlen > 1024) return fail(EMSGSIZE);
  return send_pieces(shim, fd, message->msg_iov, message->msg_iovlen, flags);
}
