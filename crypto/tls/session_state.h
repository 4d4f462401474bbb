// session_state.h - what a TLS session is, inside. For the sources of session.h only.
#pragma once

#include "crypto/tls/record.h"
#include "crypto/tls/session.h"

namespace sluice::tls {

struct Session {
  enum class Phase : std::uint8_t { handshaking, open, dead };

  Direction reading, writing;
  Chain pending;   // ciphertext that is not opened yet
  Chain outgoing;  // the handshake's answer, until receive() hands it out
  const SuiteInfo* suite = nullptr;
  Nanos last_sent;
  std::uint32_t flight = 0;  // payload bytes sent since the last pause
  Phase phase = Phase::handshaking;
  Role role = Role::server;
  Failure failure = Failure::none;
  bool announced : 1 = false;  // receive() said "established"
  bool resumed : 1 = false;
  bool queued : 1 = false;   // waits for a job, or is out as one
  bool job_out : 1 = false;  // a job holds the handshake
  bool close_sent : 1 = false;
  bool close_received : 1 = false;
  bool answer_key_update : 1 = false;  // the peer asked for ours
  bool ask_key_update : 1 = false;     // ours is to ask for the peer's
  // A handshake message that came in part (RFC 8446 5.1): KeyUpdate's five bytes, or the head of one to be skipped.
  std::uint8_t message_size = 0;
  std::array<std::uint8_t, 5> message{};
  std::uint32_t skip = 0;
  // While shaking hands.
  std::uint32_t line = 0;
  Handle<Handshake> handshake;
  Nanos queued_at;
  std::shared_ptr<const ServerContext::Inner> context;
  ProtocolName protocol;
  HostName name;
};
static_assert(sizeof(Session) <= 700, "an idle connection's budget");

struct Sessions::State {
  // A line and the sessions that wait for a free job on it.
  struct Queue {
    Queue(HandshakeLine* line, std::uint32_t capacity) : line(line), waiting(capacity) {}
    HandshakeLine* line;
    SpscRing<std::uint64_t> waiting;
  };

  State(const SessionsConfig& config, unsigned thread, Engine& engine, Buffers& buffers, Counters& counters);

  // session_jobs.cc
  Progress handshake(Session& session, Chain& wire, Nanos now);
  void fail(Session& session, Failure failure);
  bool enqueue(Session& session, Nanos now);
  bool dispatch(Queue& queue);
  bool collect(Queue& queue);
  void finish(Session& session, const Established& established);
  bool start(Session& session, const Established& established);
  void drop_handshake(Session& session);
  void count_object(Handshake& handshake);
  void release_handshake(Handshake* handshake);

  // session_records.cc
  Progress open(Session& session, Chain& plaintext, Chain& wire, Nanos now);
  Progress die(Session& session, Chain& wire, Alert alert);
  bool send_message(Session& session, ContentType type, ByteView message, Chain& wire);
  bool update_keys(Session& session, Chain& wire);
  bool take_messages(Session& session, Chain& content, Alert& alert);
  void bury(Session& session);
  Cipher cipher(Session& session, Direction& direction) {
    return {engine, *session.suite, keys.get(session.suite->aead, direction), buffers};
  }

  SessionsConfig config;
  Engine& engine;
  Buffers& buffers;
  Counters& counters;
  KeyCache keys;
  Pool<Session> pool;
  Pool<Handshake> handshakes;
  HandshakeLine inline_line;
  std::vector<std::unique_ptr<Queue>> queues;  // filled at start
  bool runs_inline = true;
  std::uint32_t next_line = 0;
  std::unique_ptr<SessionId[]> finished;
  std::uint32_t finished_count = 0;
};

}  // namespace sluice::tls

// Tested in tests/unit/crypto/tls/session_test.cc, tests/unit/crypto/tls/session_image_test.cc.
