// covers: crypto/tls/handshake.cc crypto/tls/session_jobs.cc crypto/tls/identity.cc
// A client that sends anything: each input is a stream of bytes, delivered in cuts, to a fresh session under a real
// server context. Asserted: it ends in "more", an answer or an error; after free() no SSL object, session or buffer is
// left; names that the table takes are found again.
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
    config.sessions = 2;
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
};
World* world;

// A genuine ClientHello for the mutations to start from: an empty seed corpus finds none.
std::string hello() {
  test::TlsClient client{{.name = "www.example.com", .protocols = {"h2"}}};
  client.step();
  return client.take();
}

void run(ByteView input) {
  Reader in{input};
  const std::uint8_t mode = in.u8();
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
  CHECK(world->sessions.size() == 0 && world->counters.get(Counter::tls_ssl_objects) == 0);
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
