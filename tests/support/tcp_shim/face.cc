// The calls that are no sockets': making an endpoint, its wire, its clock; and fcntl and ioctl.
#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <cstdarg>
#include <cstring>
#include <new>

#include "tests/support/tcp_shim/shim.h"
#include "tests/support/tcp_shim/tcp_shim.h"

namespace sluice::shim {

namespace {

std::unique_ptr<Shim> make(const char* text) {
  Options options;
  if (!parse_options(text, options)) {
    errno = EINVAL;
    return nullptr;
  }
  if (start_packet_memory()) {
    auto shim = std::make_unique<Shim>(options);
    if (shim->ok()) return shim;
  }
  errno = ENOMEM;
  return nullptr;
}

ssize_t take_sent(Shim& t, void* packet, std::size_t size, std::int64_t* time_us) {
  if (t.sent.empty()) return 0;
  const Sent& first = t.sent.front();
  if (first.packet.size() > size) return fail(EMSGSIZE);
  std::memcpy(packet, first.packet.data(), first.packet.size());
  if (time_us) *time_us = first.at.micros();
  const auto n = static_cast<ssize_t>(first.packet.size());
  t.sent.pop_front();
  return n;
}

int queued_bytes(Shim& t, const Socket& s, unsigned long request, int& out) {
  if (s.listening) return EINVAL;
  const tcp::Info info = t.info(s);
  const bool synchronized = s.open && !s.connecting;
  switch (request) {
    case SIOCINQ: out = static_cast<int>(t.readable(s)); return 0;
    case SIOCOUTQ: {
      // The FIN counts for one until it is acknowledged.
      const bool fin = synchronized && s.shut_write && info.state != tcp::State::fin_wait_2;
      out = static_cast<int>(t.send_queue(s)) * synchronized + fin;
      return 0;
    }
    default: out = static_cast<int>(synchronized ? t.unsent(s) : 0); return 0;
  }
}

}  // namespace

}  // namespace sluice::shim

using namespace sluice;
using namespace sluice::shim;

tcp_shim* tcp_shim_new(const char* options) {
  auto shim = make(options);
  if (!shim) return nullptr;
  return new tcp_shim{std::move(shim)};
}

void tcp_shim_free(tcp_shim* shim) { delete shim; }

int tcp_shim_reset(tcp_shim* shim, const char* options) {
  auto fresh = make(options);
  if (!fresh) return -1;
  shim->shim = std::move(fresh);
  return 0;
}

int tcp_shim_inject(tcp_shim* shim, const void* packet, size_t size) {
  Call call{*shim->shim};
  return shim->shim->inject(static_cast<const std::uint8_t*>(packet), size);
}

ssize_t tcp_shim_next(tcp_shim* shim, void* packet, size_t size, int64_t* time_us) {
  Call call{*shim->shim};
  return take_sent(*shim->shim, packet, size, time_us);
}

ssize_t tcp_shim_await(tcp_shim* shim, void* packet, size_t size, int64_t* time_us, int64_t timeout_us) {
  Shim& t = *shim->shim;
  Call call{t};
  const Nanos limit = t.now + Nanos{timeout_us * 1000};
  while (t.sent.empty() && t.step(call, limit)) {}
  if (t.sent.empty()) t.advance(call, limit);
  return take_sent(t, packet, size, time_us);
}

uint64_t tcp_shim_dropped(tcp_shim* shim) {
  Call call{*shim->shim};
  return shim->shim->dropped;
}

uint64_t tcp_shim_counter(tcp_shim* shim, const char* name) {
  Call call{*shim->shim};
  for (std::size_t i = 0; i < counter_count; ++i)
    if (counter_info[i].name == name) return shim->shim->counters.get(static_cast<Counter>(i));
  return UINT64_MAX;
}

int tcp_shim_usleep(tcp_shim* shim, useconds_t microseconds) {
  Call call{*shim->shim};
  shim->shim->advance(call, shim->shim->now + Nanos{std::int64_t{microseconds} * 1000});
  return 0;
}

int tcp_shim_gettimeofday(tcp_shim* shim, timeval* now, struct timezone* zone) {
  Shim& t = *shim->shim;
  Call call{t};
  if (zone) *zone = {};
  if (t.options.spin > Nanos{}) t.advance(call, t.now + t.options.spin);
  if (now) *now = {t.now.micros() / 1'000'000, t.now.micros() % 1'000'000};
  return 0;
}

int64_t tcp_shim_now_us(tcp_shim* shim) {
  Call call{*shim->shim};
  return shim->shim->now.micros();
}

int64_t tcp_shim_next_timer_us(tcp_shim* shim) {
  Call call{*shim->shim};
  const Nanos next = shim->shim->next_timer();
  return next == Nanos::never() ? -1 : (next.ns + 999) / 1000;
}

unsigned tcp_shim_blocked(tcp_shim* shim) {
  Call call{*shim->shim};
  return static_cast<unsigned>(shim->shim->sleepers.size());
}

int tcp_shim_fcntl(tcp_shim* shim, int fd, int command, ...) {
  va_list list;
  va_start(list, command);
  const int argument = command == F_SETFL || command == F_SETFD ? va_arg(list, int) : 0;
  va_end(list);
  Call call{*shim->shim};
  const FilePtr file = shim->shim->file(fd);
  if (!file) return -1;
  Socket* s = file->socket ? static_cast<Socket*>(file.get()) : nullptr;
  switch (command) {
    case F_GETFL: return O_RDWR | (s && s->nonblocking ? O_NONBLOCK : 0);
    case F_SETFL:
      if (s) s->nonblocking = argument & O_NONBLOCK;
      return 0;
    case F_GETFD: return file->close_on_exec ? FD_CLOEXEC : 0;
    case F_SETFD: file->close_on_exec = argument & FD_CLOEXEC; return 0;
    default: return fail(EINVAL);
  }
}

int tcp_shim_ioctl(tcp_shim* shim, int fd, unsigned long request, ...) {
  va_list list;
  va_start(list, request);
  int* argument = va_arg(list, int*);
  va_end(list);
  Call call{*shim->shim};
  const FilePtr file = shim->shim->file(fd);
  if (!file) return -1;
  const bool known = request == SIOCINQ || request == SIOCOUTQ || request == SIOCOUTQNSD || request == FIONBIO ||
                     request == SIOCATMARK;
  if (!file->socket || !known) return fail(ENOTTY);
  if (!argument) return fail(EFAULT);
  auto& s = static_cast<Socket&>(*file);
  if (request == FIONBIO) {
    s.nonblocking = *argument != 0;
    return 0;
  }
  if (request == SIOCATMARK) {  // urgent data is no other: there is no mark
    *argument = 0;
    return 0;
  }
  const int error = queued_bytes(*shim->shim, s, request, *argument);
  return error ? fail(error) : 0;
}
