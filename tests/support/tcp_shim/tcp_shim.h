// tcp_shim.h - the socket calls of one TCP endpoint over sluice::tcp::Stack, in virtual time, for script runners and
// conformance tools outside this tree. Plain C11 (and C++). The library is libtcp_shim.so; docs/tcp_shim.md tells how a
// runner is adapted to it.
//
// Calls look like the system's with a handle before the arguments: they return what Linux returns, or -1 with errno as
// Linux sets it in that state. Nothing here touches the kernel's network: segments come in by tcp_shim_inject, go out
// by tcp_shim_next, and time moves only by tcp_shim_usleep (and by calls that say so). Packets to an address of the
// endpoint's own, or to 127.0.0.0/8 or ::1, loop back inside.
//
// Threads: every function may be called from any thread; calls on one handle exclude each other, except that a blocking
// call sleeps without holding the others up. tcp_shim_inject, tcp_shim_usleep and every call that changes something
// return only when each sleeping call that it woke has either returned or gone back to sleep, so that a run with a
// blocked thread is repeated exactly. The stack inside is only ever used by one thread at a time.
//
// Signals: EPIPE comes without SIGPIPE, whatever the flags. Descriptors are numbers of this library, not the kernel's.
#pragma once

#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct tcp_shim tcp_shim;

// ---- The endpoint ----

// A host with one TCP stack, its own addresses, clock and descriptors. Several may live in one process. `options` is
// NULL or a list of key=value, separated by spaces, commas or semicolons; NULL comes back with EINVAL for an unknown
// key or a value that cannot be, with ENOMEM when packet memory does not start. A key that the table gives two names
// for takes both; the sysctl's name may carry its "net.ipv4." or not.
//
//   local=ADDRESS            an address of ours (IPv4 or IPv6); repeat it, up to 30.  192.168.0.1 and fd00::1
//   mtu=BYTES                of the way out, 576 to 9000.  1500
//   seed=N                   of all secrets: initial sequence numbers, timestamp offsets, ports.  1
//   start_us=N               the clock at first, microseconds.  1000000000
//   spin_us=N                tcp_shim_gettimeofday moves the clock by so much each time, for runners that spin.  0
//   blocking=wait|advance    a blocking call with nothing to return sleeps until another thread changes that (wait),
//                            or moves the clock itself, timer by timer (advance), and fails with EDEADLK when no timer
//                            is left.  wait
//   grace_us=N               when a call woke another thread's, it lets that thread go first: until that one makes
//                            another call (it may want to know the time), this long in real time at most.  5000
//   first_fd=N               descriptors count from here.  1024
//   ports=LOW-HIGH           of connect and of bind to port 0 (ip_local_port_range).  32768-60999
//   timestamps=0|1           tcp_timestamps.  1
//   sack=0|1                 tcp_sack.  1
//   window_scaling=0|1       tcp_window_scaling.  1
//   rcvbuf=BYTES             a fixed receive buffer of new sockets, as SO_RCVBUF tells it (twice what setsockopt would
//   be
//                            given); half of it is the first window. Without it SO_RCVBUF tells 131072, the first
//                            window is 65535, and windows grow up to
//   rcvbuf_max=BYTES         (tcp_rmem[2]), which also gives the window scale that is offered.  6291456
//   ecn=0|1|2                tcp_ecn: never, asked for and accepted, accepted.  2
//   quick_acks=N             ACKs that go at once at the start of a flow; 0: all are delayed.  16
//   slow_start_after_idle=0|1  tcp_slow_start_after_idle: an unused window shrinks.  1
//   mtu_probing=0|1|2        tcp_mtu_probing: whether timeouts make it look for black holes (RFC 4821).  0
//   pacing=0|1               segments spread over the round trip, where that is 8 ms or more.  0
//   challenge_ack_limit=N    tcp_challenge_ack_limit: challenge ACKs a second of the whole host, in bursts of a tenth.
//                            10000
//   syncookies=0|1|2         tcp_syncookies: never, when half-open ones crowd, always.  1
//   sndbuf=BYTES             tcp_wmem[1]: what SO_SNDBUF tells of a new socket.  524288
//   initial_window=SEGMENTS  1 to 100.  10
//   syn_retries=N            tcp_syn_retries.  6
//   synack_retries=N         tcp_synack_retries.  5
//   user_timeout_ms=N        how long data may stay unacknowledged where TCP_USER_TIMEOUT says nothing.  924600
//   fin_timeout_ms=N         tcp_fin_timeout, of a closed socket in FIN-WAIT-2.  60000
//   time_wait_ms=N           of TIME-WAIT.  60000
//   delayed_ack_ms=N         1 to 500.  40
//   rto_min_ms=N             200
//   nodelay=0|1              TCP_NODELAY of a new socket.  0
//   tso=0|1|2                segments of up to 64 kB are built, as a Linux with TSO builds them: no (Linux's
//                            gso_max_segs 1), and leave whole, and leave cut into frames.  0
//   somaxconn=N              the bound of listen's backlog.  4096
//   buffers=N                packet buffers of the endpoint.  4096
tcp_shim* tcp_shim_new(const char* options);
// Everything is gone, nothing is sent. No other call may be under way: blocked ones are to be ended by closing first.
void tcp_shim_free(tcp_shim* shim);
// As tcp_shim_free and tcp_shim_new, at the same place. 0, or -1 as tcp_shim_new; then the handle is as it was.
int tcp_shim_reset(tcp_shim* shim, const char* options);

