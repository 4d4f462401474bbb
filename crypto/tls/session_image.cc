// The image of an established session: versioned, big-endian, without pointers, so that another process can go on with
// it.
//   u32 magic, u16 version, u16 suite, u8 role, u8 flags, u8 message size, 5 bytes of message, u32 skip
//   twice (reading, writing): u8 size, secret, u64 sequence
//   u8 size, protocol; u8 size, name; u32 size, ciphertext that is not opened yet
#include <algorithm>

#include "crypto/tls/session_state.h"

namespace sluice::tls {

namespace {
constexpr std::uint32_t magic = 0x534c5453;  // "SLTS"
constexpr std::uint16_t version = 1;
enum Flag : std::uint8_t {
  resumed = 1,
  close_sent = 2,
  close_received = 4,
  answer_key_update = 8,
  ask_key_update = 16,
  announced = 32
};

std::uint8_t flags_of(const Session& s) {
  return static_cast<std::uint8_t>((s.resumed ? resumed : 0) | (s.close_sent ? close_sent : 0) |
                                   (s.close_received ? close_received : 0) |
                                   (s.answer_key_update ? answer_key_update : 0) |
                                   (s.ask_key_update ? ask_key_update : 0) | (s.announced ? announced : 0));
}

ByteView prefixed(Reader& in) { return in.view(in.u8()); }
}  // namespace

std::size_t Sessions::image_size(SessionId id) const {
  const Session* session = state_->pool.find(id);
  if (!session || session->phase != Session::Phase::open || !session->outgoing.empty()) return 0;
  std::size_t size = 4 + 2 + 2 + 1 + 1 + 1 + session->message.size() + 4;
  for (const Direction* direction : {&session->reading, &session->writing}) size += 1 + direction->secret.size() + 8;
  return size + 1 + session->protocol.size + 1 + session->name.size + 4 + session->pending.size();
}

std::size_t Sessions::export_image(SessionId id, MutableBytes out) const {
  const std::size_t size = image_size(id);
  if (size == 0 || out.size() < size) return 0;
  const Session& session = *state_->pool.find(id);
  Writer writer{out.first(size - session.pending.size())};
  writer.u32(magic);
  writer.u16(version);
  writer.u16(static_cast<std::uint16_t>(session.suite->suite));
  writer.u8(static_cast<std::uint8_t>(session.role));
  writer.u8(flags_of(session));
  writer.u8(session.message_size);
  writer.put(session.message);
  writer.u32(session.skip);
  for (const Direction* direction : {&session.reading, &session.writing}) {
    writer.u8(static_cast<std::uint8_t>(direction->secret.size()));
    writer.put(direction->secret.view());
    writer.u64(direction->sequence);
  }
  writer.u8(session.protocol.size);
  writer.put(session.protocol.view());
  writer.u8(session.name.size);
  writer.put(session.name.view());
  writer.u32(session.pending.size());
  CHECK(writer.ok() && writer.size() + session.pending.size() == size);
  session.pending.peek(0, out.subspan(writer.size(), session.pending.size()));
  return size;
}

SessionId Sessions::import_image(ByteView image) {
  Reader in{image};
  if (in.u32() != magic || in.u16() != version) return {};
  Established established;
  established.suite = static_cast<Suite>(in.u16());
  const std::uint8_t role = in.u8(), flags = in.u8(), message_size = in.u8();
  const ByteView message = in.view(5);
  const std::uint32_t skip = in.u32();
  established.role = static_cast<Role>(role);
  const bool server = established.role == Role::server;
  for (const bool reading : {true, false}) {
    const ByteView secret = prefixed(in);
    const std::uint64_t sequence = in.u64();
    if (secret.size() > max_hash_size) return {};
    (reading == server ? established.client_secret : established.server_secret).assign(secret);
    (reading == server ? established.client_sequence : established.server_sequence) = sequence;
  }
  const ByteView protocol = prefixed(in), name = prefixed(in);
  const ByteView pending = in.view(in.u32());
  if (!in.done() || role > 1 || message_size > 4 || protocol.size() > established.protocol.text.size()) return {};
  established.resumed = flags & resumed;
  established.protocol.size = static_cast<std::uint8_t>(protocol.size());
  std::ranges::copy(text(protocol), established.protocol.text.begin());
  established.name.size = static_cast<std::uint8_t>(name.size());
  std::ranges::copy(text(name), established.name.text.begin());

  Chain bytes;
  if (!bytes.append_bytes(pending, state_->buffers)) return {};
  const SessionId id = install(established);
  Session* session = state_->pool.find(id);
  if (!session) return {};
  session->pending = std::move(bytes);
  session->close_sent = flags & close_sent;
  session->close_received = flags & close_received;
  session->answer_key_update = flags & answer_key_update;
  session->ask_key_update = flags & ask_key_update;
  session->announced = flags & announced;
  session->message_size = message_size;
  std::ranges::copy(message, session->message.begin());
  session->skip = skip;
  return id;
}

}  // namespace sluice::tls
