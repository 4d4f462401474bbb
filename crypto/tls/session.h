// session.h - TLS connections of one worker: ciphertext in, plaintext out, and back (RFC 8446, server role).
// A session is plain data in a fixed pool: no SSL object once the handshake is over, and no expanded key while idle.
// Records are sealed and opened segment by segment, in place where we are a segment's sole owner, else into fresh
// buffers straight from the shared source. Alerts, close_notify, KeyUpdate (both ways, and forced before the AEAD's
// limit) and record sizes (one segment at the start of a flight, 16 KiB in bulk) are handled here. No 0-RTT, no
// TLS 1.2, no client role yet. Owner: one worker. Nothing here calls up: l7 asks and is answered.
#pragma once

#include <memory>
#include <span>

#include "crypto/engine.h"
#include "crypto/tls/handshake.h"
#include "dataplane/base/pool.h"
#include "dataplane/packet/chain.h"

namespace sluice::tls {

struct Session;
using SessionId = Handle<Session>;

// What receive() found, the weightiest first come; plaintext may have come with any of them.
enum class Progress : std::uint8_t {
  need_more,    // nothing new for the layer above
  handshaking,  // bytes went to a job, or its answer is in `wire`
  established,  // once: the handshake is over; info() is valid, plaintext may already be there
  data,         // plaintext was appended
  closed,       // the peer's close_notify: no more plaintext will come; send() still works until close()
  error,        // the connection is dead; the alert for the peer, if one is due, is in `wire`: send it, then close TCP
  no_buffers,   // a whole record waits inside and no buffer was free: call receive() again later
};

struct SessionsConfig {
  std::uint32_t sessions = 1024;          // connections at a time
  std::uint32_t hot_keys = 1024;          // pairs of expanded keys (2 kB each) kept for the busiest of them
  std::uint32_t handshakes = 256;         // handshakes at a time: each holds an SSL object
  std::uint32_t handshakes_per_turn = 2;  // inline jobs a call of take_finished_jobs() runs
  Nanos patience{10'000'000'000};         // a job older than this is not worth running
  std::uint64_t rekey_after = std::uint64_t{1} << 24;  // records under one key; the limit of AES-GCM is 2^24.5 (5.5)
};

struct SessionInfo {
  Role role = Role::server;
  Suite suite = Suite::none;
  bool resumed = false;
  std::string_view protocol;  // ALPN, empty: none. Views live as long as the session
  std::string_view name;      // SNI, empty: none
};

class Sessions {
 public:
  // `thread` is the index in Libraries that inline handshakes of this worker use.
  Sessions(const SessionsConfig& config, unsigned thread, Engine& engine, Buffers& buffers, Counters& counters);
  ~Sessions();
  Sessions(const Sessions&) = delete;
  Sessions& operator=(const Sessions&) = delete;

  // From now on handshakes run on these lines (helper threads), not inline. At start, before the first accept().
  void use_helpers(std::span<HandshakeLine* const> lines);

  // A new connection that is about to shake hands. None when the pool is full (counted). An OpenSSL object is made for
  // it only once its ClientHello is there; too many of those at a time: Failure::overloaded.
  SessionId accept(const ServerContext& context, Nanos now);
  // A connection whose handshake took place elsewhere: a scripted one, or another process's.
  SessionId install(const Established& established);

  // Takes all of `ciphertext` (what is no whole record yet waits inside: held()). Appends to `plaintext` and `wire`.
  // Both may be non-empty after any answer. Call it again with an empty chain after take_finished_jobs() named the
  // session.
  Progress receive(SessionId id, Chain& ciphertext, Chain& plaintext, Chain& wire, Nanos now);
  // Seals all of `plaintext` onto `wire`. False when buffers ran out or the handshake is not over: what is left stays
  // in `plaintext`, call again. On a dead or closed session the bytes are dropped and the answer is true.
  bool send(SessionId id, Chain& plaintext, Chain& wire, Nanos now);
  // close_notify onto `wire`, once; nothing can be sent afterwards, receiving goes on.
  void close(SessionId id, Chain& wire);
  // Forgets the connection and wipes its secrets. A job under way is dropped when it comes back.
  void free(SessionId id);
  // Runs inline jobs or takes those that helper threads finished. The sessions that moved on: call receive() for each.
  // Valid until the next call.
  std::span<const SessionId> take_finished_jobs(Nanos now);
  // Whether jobs wait to be run inline: a worker that has such is not idle.
  bool jobs_waiting() const;

  bool is_established(SessionId id) const;
  SessionInfo info(SessionId id) const;
  // Why a session that answered Progress::error during its handshake failed.
  Failure failure(SessionId id) const;
  // Ciphertext that waits inside, in bytes: less than one record, but for a handshake that is under way.
  std::uint32_t held(SessionId id) const;
  // Makes the next record carry a KeyUpdate that asks the peer for one as well.
  void request_key_update(SessionId id);

  // The versioned, pointer-free image of an established session, with the bytes that it holds. Returns its size, or 0
  // when the session is not established (or `out` is too small: image_size() tells).
  std::size_t image_size(SessionId id) const;
  std::size_t export_image(SessionId id, MutableBytes out) const;
  // A session from an image; none when the image is not ours, is damaged, or nothing is free.
  SessionId import_image(ByteView image);

  std::uint32_t size() const;
  std::uint32_t capacity() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sluice::tls