// ---- Sockets ----

// AF_INET or AF_INET6, SOCK_STREAM with SOCK_NONBLOCK and SOCK_CLOEXEC, 0 or IPPROTO_TCP. Else EAFNOSUPPORT,
// EPROTONOSUPPORT, EINVAL, ESOCKTNOSUPPORT.
int tcp_shim_socket(tcp_shim* shim, int domain, int type, int protocol);
int tcp_shim_bind(tcp_shim* shim, int fd, const struct sockaddr* address, socklen_t size);
// A second call changes the backlog. The queue holds backlog + 1 as in Linux; while it is full, SYNs and last ACKs of
// handshakes are dropped.
int tcp_shim_listen(tcp_shim* shim, int fd, int backlog);
int tcp_shim_accept(tcp_shim* shim, int fd, struct sockaddr* address, socklen_t* size);
int tcp_shim_accept4(tcp_shim* shim, int fd, struct sockaddr* address, socklen_t* size, int flags);
// Blocking: until established, refused (ECONNREFUSED), unreachable by ICMP, or out of tries (ETIMEDOUT).
// Non-blocking: EINPROGRESS, then EALREADY, at last 0 or the error. AF_UNSPEC dissolves the connection.
int tcp_shim_connect(tcp_shim* shim, int fd, const struct sockaddr* address, socklen_t size);
int tcp_shim_getsockname(tcp_shim* shim, int fd, struct sockaddr* address, socklen_t* size);
int tcp_shim_getpeername(tcp_shim* shim, int fd, struct sockaddr* address, socklen_t* size);
int tcp_shim_shutdown(tcp_shim* shim, int fd, int how);
// Unread bytes, or SO_LINGER with a time of 0, make it a reset. A blocking socket with SO_LINGER and a longer time
// waits for the last byte and the FIN to be acknowledged.
int tcp_shim_close(tcp_shim* shim, int fd);

// Flags: MSG_PEEK, MSG_DONTWAIT, MSG_WAITALL, MSG_TRUNC (counts and drops). MSG_OOB is EINVAL: urgent bytes pass in
// line. recvmsg gives TCP_CM_INQ where TCP_INQ asked for it, and no other control message.
ssize_t tcp_shim_read(tcp_shim* shim, int fd, void* to, size_t size);
ssize_t tcp_shim_readv(tcp_shim* shim, int fd, const struct iovec* to, int count);
ssize_t tcp_shim_recv(tcp_shim* shim, int fd, void* to, size_t size, int flags);
ssize_t tcp_shim_recvfrom(tcp_shim* shim, int fd, void* to, size_t size, int flags, struct sockaddr* from,
                          socklen_t* from_size);
ssize_t tcp_shim_recvmsg(tcp_shim* shim, int fd, struct msghdr* message, int flags);

