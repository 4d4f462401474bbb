// covers: crypto/tls/record.cc crypto/tls/session_records.cc crypto/tls/session_image.cc crypto/tls/secrets.cc
// Two installed sessions, one in each role, and a wire between them. The input is a sequence of operations: send,
// deliver a part, ask for new keys, move a session into an image and back, close, forge. Asserted: what is received is
// always a prefix of what was sent; without forgery all of it arrives; every buffer comes back.
#include <cstdio>

#include "crypto/tls/session.h"
#include "tests/support/eal_main.h"

namespace sluice::tls {
namespace {

constexpr unsigned data_count = 2048, slice_count = 1024;

struct World {
  World() : engine(std::move(*Engine::open(counters))), sessions(config(), 0, *engine, buffers, counters) {}
  static SessionsConfig config() {
    SessionsConfig config;
    config.sessions = 4;
    config.hot_keys = 1;
    config.handshakes = 1;
    config.rekey_after = 9;
    return config;
  }
  Counters counters;
  Buffers buffers{"fuzz_tls", data_count, slice_count, 0, -1};
  std::unique_ptr<Engine> engine;
  Sessions sessions;
};
World* world;

std::string content(const Chain& chain) {
  std::string out(chain.size(), 0);
  chain.peek(0, {reinterpret_cast<std::uint8_t*>(out.data()), out.size()});
  return out;
}

Chain chain_of(std::string_view in, std::size_t segment) {
  Chain chain;
  while (!in.empty()) {
    Packet packet = world->buffers.make();
    if (!packet) break;
    const std::size_t n = std::min(in.size(), segment);
    std::memcpy(packet.data(), in.data(), n);
    packet.get()->data_len = static_cast<std::uint16_t>(n);
    packet.get()->pkt_len = static_cast<std::uint32_t>(n);
    chain.append(std::move(packet));
    in.remove_prefix(n);
  }
  return chain;
}

struct End {
  SessionId id;
  std::string sent, received, wire;  // wire: on its way to this end
  bool dead = false, closed = false;
};

void deliver(End& to, End& from, std::size_t n, std::size_t segment, bool shared) {
  // A quarter of the buffers at most: what finds none is not part of the promise that all arrives.
  n = std::min({n, to.wire.size(), segment * (data_count / 4)});
  Chain arrived = chain_of(std::string_view{to.wire}.substr(0, n), segment), kept, plaintext, wire;
  to.wire.erase(0, n);
  const std::string before = content(arrived);
  if (shared && !arrived.share(0, arrived.size(), kept, world->buffers)) kept.clear();
  const Progress progress = world->sessions.receive(to.id, arrived, plaintext, wire, Nanos{0});
  CHECK(kept.empty() || content(kept) == before);
  to.dead |= progress == Progress::error;
  to.received += content(plaintext);
  from.wire += content(wire);
}

// Whole: one branch for each operation.
void run(ByteView input) {
  Reader in{input};
  Established secrets;
  secrets.suite = suites[in.u8() % suites.size()].suite;
  const std::size_t size = hash_size(find_suite(secrets.suite)->hash);
  secrets.client_secret.assign(bytes(std::string(size, 'c')));
  secrets.server_secret.assign(bytes(std::string(size, 's')));
  End ends[2];
  ends[0].id = world->sessions.install(secrets);
  secrets.role = Role::client;
  ends[1].id = world->sessions.install(secrets);
  bool forged = false;

  for (int step = 0; step < 200 && in.left(); ++step) {
    const std::uint8_t operation = in.u8();
    End& a = ends[operation & 1];
    End& b = ends[1 - (operation & 1)];
    const std::size_t amount = in.u16(), segment = 1 + in.u8() * 8;
    switch (operation >> 1 & 7) {
      case 0:
      case 1: {
        if (a.sent.size() + amount > 400'000 || a.closed || a.dead) break;
        const std::string text(amount, static_cast<char>(operation ^ step));
        Chain plaintext = chain_of(text, std::max<std::size_t>(segment, 100)), kept, wire;
        if (plaintext.size() != text.size()) break;
        if (operation & 32 && !plaintext.share(0, plaintext.size(), kept, world->buffers)) kept.clear();
        const bool all = world->sessions.send(a.id, plaintext, wire, Nanos{0});
        CHECK(kept.empty() || content(kept) == text);
        a.sent += text.substr(0, text.size() - plaintext.size());
        CHECK(all == plaintext.empty());
        b.wire += content(wire);
        break;
      }
      case 2:
      case 3: deliver(a, b, amount, std::max<std::size_t>(segment, 20), operation & 32); break;
      case 4: world->sessions.request_key_update(a.id); break;
      case 5: {
        std::vector<std::uint8_t> image(world->sessions.image_size(a.id));
        if (world->sessions.export_image(a.id, image) == 0) break;
        if (operation & 64) image[amount % image.size()] ^= static_cast<std::uint8_t>(segment);
        forged |= operation & 64;
        world->sessions.free(a.id);
        a.id = world->sessions.import_image(image);
        a.dead |= !a.id;
        break;
      }
      case 6: {
        Chain wire;
        world->sessions.close(a.id, wire);
        b.wire += content(wire);
        a.closed = true;
        break;
      }
      case 7: {
        // Other bytes on the wire: a flipped one, or some of the input's own.
        forged = true;
        if (operation & 32 && !a.wire.empty()) a.wire[amount % a.wire.size()] ^= static_cast<char>(segment);
        else a.wire += text(in.view(std::min(in.left(), amount % 64)));
        break;
      }
    }
  }
  for (int i = 0; i < 4; ++i) {
    deliver(ends[0], ends[1], ends[0].wire.size(), 1400, false);
    deliver(ends[1], ends[0], ends[1].wire.size(), 1400, false);
  }
  for (int i = 0; i < 2; ++i) {
    const End &from = ends[i], &to = ends[1 - i];
    CHECK(from.sent.starts_with(to.received));
    if (!forged) CHECK(from.sent == to.received && !to.dead);
  }
  for (const End& end : ends) world->sessions.free(end.id);
  CHECK(world->sessions.size() == 0);
  CHECK(world->buffers.data_free() == data_count && world->buffers.slices_free() == slice_count);
}

}  // namespace
}  // namespace sluice::tls

extern "C" int LLVMFuzzerInitialize(int*, char*** argv) {
  if (!sluice::test::start_eal((*argv)[0])) return 1;
  sluice::tls::world = new sluice::tls::World;
  std::atexit([] {
    delete sluice::tls::world;
    sluice::test::stop_eal();
  });
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sluice::tls::run({data, size});
  return 0;
}
