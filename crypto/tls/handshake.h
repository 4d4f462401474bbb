// handshake.h - TLS 1.3 handshakes as jobs: submit bytes, later take bytes and a result.
// The engine behind it is OpenSSL over a memory BIO that is fed whole records, one at a time, so that nothing hides
// inside it; when it is done, the secrets, suite, ALPN and name come out and the SSL object is freed at once. A job
// runs where HandshakeLine::serve() is called: on a helper thread, or inline by the worker itself. Only OpenSSL's own
// allocations happen in a worker's turn, under a GuardPause. Jobs older than the client's patience are dropped unrun.
#pragma once

#include <array>
#include <memory>
#include <span>

#include "crypto/aead.h"
#include "crypto/secret.h"
#include "crypto/tls/server_context.h"
#include "dataplane/base/counters.h"
#include "dataplane/base/ring.h"
#include "dataplane/base/units.h"

struct ssl_st;

namespace sluice::tls {

enum class Role : std::uint8_t { server, client };

// Why a handshake did not succeed; each has a counter (tls_failed_<name>).
enum class Failure : std::uint8_t {
  none,
  protocol_version,  // the client speaks nothing that we allow
  no_shared_offer,   // no suite, group or signature algorithm in common
  unknown_name,      // SNI that no certificate covers, and no fallback
  no_protocol,       // ALPN: nothing in common
  malformed,         // what came is not a handshake, or breaks its rules
  refused,           // the peer sent an alert
  abandoned,         // older than the client's patience
  overloaded,        // too many handshakes at a time
  internal,          // ours: out of memory, output too long
};

// The largest record that a peer may send before and during a handshake (RFC 8446 5.2), with its header.
inline constexpr std::size_t record_header_size = 5;
inline constexpr std::size_t max_plaintext = 16384;
inline constexpr std::size_t max_ciphertext = max_plaintext + 256;
inline constexpr std::size_t max_record_size = record_header_size + max_ciphertext;

// A protocol name of ALPN, in place.
struct ProtocolName {
  std::array<char, 15> text{};
  std::uint8_t size = 0;
  std::string_view view() const { return {text.data(), size}; }
};
// A host name of SNI, lower case, in place.
struct HostName {
  std::array<char, 255> text{};
  std::uint8_t size = 0;
  std::string_view view() const { return {text.data(), size}; }
};

// All that outlives a handshake. Also what a test installs to have a session without one (Sessions::install).
struct Established {
  Role role = Role::server;
  Suite suite = Suite::none;
  Secret<max_hash_size> client_secret, server_secret;  // application traffic secrets 0
  std::uint64_t client_sequence = 0;                   // records that the client has sealed with its secret so far
  std::uint64_t server_sequence = 0;                   // the server's: tickets come first
  bool resumed = false;
  ProtocolName protocol;  // empty: no ALPN
  HostName name;          // empty: no SNI
};

// What one step of a handshake wants to send. A certificate chain that does not fit is an internal failure.
struct HandshakeOutput {
  std::array<std::uint8_t, 32768> bytes;
  std::uint32_t size = 0;
  ByteView view() const { return {bytes.data(), size}; }
};

// One handshake, server side. Not thread-safe, but not bound to a thread: between steps it may move.
class Handshake {
 public:
  Handshake(std::shared_ptr<const ServerContext::Inner> context, unsigned thread);
  ~Handshake();
  Handshake(const Handshake&) = delete;
  Handshake& operator=(const Handshake&) = delete;

  enum class Step : std::uint8_t { more, done, failed };
  // Feeds whole records from the front of `in` until the handshake is over; `consumed` says how many bytes they were
  // (what follows belongs to the record layer). Appends to `out`, also on failure: the alert.
  Step step(ByteView in, std::size_t& consumed, HandshakeOutput& out);
  const Established& result() const { return result_; }  // after done
  Failure failure() const { return failure_; }           // after failed
  bool holds_ssl() const { return ssl_ != nullptr; }
  unsigned thread() const { return thread_; }
  bool counted = false;  // the owner's: whether its gauge of SSL objects counts this one

 private:
  friend struct HandshakeCallbacks;
  bool start();
  Step finish(ByteView last_flight);
  Step fail(Failure failure);
  Failure reason() const;
  void release();

  std::shared_ptr<const ServerContext::Inner> context_;
  unsigned thread_;
  ssl_st* ssl_ = nullptr;
  ByteView input_;                     // what the BIO may still read
  HandshakeOutput* output_ = nullptr;  // where the BIO writes
  Failure failure_ = Failure::none;
  Established result_;
};

// A step of a handshake on its way to who runs it and back.
struct HandshakeJob {
  std::uint64_t session = 0;  // bits of the SessionId
  Handshake* handshake = nullptr;
  Nanos submitted;
  Handshake::Step result = Handshake::Step::more;
  bool dropped = false;  // too old: not run
  std::uint32_t in_size = 0;
  std::size_t consumed = 0;
  std::array<std::uint8_t, max_record_size> in;
  HandshakeOutput out;
};

// The line between one worker, which submits and takes, and the one thread that serves. `thread` is the index in
// Libraries of who serves it. The jobs' memory is the line's: a line without a free job is an outcome (make() gives
// nullptr).
class HandshakeLine {
 public:
  HandshakeLine(unsigned thread, unsigned depth, Nanos patience);
  ~HandshakeLine();

  unsigned thread() const { return thread_; }
  // The worker's side.
  HandshakeJob* make();
  void submit(HandshakeJob* job);
  HandshakeJob* take();  // a job that was served, or nullptr; give it back with free()
  void free(HandshakeJob* job);
  // The serving side: runs one job. False when there is none.
  bool serve(Nanos now);

 private:
  unsigned thread_;
  Nanos patience_;
  SpscRing<HandshakeJob*> there_, back_;
  std::unique_ptr<HandshakeJob[]> jobs_;
  std::unique_ptr<HandshakeJob*[]> free_;
  unsigned free_count_;
};

}  // namespace sluice::tls
