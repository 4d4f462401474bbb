#include "crypto/tls/session.h"

#include "crypto/tls/session_state.h"

namespace sluice::tls {

namespace {
// An inline line needs one job: it is served as soon as it is submitted.
constexpr unsigned inline_depth = 1;
constexpr Nanos pause_between_flights{1'000'000'000};
constexpr std::uint32_t bulk_after = 16384;  // bytes of a flight in small records, about an initial window
}  // namespace

Sessions::State::State(const SessionsConfig& config, unsigned thread, Engine& engine, Buffers& buffers,
                       Counters& counters)
    : config(config),
      engine(engine),
      buffers(buffers),
      counters(counters),
      keys(engine, config.hot_keys * 2),
      pool(config.sessions),
      handshakes(config.handshakes),
      inline_line(thread, inline_depth, config.patience),
      finished(new SessionId[config.sessions + 1]) {
  queues.push_back(std::make_unique<Queue>(&inline_line, config.sessions));
}

Sessions::Sessions(const SessionsConfig& config, unsigned thread, Engine& engine, Buffers& buffers, Counters& counters)
    : state_(std::make_unique<State>(config, thread, engine, buffers, counters)) {}
Sessions::~Sessions() = default;

void Sessions::use_helpers(std::span<HandshakeLine* const> lines) {
  CHECK(!lines.empty() && state_->pool.size() == 0);
  state_->queues.clear();
  for (HandshakeLine* line : lines)
    state_->queues.push_back(std::make_unique<State::Queue>(line, state_->config.sessions));
  state_->runs_inline = false;
}

SessionId Sessions::accept(const ServerContext& context, Nanos now) {
  Session* session = state_->pool.make();
  if (!session) {
    state_->counters.add(Counter::tls_sessions_refused);
    return {};
  }
  session->context = context.inner();
  session->last_sent = now;
  state_->counters.add(Counter::tls_sessions);
  return state_->pool.handle(session);
}

SessionId Sessions::install(const Established& established) {
  Session* session = state_->pool.make();
  if (!session) {
    state_->counters.add(Counter::tls_sessions_refused);
    return {};
  }
  if (!state_->start(*session, established)) {
    state_->pool.free(session);
    return {};
  }
  state_->counters.add(Counter::tls_sessions);
  return state_->pool.handle(session);
}

Progress Sessions::receive(SessionId id, Chain& ciphertext, Chain& plaintext, Chain& wire, Nanos now) {
  Session* session = state_->pool.find(id);
  if (!session || session->phase == Session::Phase::dead) ciphertext.clear();
  if (!session) return Progress::error;
  session->pending.append(std::move(ciphertext));
  if (session->phase != Session::Phase::open) return state_->handshake(*session, wire, now);
  wire.append(std::move(session->outgoing));
  const Progress progress = state_->open(*session, plaintext, wire, now);
  if (session->announced || progress == Progress::error || progress == Progress::no_buffers) return progress;
  session->announced = true;
  return Progress::established;
}

bool Sessions::send(SessionId id, Chain& plaintext, Chain& wire, Nanos now) {
  Session* session = state_->pool.find(id);
  if (!session || session->phase == Session::Phase::dead || session->close_sent) {
    plaintext.clear();
    return true;
  }
  if (session->phase != Session::Phase::open) return false;
  wire.append(std::move(session->outgoing));
  if (now - session->last_sent > pause_between_flights) session->flight = 0;
  session->last_sent = now;
  while (!plaintext.empty()) {
    if (!state_->update_keys(*session, wire)) return false;
    const std::uint32_t n = record_payload(plaintext, session->flight >= bulk_after);
    const Cipher cipher = state_->cipher(*session, session->writing);
    if (!seal_record(cipher, session->writing, ContentType::application_data, n, plaintext, wire)) return false;
    session->flight += n;
  }
  return true;
}

void Sessions::close(SessionId id, Chain& wire) {
  Session* session = state_->pool.find(id);
  if (!session || session->phase != Session::Phase::open || session->close_sent) return;
  wire.append(std::move(session->outgoing));
  const std::uint8_t close_notify[] = {1, static_cast<std::uint8_t>(Alert::close_notify)};
  // Without a buffer the peer sees TCP's end alone: as good as an answer under such a shortage.
  state_->send_message(*session, ContentType::alert, close_notify, wire);
  session->close_sent = true;
}

void Sessions::free(SessionId id) {
  Session* session = state_->pool.find(id);
  if (!session) return;
  state_->drop_handshake(*session);
  state_->bury(*session);
  state_->pool.free(session);
  state_->counters.sub(Counter::tls_sessions);
}

bool Sessions::is_established(SessionId id) const {
  const Session* session = state_->pool.find(id);
  return session && session->phase == Session::Phase::open;
}

SessionInfo Sessions::info(SessionId id) const {
  const Session* session = state_->pool.find(id);
  if (!session) return {};
  return {session->role, session->suite ? session->suite->suite : Suite::none, session->resumed,
          session->protocol.view(), session->name.view()};
}

Failure Sessions::failure(SessionId id) const {
  const Session* session = state_->pool.find(id);
  return session ? session->failure : Failure::none;
}

std::uint32_t Sessions::held(SessionId id) const {
  const Session* session = state_->pool.find(id);
  return session ? session->pending.size() : 0;
}

void Sessions::request_key_update(SessionId id) {
  if (Session* session = state_->pool.find(id)) session->ask_key_update = true;
}

std::uint32_t Sessions::size() const { return state_->pool.size(); }
std::uint32_t Sessions::capacity() const { return state_->pool.capacity(); }

}  // namespace sluice::tls