// Flags: MSG_DONTWAIT, MSG_NOSIGNAL, MSG_MORE, MSG_EOR (what comes behind it begins a segment of its own, unless the
// socket is closed or shut down before that has left). MSG_OOB is EOPNOTSUPP. An address is ignored, as by Linux;
// control messages too.
ssize_t tcp_shim_write(tcp_shim* shim, int fd, const void* from, size_t size);
ssize_t tcp_shim_writev(tcp_shim* shim, int fd, const struct iovec* from, int count);
ssize_t tcp_shim_send(tcp_shim* shim, int fd, const void* from, size_t size, int flags);
ssize_t tcp_shim_sendto(tcp_shim* shim, int fd, const void* from, size_t size, int flags, const struct sockaddr* to,
                        socklen_t to_size);
ssize_t tcp_shim_sendmsg(tcp_shim* shim, int fd, const struct msghdr* message, int flags);

// F_GETFL, F_SETFL (O_NONBLOCK), F_GETFD, F_SETFD. Others: EINVAL.
int tcp_shim_fcntl(tcp_shim* shim, int fd, int command, ...);
// SIOCINQ (FIONREAD), SIOCOUTQ (TIOCOUTQ), SIOCOUTQNSD, FIONBIO. Others: ENOTTY.
int tcp_shim_ioctl(tcp_shim* shim, int fd, unsigned long request, ...);

// SOL_SOCKET: SO_ERROR, SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ACCEPTCONN, SO_RCVBUF, SO_SNDBUF, SO_RCVBUFFORCE,
//   SO_SNDBUFFORCE, SO_LINGER, SO_REUSEADDR, SO_REUSEPORT, SO_KEEPALIVE, SO_RCVTIMEO, SO_SNDTIMEO, SO_RCVLOWAT,
//   SO_OOBINLINE, SO_PRIORITY, SO_MARK, SO_BROADCAST, SO_DONTROUTE (kept and told, without effect: the last five).
// IPPROTO_TCP: TCP_NODELAY, TCP_MAXSEG, TCP_CORK, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_USER_TIMEOUT,
//   TCP_SYNCNT, TCP_LINGER2, TCP_QUICKACK, TCP_INFO, TCP_CONGESTION ("cubic" and nothing else), TCP_WINDOW_CLAMP,
//   TCP_DEFER_ACCEPT (the last two kept and told, without effect), TCP_NOTSENT_LOWAT, TCP_INQ.
// IPPROTO_IP: IP_LOCAL_PORT_RANGE. IPPROTO_IPV6: IPV6_V6ONLY. Other names of both levels: numbers are kept and told.
// TCP_INFO fills Linux's struct tcp_info as far as the caller's buffer reaches; docs/tcp_shim.md lists the fields that
// stay 0 because this stack has nothing of the kind.
int tcp_shim_getsockopt(tcp_shim* shim, int fd, int level, int name, void* value, socklen_t* size);
int tcp_shim_setsockopt(tcp_shim* shim, int fd, int level, int name, const void* value, socklen_t size);

// Timeouts are in milliseconds of the endpoint's clock: -1 for none.
int tcp_shim_poll(tcp_shim* shim, struct pollfd* fds, nfds_t count, int timeout);
// Level and edge triggered, EPOLLONESHOT. EPOLLEXCLUSIVE is taken and means nothing. No epoll descriptor in another.
int tcp_shim_epoll_create(tcp_shim* shim, int size);
int tcp_shim_epoll_create1(tcp_shim* shim, int flags);
int tcp_shim_epoll_ctl(tcp_shim* shim, int epfd, int operation, int fd, struct epoll_event* event);
int tcp_shim_epoll_wait(tcp_shim* shim, int epfd, struct epoll_event* events, int count, int timeout);

// ---- The wire ----

// A packet arrives: IPv4 or IPv6 from its first byte, with TCP or ICMP, up to 65535 bytes. 0 also when it is dropped
// (checksum, malformed, not for us), as a wire would; -1 with EINVAL or EMSGSIZE when it is no packet at all.
int tcp_shim_inject(tcp_shim* shim, const void* packet, size_t size);
// The next packet that left, in order, with all checksums, and the time at which it left in microseconds (`time_us` may
// be NULL). Returns its size, 0 when none is waiting, -1 with EMSGSIZE when `size` is too small (the packet stays).
ssize_t tcp_shim_next(tcp_shim* shim, void* packet, size_t size, int64_t* time_us);
// As tcp_shim_next, but moves the clock, timer by timer, until a packet leaves or `timeout_us` have passed (then 0).
ssize_t tcp_shim_await(tcp_shim* shim, void* packet, size_t size, int64_t* time_us, int64_t timeout_us);
// A packet that looks right but was not taken, by tcp_shim_inject, since the start: bad checksum, not for us,
// malformed.
uint64_t tcp_shim_dropped(tcp_shim* shim);
// One of the worker's counters by its name in docs/counters.md ("tcp_retransmitted_segments"); UINT64_MAX: no such one.
uint64_t tcp_shim_counter(tcp_shim* shim, const char* name);

