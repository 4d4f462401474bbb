// shim.h - what a tcp_shim handle points to: stack, wire, clock and descriptors of one endpoint. Private to
// tests/support/tcp_shim; tcp_shim.h is the face. The files beside it hold its members by subject.
#pragma once

#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "dataplane/packet/buffers.h"
#include "tests/support/tcp_shim/socket.h"
#include "tests/support/tcp_wire.h"

struct sockaddr;

namespace sluice::shim {

using test::Bytes;

// The text given to tcp_shim_new; defaults as tcp_shim.h tells.
struct Options {
  std::vector<IpAddress> local;
  std::uint16_t mtu = 1500;
  std::uint64_t seed = 1;
  Nanos start{1'000'000'000'000}, spin{}, grace{5'000'000};
  bool advance = false;  // blocking=advance
  int first_fd = 1024;
  std::uint16_t port_low = 32768, port_high = 60999;
  bool timestamps = true, sack = true, window_scaling = true, no_delay = false;
  int rcvbuf = 131072, sndbuf = 524288, rcvbuf_max = 6291456;
  bool rcvbuf_fixed = false;  // said: windows do not grow beyond it
  tcp::Ecn ecn = tcp::Ecn::accept;
  std::uint8_t quick_acks = 16;
  bool idle_restart = true, pacing = false, mtu_probing = false;
  std::uint32_t challenge_acks = 10'000;
  tcp::SynCookies syn_cookies = tcp::SynCookies::under_pressure;
  std::uint16_t initial_window = 10;
  int syn_retries = 6, synack_retries = 5;
  Nanos user_timeout{924'600'000'000}, fin_timeout{60'000'000'000}, time_wait{60'000'000'000};
  Nanos delayed_ack{40'000'000}, rto_min{200'000'000};
  int somaxconn = 4096;
  enum class Tso : std::uint8_t { off, whole, cut } tso = Tso::off;
  unsigned buffers = 4096;
};
// False: an unknown key or a value that cannot be.
bool parse_options(const char* text, Options& out);

class Shim;

// One call of the face, from its first line to its last: holds the mutex, except while it sleeps, and lets the sleepers
// look again when it has changed something.
class Call {
 public:
  explicit Call(Shim& shim);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // Sleeps until something changed. 0, or why not: ETIMEDOUT at the deadline, EDEADLK (blocking=advance, no timer
  // left).
  int sleep(Nanos deadline);
  void wake();  // every sleeper; returns when each has returned or sleeps again

 private:
  void looked();
  void let_go();

  Shim& shim_;
  std::unique_lock<std::mutex> lock_;
  bool has_slept_ = false, awake_ = false;  // awake: was woken, and somebody waits for it to return or to sleep again
};

// Where the stack's segments go: to the queue of what left, or round to our own input.
class Wire final : public tcp::Egress {
 public:
  explicit Wire(Shim& shim) : shim_(shim) {}
  tcp::Path path(const IpAddress& local, const IpAddress& remote, tcp::PathCache& cache) override;
  void send(Packet packet, const IpAddress& local, const IpAddress& remote, tcp::PathCache& cache, Nanos now) override;

 private:
  Shim& shim_;
};

struct Sent {
  Bytes packet;
  Nanos at;
};

using FilePtr = std::shared_ptr<File>;
using SocketPtr = std::shared_ptr<Socket>;
using EpollPtr = std::shared_ptr<Epoll>;

class Shim {
 public:
  explicit Shim(const Options& options);
  ~Shim();
  Shim(const Shim&) = delete;
  Shim& operator=(const Shim&) = delete;
  bool ok() const { return buffers.ok(); }

  // ---- shim.cc: what happens to connections
  void pump();     // sends, loops back and reports until nothing is left to do now
  void changed();  // pump(), and the sleepers are to look again when the call is over
  void on_event(const tcp::Event& event);
  void end(Socket& s, int error);  // TCP is done with it
  // Of SYNs; the face of l4/tcp/listening.h.
  std::optional<tcp::ListenerId> find(const IpAddress& destination, std::uint16_t port, PortId) const;
  tcp::SettingsId settings(tcp::ListenerId id) const;
  bool full(tcp::ListenerId id) const;
  SocketPtr by_serial(std::uint64_t serial) const;
  tcp::Info info(const Socket& s) const;
  std::uint32_t readable(const Socket& s) const;  // bytes

  // ---- time.cc: the clock and those who sleep
  void advance(Call& call, Nanos to);
  Nanos next_timer();
  // Moves on to the next time at which something is due, `limit` at most. False: nothing is due by then.
  bool step(Call& call, Nanos limit);

