// The handshake's half of a session: bytes to jobs, results back.
#include "crypto/tls/session_state.h"
#include "dataplane/base/guard.h"

namespace sluice::tls {

namespace {

// All whole records that fit a job; a header that no record can have, alone, so that the handshake answers it.
std::uint32_t ready_bytes(const Chain& pending) {
  std::uint32_t bytes = 0;
  while (pending.size() - bytes >= record_header_size) {
    std::array<std::uint8_t, record_header_size> header;
    pending.peek(bytes, header);
    const std::uint32_t size = header[3] << 8 | header[4];
    if (header[0] < 20 || header[0] > 23 || size > max_ciphertext)
      return bytes ? bytes : static_cast<std::uint32_t>(record_header_size);
    const std::uint32_t total = record_header_size + size;
    if (pending.size() - bytes < total || bytes + total > max_record_size) break;
    bytes += total;
  }
  return bytes;
}

Counter counter_of(Failure failure) {
  switch (failure) {
    case Failure::protocol_version: return Counter::tls_failed_protocol_version;
    case Failure::no_shared_offer: return Counter::tls_failed_no_shared_offer;
    case Failure::unknown_name: return Counter::tls_failed_unknown_name;
    case Failure::no_protocol: return Counter::tls_failed_no_protocol;
    case Failure::malformed: return Counter::tls_failed_malformed;
    case Failure::refused: return Counter::tls_failed_refused;
    case Failure::abandoned: return Counter::tls_failed_abandoned;
    case Failure::overloaded: return Counter::tls_failed_overloaded;
    case Failure::none:
    case Failure::internal: break;
  }
  return Counter::tls_failed_internal;
}

}  // namespace

Progress Sessions::State::handshake(Session& session, Chain& wire, Nanos now) {
  const bool answered = !session.outgoing.empty();
  wire.append(std::move(session.outgoing));
  if (session.phase == Session::Phase::dead) return Progress::error;
  if (!session.queued && ready_bytes(session.pending) && !enqueue(session, now)) {
    fail(session, Failure::overloaded);
    return Progress::error;
  }
  return session.queued || answered ? Progress::handshaking : Progress::need_more;
}

void Sessions::State::fail(Session& session, Failure failure) {
  session.failure = failure;
  session.phase = Session::Phase::dead;
  session.pending.clear();
  drop_handshake(session);
  counters.add(Counter::tls_handshakes_failed);
  counters.add(counter_of(failure));
}

bool Sessions::State::enqueue(Session& session, Nanos now) {
  if (!session.handshake) {
    session.line = next_line++ % queues.size();
    Handshake* handshake = handshakes.make(std::move(session.context), queues[session.line]->line->thread());
    if (!handshake) return false;
    session.handshake = handshakes.handle(handshake);
  }
  session.queued = queues[session.line]->waiting.push(pool.handle(&session).bits());
  session.queued_at = now;
  return session.queued;
}

// Turns the first session that waits into a job. False when none waits, or no job is free.
bool Sessions::State::dispatch(Queue& queue) {
  if (queue.waiting.size() == 0) return false;
  HandshakeJob* job = queue.line->make();
  if (!job) return false;
  std::uint64_t bits;
  while (queue.waiting.pop(bits)) {
    Session* session = pool.find(SessionId::from_bits(bits));
    if (!session || session->phase != Session::Phase::handshaking) continue;
    job->session = bits;
    job->handshake = handshakes.find(session->handshake);
    job->submitted = session->queued_at;
    job->in_size = ready_bytes(session->pending);
    session->pending.peek(0, MutableBytes{job->in}.first(job->in_size));
    session->job_out = true;
    queue.line->submit(job);
    return true;
  }
  queue.line->free(job);
  return false;
}

// Takes one job that was served. False when there is none.
bool Sessions::State::collect(Queue& queue) {
  HandshakeJob* job = queue.line->take();
  if (!job) return false;
  Handshake* handshake = job->handshake;
  Session* session = pool.find(SessionId::from_bits(job->session));
  if (!session || session->phase != Session::Phase::handshaking) {
    release_handshake(handshake);
    queue.line->free(job);
    return true;
  }
  session->queued = session->job_out = false;
  count_object(*handshake);
  const bool sent = session->outgoing.append_bytes(job->out.view(), buffers);
  session->pending.trim_front(static_cast<std::uint32_t>(job->consumed));
  if (job->result == Handshake::Step::done && sent) {
    finish(*session, handshake->result());
    drop_handshake(*session);
  } else if (job->result != Handshake::Step::more || !sent) {
    fail(*session, job->dropped ? Failure::abandoned : sent ? handshake->failure() : Failure::internal);
  }
  finished[finished_count++] = SessionId::from_bits(job->session);
  queue.line->free(job);
  return true;
}

void Sessions::State::finish(Session& session, const Established& established) {
  if (!start(session, established)) return fail(session, Failure::internal);
  counters.add(Counter::tls_handshakes);
  if (established.resumed) counters.add(Counter::tls_resumptions);
}

// Every session begins to carry records here, however it came to its secrets.
bool Sessions::State::start(Session& session, const Established& established) {
  const SuiteInfo* suite = find_suite(established.suite);
  if (!suite || established.client_secret.size() != hash_size(suite->hash) ||
      established.server_secret.size() != hash_size(suite->hash))
    return false;
  session.suite = suite;
  session.role = established.role;
  session.resumed = established.resumed;
  session.protocol = established.protocol;
  session.name = established.name;
  Direction& client = established.role == Role::server ? session.reading : session.writing;
  Direction& server = established.role == Role::server ? session.writing : session.reading;
  client.start(engine, *suite, established.client_secret.view(), established.client_sequence);
  server.start(engine, *suite, established.server_secret.view(), established.server_sequence);
  session.phase = Session::Phase::open;
  return true;
}

// Gives a handshake back, unless a job is out with it: then collect() does.
void Sessions::State::drop_handshake(Session& session) {
  Handshake* handshake = handshakes.find(session.handshake);
  session.handshake = {};
  if (session.context) {
    GuardPause release;
    session.context.reset();
  }
  if (handshake && !session.job_out) release_handshake(handshake);
}

// The gauge follows what the handshake holds: it is written here alone, by the worker.
void Sessions::State::count_object(Handshake& handshake) {
  if (handshake.holds_ssl() == handshake.counted) return;
  handshake.counted = handshake.holds_ssl();
  if (handshake.counted) counters.add(Counter::tls_ssl_objects);
  else counters.sub(Counter::tls_ssl_objects);
}

void Sessions::State::release_handshake(Handshake* handshake) {
  if (handshake->counted) counters.sub(Counter::tls_ssl_objects);
  handshakes.free(handshake);
}

std::span<const SessionId> Sessions::take_finished_jobs(Nanos now) {
  State& state = *state_;
  state.finished_count = 0;
  for (auto& queue : state.queues) {
    if (state.runs_inline) {
      for (std::uint32_t i = 0; i < state.config.handshakes_per_turn && state.dispatch(*queue); ++i) {
        queue->line->serve(now);
        state.collect(*queue);
      }
    } else {
      while (state.finished_count < state.config.sessions && state.collect(*queue)) {}
      while (state.dispatch(*queue)) {}
    }
  }
  return {state.finished.get(), state.finished_count};
}

bool Sessions::jobs_waiting() const { return state_->runs_inline && state_->queues[0]->waiting.size() > 0; }

}  // namespace sluice::tls
