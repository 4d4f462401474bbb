// poll and epoll.
#include <algorithm>
#include <climits>

#include "tests/support/tcp_shim/shim.h"
#include "tests/support/tcp_shim/tcp_shim.h"

namespace sluice::shim {

namespace {

constexpr std::uint32_t always = EPOLLERR | EPOLLHUP;
constexpr std::uint32_t in_bits = EPOLLIN | EPOLLRDNORM, out_bits = EPOLLOUT | EPOLLWRNORM;

}  // namespace

std::uint32_t Shim::events_of(Socket& s) const {
  if (s.listening) return s.accepted.empty() ? 0 : in_bits;
  std::uint32_t ready = 0;
  if ((s.shut_read && s.shut_write) || !s.open) ready |= EPOLLHUP;
  if (s.shut_read) ready |= in_bits | EPOLLRDHUP;
  if (!s.connecting) {
    if (readable(s) >= static_cast<std::uint32_t>(std::max(s.options.rcvlowat, 1))) ready |= in_bits;
    if (s.shut_write || writable(s)) {
      ready |= out_bits;
    } else {
      s.no_space = true;
    }
  }
  if (s.error) ready |= EPOLLERR;
  return ready;
}

namespace {

Nanos deadline_of_ms(const Shim& t, int timeout) {
  return timeout < 0 ? Nanos::never() : t.now + Nanos{std::int64_t{timeout} * 1'000'000};
}

int poll_once(Shim& t, pollfd* fds, nfds_t count) {
  int ready = 0;
  for (nfds_t i = 0; i < count; ++i) {
    fds[i].revents = 0;
    if (fds[i].fd < 0) continue;
    const int kept = errno;
    const FilePtr file = t.file(fds[i].fd);
    errno = kept;
    std::uint32_t bits = 0;
    if (!file) {
      fds[i].revents = POLLNVAL;
    } else if (file->socket) {
      bits = t.events_of(static_cast<Socket&>(*file));
      fds[i].revents = static_cast<short>(bits & (static_cast<std::uint16_t>(fds[i].events) | always));
    }
    ready += fds[i].revents != 0;
  }
  return ready;
}

int collect(Shim& t, Epoll& set, epoll_event* out, int count) {
  int ready = 0;
  for (auto& [fd, watch] : set.watches) {
    if (ready == count) break;
    const SocketPtr s = watch.socket.lock();
    if (!s || s->closed || watch.spent) continue;
    const std::uint32_t bits = t.events_of(*s) & (watch.asked.events | always);
    const bool edge = watch.asked.events & EPOLLET;
    if (!bits || (edge && watch.seen == s->activity)) continue;
    watch.seen = s->activity;
    watch.spent = watch.asked.events & EPOLLONESHOT;
    out[ready].events = bits;
    out[ready++].data = watch.asked.data;
  }
  return ready;
}

}  // namespace

}  // namespace sluice::shim

using namespace sluice::shim;

int tcp_shim_poll(tcp_shim* shim, pollfd* fds, nfds_t count, int timeout) {
  Shim& t = *shim->shim;
  Call call{t};
  if (!fds && count) return fail(EFAULT);
  const sluice::Nanos deadline = deadline_of_ms(t, timeout);
  while (true) {
    if (const int ready = poll_once(t, fds, count)) return ready;
    if (const int why = call.sleep(deadline)) return why == ETIMEDOUT ? 0 : fail(why);
  }
}

int tcp_shim_epoll_create(tcp_shim* shim, int size) {
  Call call{*shim->shim};
  return size > 0 ? shim->shim->add(std::make_shared<Epoll>()) : fail(EINVAL);
}

int tcp_shim_epoll_create1(tcp_shim* shim, int flags) {
  Call call{*shim->shim};
  if (flags & ~EPOLL_CLOEXEC) return fail(EINVAL);
  auto set = std::make_shared<Epoll>();
  set->close_on_exec = flags & EPOLL_CLOEXEC;
  return shim->shim->add(set);
}

int tcp_shim_epoll_ctl(tcp_shim* shim, int epfd, int operation, int fd, epoll_event* event) {
  Shim& t = *shim->shim;
  Call call{t};
  const FilePtr file = t.file(epfd), target = t.file(fd);
  if (!file || !target) return -1;
  if (operation != EPOLL_CTL_DEL && !event) return fail(EFAULT);
  if (file->socket || file == target || !target->socket) return fail(EINVAL);
  constexpr std::uint32_t with_exclusive =
      EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;
  if (operation != EPOLL_CTL_DEL && event->events & EPOLLEXCLUSIVE &&
      (operation == EPOLL_CTL_MOD || event->events & ~with_exclusive))
    return fail(EINVAL);
  auto& set = static_cast<Epoll&>(*file);
  const SocketPtr s = std::static_pointer_cast<Socket>(target);
  const auto found = set.watches.find(fd);
  const bool there = found != set.watches.end() && found->second.socket.lock() == s;
  switch (operation) {
    case EPOLL_CTL_ADD:
      if (there) return fail(EEXIST);
      set.watches[fd] = {s, *event, s->activity - 1, false};
      break;
    case EPOLL_CTL_MOD:
      if (!there) return fail(ENOENT);
      found->second = {s, *event, s->activity - 1, false};
      break;
    case EPOLL_CTL_DEL:
      if (!there) return fail(ENOENT);
      set.watches.erase(found);
      break;
    default: return fail(EINVAL);
  }
  t.dirty = true;
  return 0;
}

int tcp_shim_epoll_wait(tcp_shim* shim, int epfd, epoll_event* events, int count, int timeout) {
  Shim& t = *shim->shim;
  Call call{t};
  constexpr int most = INT_MAX / static_cast<int>(sizeof(epoll_event));
  if (count <= 0 || count > most) return fail(EINVAL);
  const EpollPtr set = t.epoll(epfd);
  if (!set) return -1;
  const sluice::Nanos deadline = deadline_of_ms(t, timeout);
  while (true) {
    if (const int ready = collect(t, *set, events, count)) return ready;
    if (const int why = call.sleep(deadline)) return why == ETIMEDOUT ? 0 : fail(why);
    if (set->closed) return fail(EBADF);
  }
}
