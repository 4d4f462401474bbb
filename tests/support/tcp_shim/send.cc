// write, send and their kin.
#include <algorithm>
#include <bit>

#include "tests/support/tcp_shim/shim.h"
#include "tests/support/tcp_shim/tcp_shim.h"

namespace sluice::shim {

namespace {

// What Linux gives one buffer of its send queue: half of the largest window that the peer ever offered, in whole
// segments, 64 kB at most.
std::uint32_t piece_size(const Socket& s, const tcp::Info& info) {
  constexpr std::uint32_t most = 65536 - 320;  // with room for headers
  const std::uint32_t half = s.window_max > 536 ? s.window_max / 2 : s.window_max;
  const std::uint32_t segment = std::max<std::uint32_t>(info.segment_size, 1);
  return std::max(std::min(half, most) / segment, 1u) * segment;
}

}  // namespace

std::uint32_t Shim::waiting(const Socket& s) const {
  std::uint32_t bytes = 0;
  for (const Chain& piece : s.pieces) bytes += piece.size();
  return bytes;
}

std::uint32_t Shim::unsent(const Socket& s) const {
  if (!s.open) return 0;
  const tcp::SendProgress progress = stack->progress(s.id);
  return static_cast<std::uint32_t>(progress.queued - progress.transmitted) + waiting(s);
}

std::uint32_t Shim::send_queue(const Socket& s) const { return info(s).send_queue + waiting(s); }

// As sk_stream_memory_free of Linux. Where large segments are built, the send buffer is looked at before each of its
// buffers only, and may be overrun by one.
std::uint32_t Shim::send_room(const Socket& s) const {
  const auto limit = static_cast<std::uint32_t>(s.options.sndbuf), queued = send_queue(s);
  const std::uint32_t low = s.options.unsent_low ? s.options.unsent_low : UINT32_MAX, left = unsent(s);
  const std::uint32_t piece =
      options.tso == Options::Tso::off ? std::max<std::uint32_t>(info(s).segment_size, 1) : piece_size(s, info(s));
  if (options.tso != Options::Tso::off) {
    const std::uint32_t tail = s.ended ? 0 : std::min(s.tail, left);
    if (tail && tail < piece) return piece - tail;
    return queued < limit && left < low ? piece : 0;
  }
  const std::uint32_t room = limit > queued ? limit - queued : 0;
  if (low == UINT32_MAX) return room;
  return left < low ? std::min(room, (low - left + piece - 1) / piece * piece) : 0;
}

bool Shim::writable(const Socket& s) const {
  if (!s.open) return true;
  const std::uint64_t limit = static_cast<std::uint64_t>(s.options.sndbuf), low = s.options.unsent_low;
  return std::uint64_t{send_queue(s)} * 3 <= limit * 2 && (low == 0 || std::uint64_t{unsent(s)} * 2 < low);
}

void Shim::queue(Socket& s, Chain bytes) {
  const std::uint32_t left = unsent(s), tail = s.ended ? 0 : std::min(s.tail, left);
  s.tail = tail + bytes.size();
  if (s.pieces.empty() && !(s.ended && left)) {
    stack->send(s.id, std::move(bytes));
  } else if (s.pieces.empty() || s.ended) {
    s.pieces.push_back(std::move(bytes));
    if (s.pieces.size() == 1) apply_options(s);  // Nagle looks at the last buffer alone
  } else {
    s.pieces.back().append(std::move(bytes));
  }
  s.ended = false;
}

bool Shim::feed(Socket& s) {
  if (s.pieces.empty() || !s.open || unsent(s) > waiting(s)) return false;
  stack->send(s.id, std::move(s.pieces.front()));
  s.pieces.pop_front();
  if (s.pieces.empty()) apply_options(s);
  return true;
}

void Shim::feed_all(Socket& s) {
  for (Chain& piece : s.pieces)
    if (s.open) stack->send(s.id, std::move(piece));
  if (s.pieces.empty()) return;
  s.pieces.clear();
  apply_options(s);
}

// As tcp_sndbuf_expand of Linux, for those who waited for room: twice the window, in its memory for a segment.
void Shim::grow_sndbuf(Socket& s) {
  if (s.options.sndbuf_fixed || !s.open || s.connecting || options.tso == Options::Tso::off) return;
  const tcp::Info i = info(s);
  if (i.segments_out >= i.cwnd_segments) return;
  const std::uint32_t memory = std::bit_ceil(i.segment_size + 640u) + 256;
  const std::uint64_t wanted = std::uint64_t{2} * std::max(i.cwnd_segments, 10u) * memory;
  s.options.sndbuf =
      static_cast<int>(std::clamp<std::uint64_t>(wanted, static_cast<std::uint64_t>(s.options.sndbuf), 4u << 20));
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
  Gathered in{from, count};
  if (in.left() > SSIZE_MAX) return fail(count == 1 ? EFAULT : EINVAL);
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
  if (flags & MSG_OOB) return stop(EOPNOTSUPP);
  if (s.more || flags & MSG_MORE) {
    s.more = s.held = flags & MSG_MORE;
    apply_options(s);
  }
  bool waits = false;  // until as much is free that poll would say so
  while (true) {
    if (s.closed) return stop(EBADF);
    if (s.error || s.shut_write || !s.open) return stop(EPIPE);
    if (in.left() == 0) break;
    Chain bytes;
    for (std::uint32_t room = waits && !writable(s) ? 0 : send_room(s); room > 0 && in.left() > 0;) {
      const ByteView piece = in.piece(room);
      if (!piece.data()) {
        if (!bytes.empty()) break;
        return stop(EFAULT);
      }
      if (!bytes.append_bytes(piece, buffers)) break;
      in.took(piece.size());
      room -= static_cast<std::uint32_t>(piece.size());
    }
    if (bytes.empty()) {
      s.no_space = waits = true;
      if (const int why = call.sleep(deadline)) return stop(why == ETIMEDOUT ? EAGAIN : why);
      continue;
    }
    waits = false;
    done += bytes.size();
    queue(s, std::move(bytes));
    s.ended = flags & MSG_EOR && in.left() == 0;
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
  if (size > SSIZE_MAX) return fail(EFAULT);
  const iovec one{const_cast<void*>(from), size};
  return tcp_shim_writev(shim, fd, &one, 1);
}
ssize_t tcp_shim_writev(tcp_shim* shim, int fd, const iovec* from, int count) {
  if (count < 0 || count > 1024) return fail(EINVAL);
  if (!from && count) return fail(EFAULT);
  if (std::any_of(from, from + count, [](const iovec& piece) { return piece.iov_len > SSIZE_MAX; }))
    return fail(EINVAL);
  {
    Call call{*shim->shim};
    const FilePtr file = shim->shim->file(fd);
    if (!file) return -1;
    if (!file->socket) return fail(EINVAL);
  }
  return send_pieces(shim, fd, from, static_cast<std::size_t>(count), 0);
}
ssize_t tcp_shim_send(tcp_shim* shim, int fd, const void* from, size_t size, int flags) {
  return send_one(shim, fd, from, size, flags);
}
ssize_t tcp_shim_sendto(tcp_shim* shim, int fd, const void* from, size_t size, int flags, const sockaddr*, socklen_t) {
  return send_one(shim, fd, from, size, flags);
}
ssize_t tcp_shim_sendmsg(tcp_shim* shim, int fd, const msghdr* message, int flags) {
  if (!message || (!message->msg_iov && message->msg_iovlen)) return fail(EFAULT);
  if (message->msg_iovlen > 1024) return fail(EMSGSIZE);
  return send_pieces(shim, fd, message->msg_iov, message->msg_iovlen, flags);
}