// ---- Time ----

// The clock moves on by so much; timers fire in order, each at its time, and what they send leaves then. 0.
int tcp_shim_usleep(tcp_shim* shim, useconds_t microseconds);
int tcp_shim_gettimeofday(tcp_shim* shim, struct timeval* now, struct timezone* zone);
int64_t tcp_shim_now_us(tcp_shim* shim);
// When the next timer may fire (a bound: it may turn out to be later), in microseconds; -1: none is set.
int64_t tcp_shim_next_timer_us(tcp_shim* shim);
// Calls that sleep in other threads now.
unsigned tcp_shim_blocked(tcp_shim* shim);

// ---- A table of calls, for runners that load a shared object ----

// What google/packetdrill wants of the object that --so_filename names: a table of functions in this order, whose first
// argument is the table's first field. It is filled by a function of that runner's choice of name.
struct tcp_shim_calls {
  void* handle;
  void (*free)(void*);
  int (*socket)(void*, int, int, int);
  int (*bind)(void*, int, const struct sockaddr*, socklen_t);
  int (*listen)(void*, int, int);
  int (*accept)(void*, int, struct sockaddr*, socklen_t*);
  int (*connect)(void*, int, const struct sockaddr*, socklen_t);
  ssize_t (*read)(void*, int, void*, size_t);
  ssize_t (*readv)(void*, int, const struct iovec*, int);
  ssize_t (*recv)(void*, int, void*, size_t, int);
  ssize_t (*recvfrom)(void*, int, void*, size_t, int, struct sockaddr*, socklen_t*);
  ssize_t (*recvmsg)(void*, int, struct msghdr*, int);
  ssize_t (*write)(void*, int, const void*, size_t);
  ssize_t (*writev)(void*, int, const struct iovec*, int);
  ssize_t (*send)(void*, int, const void*, size_t, int);
  ssize_t (*sendto)(void*, int, const void*, size_t, int, const struct sockaddr*, socklen_t);
  ssize_t (*sendmsg)(void*, int, const struct msghdr*, int);
  int (*fcntl)(void*, int, int, ...);
  int (*ioctl)(void*, int, unsigned long, ...);
  int (*close)(void*, int);
  int (*shutdown)(void*, int, int);
  int (*getsockopt)(void*, int, int, int, void*, socklen_t*);
  int (*setsockopt)(void*, int, int, int, const void*, socklen_t);
  int (*poll)(void*, struct pollfd*, nfds_t, int);
  int (*send_packet)(void*, const void*, size_t);            // towards the stack
  int (*receive_packet)(void*, void*, size_t*, long long*);  // the next that leaves it, and when; waits for it
  int (*usleep)(void*, useconds_t);
  int (*gettimeofday)(void*, struct timeval*, struct timezone*);
  int (*epoll_create)(void*, int);
  int (*epoll_ctl)(void*, int, int, int, struct epoll_event*);
  int (*epoll_wait)(void*, int, struct epoll_event*, int, int);
  int (*pipe)(void*, int[2]);  // ENOSYS, and so is splice
  int (*splice)(void*, int, int64_t*, int, int64_t*, size_t, unsigned);
};
// `flags` are tcp_shim_new's options; where they do not say otherwise spin_us is 1, because the runner spins on the
// clock for its last microseconds, and tso is 2: its scripts expect what a Linux with TSO sends, and it puts frames
// together again itself. receive_packet waits up to 600 s of the endpoint's time, then tells a size of 0.
// Ends the process with a message when the options are wrong: the runner takes no answer.
void packetdrill_interface_init(const char* flags, struct tcp_shim_calls* calls);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
