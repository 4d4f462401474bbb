// The record half of a session: content types, alerts, KeyUpdate (RFC 8446 4.6.3, 5, 6).
#include <algorithm>

#include "crypto/tls/session_state.h"

namespace sluice::tls {

namespace {
constexpr std::uint8_t new_session_ticket = 4, key_update = 24;
constexpr std::uint32_t message_head = 4;
}  // namespace

// Opens every whole record that waits. The peer's fault ends in die().
Progress Sessions::State::open(Session& session, Chain& plaintext, Chain& wire, Nanos) {
  const std::uint32_t before = plaintext.size();
  Progress progress = Progress::need_more;
  while (!session.close_received && session.pending.size() >= record_header_size) {
    const RecordHeader header = peek_header(session.pending);
    if (header.type != ContentType::application_data) return die(session, wire, Alert::unexpected_message);
    if (header.size > max_ciphertext) return die(session, wire, Alert::record_overflow);
    if (session.pending.size() < record_header_size + header.size) break;
    Chain content;
    ContentType type;
    const Cipher with = cipher(session, session.reading);
    const Opened opened = open_record(with, session.reading, header.size, session.pending, content, type);
    if (opened == Opened::no_buffers) {
      progress = Progress::no_buffers;
      break;
    }
    if (opened == Opened::bad_record_mac) {
      counters.add(Counter::tls_bad_records);
      return die(session, wire, Alert::bad_record_mac);
    }
    if (opened == Opened::no_content_type) return die(session, wire, Alert::unexpected_message);
    if (content.size() > max_plaintext) return die(session, wire, Alert::record_overflow);

    const bool between_messages = session.message_size == 0 && session.skip == 0;
    if (type == ContentType::application_data && between_messages) {
      plaintext.append(std::move(content));
      continue;
    }
    if (type == ContentType::handshake && !content.empty()) {
      Alert alert;
      if (!take_messages(session, content, alert)) return die(session, wire, alert);
      continue;
    }
    if (type != ContentType::alert || !between_messages) return die(session, wire, Alert::unexpected_message);
    if (content.size() != 2) return die(session, wire, Alert::decode_error);
    std::array<std::uint8_t, 2> alert;
    content.peek(0, alert);
    if (alert[1] == static_cast<std::uint8_t>(Alert::user_canceled)) continue;
    if (alert[1] == static_cast<std::uint8_t>(Alert::close_notify)) {
      session.close_received = true;
      break;
    }
    counters.add(Counter::tls_alerts_received);  // whatever its level says, it is fatal (6.2)
    bury(session);
    return Progress::error;
  }
  // One answer for however many requests (4.6.3); without buffers the next send() gives it.
  if (session.answer_key_update && !session.close_sent) update_keys(session, wire);
  if (session.close_received) {
    session.pending.clear();
    return Progress::closed;
  }
  if (progress == Progress::no_buffers) return progress;
  return plaintext.size() > before ? Progress::data : Progress::need_more;
}

// Handshake messages after the handshake. KeyUpdate must end its record; tickets, which only a client gets, are
// skipped.
bool Sessions::State::take_messages(Session& session, Chain& content, Alert& alert) {
  alert = Alert::unexpected_message;
  while (!content.empty()) {
    if (session.skip) {
      const std::uint32_t n = std::min(session.skip, content.size());
      content.trim_front(n);
      session.skip -= n;
      continue;
    }
    content.peek(0, MutableBytes{session.message}.subspan(session.message_size, 1));
    content.trim_front(1);
    ++session.message_size;
    const std::uint8_t type = session.message[0];
    if (type != key_update && !(type == new_session_ticket && session.role == Role::client)) return false;
    if (session.message_size < message_head) continue;
    const std::uint32_t size = session.message[1] << 16 | session.message[2] << 8 | session.message[3];
    if (type == new_session_ticket) {
      session.skip = size;
      session.message_size = 0;
      continue;
    }
    if (size != 1) {
      alert = Alert::decode_error;
      return false;
    }
    if (session.message_size == message_head) continue;
    session.message_size = 0;
    if (!content.empty()) return false;
    if (session.message[4] > 1) {
      alert = Alert::illegal_parameter;
      return false;
    }
    counters.add(Counter::tls_key_updates_received);
    keys.drop(session.reading);
    session.reading.update(engine, *session.suite);
    if (session.message[4] == 1) session.answer_key_update = true;
  }
  return true;
}

// Sends our KeyUpdate when one is due: the peer asked, we want one, or the key has done its share (5.5).
bool Sessions::State::update_keys(Session& session, Chain& wire) {
  const bool worn = session.writing.sequence >= config.rekey_after;
  if (!session.answer_key_update && !session.ask_key_update && !worn) [[likely]]
    return true;
  const std::uint8_t message[] = {key_update, 0, 0, 1, session.ask_key_update};
  if (!send_message(session, ContentType::handshake, message, wire)) return false;
  counters.add(Counter::tls_key_updates_sent);
  keys.drop(session.writing);
  session.writing.update(engine, *session.suite);
  session.answer_key_update = session.ask_key_update = false;
  return true;
}

bool Sessions::State::send_message(Session& session, ContentType type, ByteView message, Chain& wire) {
  Chain content;
  if (!content.append_bytes(message, buffers)) return false;
  return seal_record(cipher(session, session.writing), session.writing, type,
                     static_cast<std::uint32_t>(message.size()), content, wire);
}

// Our fatal alert, and the end of the connection (6.2).
Progress Sessions::State::die(Session& session, Chain& wire, Alert alert) {
  const std::uint8_t message[] = {2, static_cast<std::uint8_t>(alert)};
  if (!session.close_sent && send_message(session, ContentType::alert, message, wire))
    counters.add(Counter::tls_alerts_sent);
  bury(session);
  return Progress::error;
}

// No more bytes either way; the secrets are wiped.
void Sessions::State::bury(Session& session) {
  keys.drop(session.reading);
  keys.drop(session.writing);
  for (Direction* direction : {&session.reading, &session.writing}) {
    direction->secret.clear();
    direction->key.clear();
  }
  session.pending.clear();
  session.outgoing.clear();
  session.phase = Session::Phase::dead;
}

}  // namespace sluice::tls