  // ---- descriptors.cc
  int add(FilePtr file);
  FilePtr file(int fd) const;
  SocketPtr socket(int fd) const;  // nullptr, and errno EBADF or ENOTSOCK
  EpollPtr epoll(int fd) const;
  FilePtr take(int fd);

  // ---- socket.cc and connect.cc
  int bind(Socket& s, const sockaddr* address, socklen_t size);
  int listen(Socket& s, int backlog);
  bool autobind(Socket& s);
  bool conflicts(const Socket& s, const Endpoint& wanted) const;
  bool ours(const IpAddress& address) const;
  int connect(Call& call, Socket& s, const sockaddr* address, socklen_t size);
  int start_connect(Socket& s, const Endpoint& to);
  void disconnect(Socket& s);
  void stop_listening(Socket& s);
  void close(Call& call, SocketPtr s);
  void forget(Socket& s);         // no descriptor and no connection: its number is free
  void apply_options(Socket& s);  // hands what setsockopt set to the stack
  void push(Socket& s);           // what a cork holds goes, this once

  // ---- send.cc, receive.cc
  ssize_t send(Call& call, Socket& s, const iovec* from, std::size_t count, int flags);
  ssize_t receive(Call& call, Socket& s, const iovec* to, std::size_t count, int flags);
  std::uint32_t send_room(const Socket& s) const;  // bytes that a write may add before it pushes
  std::uint32_t waiting(const Socket& s) const;    // bytes behind a MSG_EOR that the stack does not have
  std::uint32_t unsent(const Socket& s) const;     // bytes, with those
  std::uint32_t send_queue(const Socket& s) const;
  void queue(Socket& s, Chain bytes);
  bool feed(Socket& s);                  // the next piece, when the one before has left
  void feed_all(Socket& s);              // all of them: their borders are lost
  void grow_sndbuf(Socket& s);           // with the congestion window, where nobody said a size
  bool writable(const Socket& s) const;  // as poll sees it: a third of the room is free

  // ---- watch.cc
  std::uint32_t events_of(Socket& s) const;  // EPOLL bits, as tcp_poll of Linux tells them

  // ---- wire.cc
  std::uint16_t path_to(const IpAddress& remote) const;  // the MTU of the way there
  int inject(const std::uint8_t* packet, std::size_t size);
  void input(const Bytes& packet);
  void input_icmp(Packet frame);
  void count(const Bytes& packet, bool out, std::size_t piece = 0);  // piece: payload of each frame of a large one
  void clock(Socket& s) const;                                       // what holds its data back now

  Options options;
  mutable std::mutex mutex;
  Counters counters;
  Buffers buffers;
  Wire wire{*this};
  std::optional<tcp::Stack> stack;
  Nanos now;
  std::deque<Sent> sent;       // left, not taken by tcp_shim_next
  std::deque<Bytes> looping;   // on their way to ourselves
  std::size_t payload_in = 0;  // of the segment that came in last
  std::uint64_t packets_out = 0, dropped = 0;
  std::vector<FilePtr> files;                  // by descriptor, from options.first_fd on
  std::map<std::uint64_t, SocketPtr> sockets;  // all that the stack or a descriptor knows, by serial
  std::uint32_t last_serial = 0, port_cursor = 0;

  struct Sleeper {
    Nanos deadline;
    bool woken = false;
  };
  std::vector<Sleeper*> sleepers;
  std::vector<std::thread::id> returned;  // of calls that had slept, until they call again
  unsigned looking = 0;                   // woken, and neither back at sleep nor returned
  bool dirty = false;                     // the sleepers are to look again
  std::condition_variable something_changed, all_looked;
};

int error_of(tcp::Unreachable why, bool v4);
// Between sockaddr and Endpoint. read_address: 0, or an errno value.
int read_address(const sockaddr* address, socklen_t size, int domain, Endpoint& out);
void write_address(const Endpoint& endpoint, int domain, sockaddr* address, socklen_t* size);
// Starts EAL, once in a process. False: it does not start.
bool start_packet_memory();

inline int fail(int number) {
  errno = number;
  return -1;
}
inline Nanos of_timeval(const timeval& t) { return Nanos{t.tv_sec * 1'000'000'000 + t.tv_usec * 1000}; }
// The deadline of a call on a socket: now when it must not block, never() without a time limit.
Nanos deadline_of(const Shim& shim, const Socket& s, const timeval& limit, int flags);

}  // namespace sluice::shim

struct tcp_shim {
  std::unique_ptr<sluice::shim::Shim> shim;
};
