// packetdrill_interface_init: the entry point that google/packetdrill looks for in the shared object it is given
// (--so_filename, --so_flags): see tcp_shim.h.
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/support/tcp_shim/tcp_shim.h"

namespace {

constexpr std::int64_t patience_us = 600'000'000;  // of virtual time, for a packet that a script expects

tcp_shim* of(void* handle) { return static_cast<tcp_shim*>(handle); }

// The face with another first argument, one function for each.
template <auto Function>
struct As;
template <typename R, typename... A, R (*Function)(tcp_shim*, A...)>
struct As<Function> {
  static R call(void* handle, A... arguments) { return Function(of(handle), arguments...); }
};

int call_fcntl(void* handle, int fd, int command, ...) {
  va_list list;
  va_start(list, command);
  const long argument = va_arg(list, long);
  va_end(list);
  return tcp_shim_fcntl(of(handle), fd, command, static_cast<int>(argument));
}

int call_ioctl(void* handle, int fd, unsigned long request, ...) {
  va_list list;
  va_start(list, request);
  void* argument = va_arg(list, void*);
  va_end(list);
  return tcp_shim_ioctl(of(handle), fd, request, argument);
}

// Waits as the runner expects of it, in virtual time; a size of 0 tells that no packet came.
int receive_packet(void* handle, void* to, size_t* size, long long* time_us) {
  int64_t at = tcp_shim_now_us(of(handle));
  const ssize_t n = tcp_shim_await(of(handle), to, *size, &at, patience_us);
  *size = n > 0 ? static_cast<size_t>(n) : 0;
  *time_us = at;
  return n < 0 ? -1 : 0;
}

int no_pipe(void*, int[2]) {
  errno = ENOSYS;
  return -1;
}
int no_splice(void*, int, int64_t*, int, int64_t*, size_t, unsigned) {
  errno = ENOSYS;
  return -1;
}

}  // namespace

void packetdrill_interface_init(const char* flags, tcp_shim_calls* calls) {
  const std::string options = std::string("spin_us=1 tso=2 ") + (flags ? flags : "");
  tcp_shim* shim = tcp_shim_new(options.c_str());
  if (!shim) {
    std::fprintf(stderr, "tcp_shim: cannot start with \"%s\"\n", options.c_str());
    std::exit(1);
  }
  *calls = {.handle = shim,
            .free = As<tcp_shim_free>::call,
            .socket = As<tcp_shim_socket>::call,
            .bind = As<tcp_shim_bind>::call,
            .listen = As<tcp_shim_listen>::call,
            .accept = As<tcp_shim_accept>::call,
            .connect = As<tcp_shim_connect>::call,
            .read = As<tcp_shim_read>::call,
            .readv = As<tcp_shim_readv>::call,
            .recv = As<tcp_shim_recv>::call,
            .recvfrom = As<tcp_shim_recvfrom>::call,
            .recvmsg = As<tcp_shim_recvmsg>::call,
            .write = As<tcp_shim_write>::call,
            .writev = As<tcp_shim_writev>::call,
            .send = As<tcp_shim_send>::call,
            .sendto = As<tcp_shim_sendto>::call,
            .sendmsg = As<tcp_shim_sendmsg>::call,
            .fcntl = call_fcntl,
            .ioctl = call_ioctl,
            .close = As<tcp_shim_close>::call,
            .shutdown = As<tcp_shim_shutdown>::call,
            .getsockopt = As<tcp_shim_getsockopt>::call,
            .setsockopt = As<tcp_shim_setsockopt>::call,
            .poll = As<tcp_shim_poll>::call,
            .send_packet = As<tcp_shim_inject>::call,
            .receive_packet = receive_packet,
            .usleep = As<tcp_shim_usleep>::call,
            .gettimeofday = As<tcp_shim_gettimeofday>::call,
            .epoll_create = As<tcp_shim_epoll_create>::call,
            .epoll_ctl = As<tcp_shim_epoll_ctl>::call,
            .epoll_wait = As<tcp_shim_epoll_wait>::call,
            .pipe = no_pipe,
            .splice = no_splice};
}
