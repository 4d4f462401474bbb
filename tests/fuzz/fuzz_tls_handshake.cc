// covers: crypto/tls/handshake.cc crypto/tls/session_jobs.cc crypto/tls/identity.cc
// A client that sends anything: each input is a stream of bytes, delivered in cuts, to a fresh session under a real
// server context; or a real client (0x80 in the first byte) of which some bytes are flipped on the way; or (0x40) more
// clients than there are handshakes, some gone or too late. Asserted: it ends in "more", an answer or an error; a
// handshake that nobody disturbed is completed and carries data; after free() no SSL object, session or buffer is left;
// names that the table takes are found again.
#include <cstdio>

#include "crypto/tls/identity.h"
#include "crypto/tls/session.h"
#include "tests/support/eal_main.h"
#include "tests/support/tls_peer.h"

namespace sluice::tls {
namespace {

constexpr unsigned data_count = 1024, slice_count = 1024;

struct World {
  World()
      : engine(std::move(*Engine::open(counters))),
        sessions(config(), 0, *engine, buffers, counters),
        context(make()) {}
  static SessionsConfig config() {
    SessionsConfig config;
    config.sessions = 4;
    config.hot_keys = 1;
    config.handshakes = 2;
    return config;
  }
  ServerContext make() {
    keyring.rotate(*TicketKeys::random_key());
    const auto& ec = test::identity_of(test::KeyType::ec);
    ServerConfig config;
    config.named = {{{"*.example.com", "www.example.net"}, {{ec.certificate, ec.key}}}};
    config.alpn = {"h2", "http/1.1"};
    return std::move(*ServerContext::build(config, libraries, keyring, 0));
  }
  Counters counters;
  Buffers buffers{"fuzz_hello", data_count, slice_count, 0, -1};
  std::unique_ptr<Engine> engine;
  Libraries libraries{1};
  TicketKeyring keyring;
  Sessions sessions;
  ServerContext context;
  SSL_SESSION* ticket = nullptr;  // of the last handshake that was completed
};
World* world;

std::string content(const Chain& chain) {
  std::string out(chain.size(), 0);
  if (!out.empty()) chain.peek(0, {reinterpret_cast<std::uint8_t*>(out.data()), out.size()});
  return out;
}

void check_nothing_left() {
  CHECK(world->sessions.size() == 0 && world->counters.get(Counter::tls_ssl_objects) == 0);
  CHECK(world->buffers.data_free() == data_count && world->buffers.slices_free() == slice_count);
}

// A genuine ClientHello for the mutations to start from: an empty seed corpus finds none.
std::string hello() {
  test::TlsClient client{{.name = "www.example.com", .protocols = {"h2"}}};
  client.step();
  return client.take();
}

void any_bytes(std::uint8_t mode, Reader in) {
  std::string stream;
  if (mode & 1) {
    stream = hello();
    for (int i = 0; i < (mode >> 1 & 7); ++i) {
      const std::uint16_t at = in.u16();
      stream[at % stream.size()] ^= static_cast<char>(in.u8());
    }
  }
  const std::size_t cut = 1 + in.u8() * 4u;
  stream += text(in.rest());

  NameTable table;
  if (table.add(stream, 1)) {
    table.finish();
    const auto name = normal_name(std::string_view{stream}.starts_with("*.") ? "a." + stream.substr(2) : stream);
    CHECK(!name || table.find(*name) == 1u);
  }

  const SessionId id = world->sessions.accept(world->context, Nanos{0});
  CHECK(id);
  std::string_view rest = stream;
  bool dead = false;
  while (!rest.empty() && !dead) {
    const std::string_view piece = rest.substr(0, cut);
    rest.remove_prefix(piece.size());
    Chain arrived, plaintext, wire;
    CHECK(arrived.append_bytes(bytes(piece), world->buffers));
    Progress progress = world->sessions.receive(id, arrived, plaintext, wire, Nanos{0});
    CHECK(arrived.empty() && plaintext.empty());
    while (world->sessions.jobs_waiting()) {
      CHECK(world->sessions.take_finished_jobs(Nanos{0}).size() == 1);
      progress = world->sessions.receive(id, arrived, plaintext, wire, Nanos{0});
    }
    dead = progress == Progress::error;
    CHECK(progress == Progress::error || progress == Progress::handshaking || progress == Progress::need_more);
  }
  CHECK(dead == (world->sessions.failure(id) != Failure::none));
  world->sessions.free(id);
}

// Bytes of the client to its session, and the answers back.
Progress deliver(SessionId id, std::string_view piece, test::TlsClient& client, std::string& received) {
  Chain arrived, plaintext, wire;
  CHECK(arrived.append_bytes(bytes(piece), world->buffers));
  Progress progress = world->sessions.receive(id, arrived, plaintext, wire, Nanos{0});
  while (progress != Progress::error && world->sessions.jobs_waiting()) {
    world->sessions.take_finished_jobs(Nanos{0});
    progress = world->sessions.receive(id, arrived, plaintext, wire, Nanos{0});
  }
  client.feed(content(wire));
  received += content(plaintext);
  return progress;
}

// Options of a client: version, suite, group, protocols, name, a ticket. What has no common offer must fail.
void real_client(Reader in) {
  constexpr const char* suites[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
                                    "TLS_AES_128_CCM_SHA256"};
  constexpr const char* groups[] = {"X25519", "P-256", "P-384", "X448"};
  const std::uint8_t options = in.u8(), more = in.u8();
  const bool hopeless =
      (options & 3) == 3 || (options >> 2 & 3) == 3 || (options & 0x30) == 0x30 || more & 1 || !(more & 2);
  test::TlsClient client{{.suites = suites[options & 3],
                          .groups = groups[options >> 2 & 3],
                          .name = more & 2 ? "www.example.net" : "unknown.example.org",
                          .protocols = (options & 0x30) == 0x30   ? std::vector<std::string>{"smtp"}
                                       : (options & 0x30) == 0x10 ? std::vector<std::string>{"h2", "http/1.1"}
                                                                  : std::vector<std::string>{},
                          .max_version = more & 1 ? TLS1_2_VERSION : 0,
                          .session = more & 4 ? world->ticket : nullptr}};
  if (more & 8) world->keyring.rotate(*TicketKeys::random_key());
  const std::size_t cut = 1 + in.u8() * 8u;
  bool disturbed = false, dead = false;
  std::size_t sent = 0, next_flip = in.u16();
  std::string received;
  const SessionId id = world->sessions.accept(world->context, Nanos{0});
  for (int round = 0; round < 8 && !dead; ++round) {
    client.step();
    if (client.connected() && round >= 2) {
      client.write("hello");
      client.read();  // the tickets
    }
    std::string stream = client.take();
    for (; in.left() > 1 && next_flip < sent + stream.size(); next_flip = sent + 1 + in.u16()) {
      const std::uint8_t flip = in.u8();
      if (next_flip >= sent) stream[next_flip - sent] ^= static_cast<char>(flip), disturbed |= flip != 0;
    }
    sent += stream.size();
    for (std::string_view rest = stream; !rest.empty() && !dead; rest.remove_prefix(std::min(cut, rest.size())))
      dead = deliver(id, rest.substr(0, cut), client, received) == Progress::error;
  }
  if (!disturbed) {
    CHECK(dead == hopeless);
    CHECK(dead || (world->sessions.is_established(id) && received.starts_with("hello")));
    if (!dead && !client.sessions().empty()) {
      SSL_SESSION_free(world->ticket);
      world->ticket = client.sessions().front();
      SSL_SESSION_up_ref(world->ticket);
    }
  }
  world->sessions.free(id);
}

// Four clients, two handshakes at a time: some are told, some leave before their turn, some wait too long.
void crowd(Reader in) {
  const std::uint8_t leave = in.u8(), late = in.u8();
  const std::string first = hello();
  std::array<SessionId, 4> ids;
  for (SessionId& id : ids) id = world->sessions.accept(world->context, Nanos{0});
  CHECK(!world->sessions.accept(world->context, Nanos{0}));
  Chain plaintext, wire;
  for (const SessionId id : ids) {
    Chain arrived;
    CHECK(arrived.append_bytes(bytes(first), world->buffers));
    const Progress progress = world->sessions.receive(id, arrived, plaintext, wire, Nanos{0});
    CHECK((progress == Progress::error) == (world->sessions.failure(id) == Failure::overloaded));
  }
  for (std::size_t i = 0; i < ids.size(); ++i)
    if (leave >> i & 1) world->sessions.free(ids[i]);
  while (world->sessions.jobs_waiting())
    for (const SessionId id : world->sessions.take_finished_jobs(Nanos{1'000'000'000} * late)) {
      Chain none;
      world->sessions.receive(id, none, plaintext, wire, Nanos{0});
      CHECK((world->sessions.failure(id) == Failure::abandoned) == (late > 10));
    }
  for (const SessionId id : ids) world->sessions.free(id);
}

void run(ByteView input) {
  Reader in{input};
  const std::uint8_t mode = in.u8();
  if (mode & 0x80) real_client(in);
  else if (mode & 0x40) crowd(in);
  else any_bytes(mode, in);
  check_nothing_left();
}

}  // namespace
}  // namespace sluice::tls

extern "C" int LLVMFuzzerInitialize(int*, char*** argv) {
  if (!sluice::test::start_eal((*argv)[0])) return 1;
  sluice::tls::world = new sluice::tls::World;
  std::atexit([] {
    SSL_SESSION_free(sluice::tls::world->ticket);
    delete sluice::tls::world;
    sluice::test::stop_eal();
  });
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sluice::tls::run({data, size});
  return 0;
}
