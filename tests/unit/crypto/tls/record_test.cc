#include "crypto/tls/record.h"

#include "tests/unit/crypto/tls/fixture.h"

namespace sluice::tls {
namespace {

std::string unhex(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); i += 2)
    out += static_cast<char>(std::stoi(std::string{text.substr(i, 2)}, nullptr, 16));
  return out;
}

const std::string zeros_inside("payload\0with zero", 17);

struct RecordTest : testing::Test {
  static constexpr unsigned data_count = 512, slice_count = 512;
  Counters counters;
  Buffers buffers{"record_test", data_count, slice_count, 0, -1};
  std::unique_ptr<Engine> engine = std::move(*Engine::open(counters));
  const SuiteInfo* suite = &suites[0];
  Direction sealing, opening;
  AeadKey sealing_key, opening_key;
  Rng rng{11};

  void start(const SuiteInfo& with, std::string_view secret) {
    suite = &with;
    sealing.start(*engine, *suite, bytes(secret), 0);
    opening.start(*engine, *suite, bytes(secret), 0);
    engine->expand(suite->aead, sealing.key.view(), sealing_key);
    engine->expand(suite->aead, opening.key.view(), opening_key);
  }
  void SetUp() override { start(suites[0], std::string(32, 's')); }
  void TearDown() override {
    EXPECT_EQ(buffers.data_free(), data_count);
    EXPECT_EQ(buffers.slices_free(), slice_count);
  }
  bool seal(std::uint32_t n, Chain& in, Chain& out, ContentType type = ContentType::application_data) {
    return seal_record({*engine, *suite, sealing_key, buffers}, sealing, type, n, in, out);
  }
  // A record over any inner plaintext, its type and padding included.
  std::string seal_raw(const std::string& inner) {
    std::string header{"\x17\x03\x03"};
    header += static_cast<char>((inner.size() + 16) >> 8);
    header += static_cast<char>((inner.size() + 16) & 0xff);
    std::string sealed(inner.size() + 16, 0);
    auto* to = reinterpret_cast<std::uint8_t*>(sealed.data());
    engine->seal(suite->aead, sealing_key, sealing.nonce(), bytes(header), to, bytes(inner), to + inner.size());
    return header + sealed;
  }
  Opened open(Chain& in, Chain& out, ContentType& type) {
    return open_record({*engine, *suite, opening_key, buffers}, opening, peek_header(in).size, in, out, type);
  }
};

// RFC 8448 3: the client's and the server's first records of application data, byte for byte.
TEST_F(RecordTest, Rfc8448ApplicationData) {
  std::string payload(50, 0);
  for (int i = 0; i < 50; ++i) payload[i] = static_cast<char>(i);
  start(suites[0], unhex("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5"));
  Chain in = chain_of(payload, buffers, 20), out;
  ASSERT_TRUE(seal(50, in, out));
  EXPECT_EQ(content(out),
            unhex("1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b"
                  "62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4"));
  Chain back;
  ContentType type;
  ASSERT_EQ(open(out, back, type), Opened::ok);
  EXPECT_EQ(content(back), payload);
}

// Any sizes, any segmentation, shared or not: what was sealed opens to the same bytes, and shared bytes never change.
TEST_F(RecordTest, RoundTripsUnderAnySegmentation) {
  for (int round = 0; round < 600; ++round) {
    start(suites[round % 3], std::string(suites[round % 3].hash == Hash::sha256 ? 32 : 48, static_cast<char>(round)));
    const std::uint32_t size = rng.below(5) == 0 ? rng.below(30) : rng.below(max_plaintext + 1);
    const std::uint32_t segment = rng.below(2) ? 1448 : 1 + rng.below(2048);
    const std::string payload = noise(size, round), rest = noise(rng.below(4000), round + 1000);
    Chain in = chain_of(payload + rest, buffers, std::max(segment, 100u), rng.below(2) ? &rng : nullptr), kept;
    const bool shared = rng.below(2) && !in.empty();
    const std::uint32_t shared_from = shared ? rng.below(in.size()) : 0;
    if (shared) { ASSERT_TRUE(in.share(shared_from, in.size() - shared_from, kept, buffers)); }
    Chain wire;
    ASSERT_TRUE(seal(size, in, wire));
    EXPECT_EQ(content(in), rest);
    EXPECT_EQ(content(kept), (payload + rest).substr(shared_from, kept.size()));
    ASSERT_EQ(wire.size(), record_header_size + size + 1 + aead_tag_size);
    EXPECT_EQ(peek_header(wire).size, size + 17);

    // The same bytes arrive in other segments, with the head of another record behind them.
    const std::string sealed = content(wire) + rest;
    wire.clear();
    Chain arrived = chain_of(sealed, buffers, std::max(segment, 100u), rng.below(2) ? &rng : nullptr), also;
    if (rng.below(2)) { ASSERT_TRUE(arrived.share(0, arrived.size(), also, buffers)); }
    Chain opened;
    ContentType type;
    ASSERT_EQ(open(arrived, opened, type), Opened::ok);
    ASSERT_EQ(content(opened), payload);
    EXPECT_EQ(type, ContentType::application_data);
    EXPECT_EQ(content(arrived), rest);
    if (!also.empty()) { EXPECT_EQ(content(also), sealed); }
  }
}

TEST_F(RecordTest, SegmentsOfOneByteAndASoleOwnerStayInPlace) {
  const std::string payload = noise(200, 1);
  Chain in = chain_of(payload, buffers, 1), wire, opened;
  ASSERT_TRUE(seal(200, in, wire));
  Chain arrived = chain_of(content(wire), buffers, 1);
  ContentType type;
  ASSERT_EQ(open(arrived, opened, type), Opened::ok);
  EXPECT_EQ(content(opened), payload);
}

TEST_F(RecordTest, AWholeSegmentOfOurOwnIsSealedInItsOwnBuffer) {
  Chain in = chain_of(noise(1000, 2), buffers, 1448), wire;
  rte_mbuf* segment = in.first();
  const unsigned free = buffers.data_free();
  ASSERT_TRUE(seal(1000, in, wire));
  EXPECT_EQ(wire.segments(), 1u) << "header in the headroom, type and tag in the tailroom";
  EXPECT_EQ(wire.first(), segment);
  EXPECT_EQ(buffers.data_free(), free);
}

TEST_F(RecordTest, WithoutBuffersNothingChanges) {
  const std::string payload = noise(5000, 3);
  Chain in = chain_of(payload, buffers, 1448), shared, hoard, wire;
  ASSERT_TRUE(in.share(0, in.size(), shared, buffers));
  while (Packet packet = buffers.make()) {
    packet.get()->data_len = 1;
    packet.get()->pkt_len = 1;
    hoard.append(std::move(packet));
  }
  EXPECT_FALSE(seal(5000, in, wire));
  EXPECT_EQ(sealing.sequence, 0u);
  EXPECT_TRUE(wire.empty());
  EXPECT_EQ(content(in), payload);
  hoard.clear();
  ASSERT_TRUE(seal(5000, in, wire));
  const std::string sealed = content(wire);
  shared.clear();
  ASSERT_TRUE(wire.share(0, wire.size(), shared, buffers));
  while (Packet packet = buffers.make()) {
    packet.get()->data_len = 1;
    packet.get()->pkt_len = 1;
    hoard.append(std::move(packet));
  }
  Chain opened;
  ContentType type;
  EXPECT_EQ(open(wire, opened, type), Opened::no_buffers);
  EXPECT_EQ(content(wire), sealed);
  hoard.clear();
  EXPECT_EQ(open(wire, opened, type), Opened::ok);
  EXPECT_EQ(content(opened), payload);
}

// RFC 8446 5.4: zeros behind the type are padding, and a record that holds only zeros has no type.
TEST_F(RecordTest, PaddingIsStrippedAcrossSegments) {
  for (const std::uint32_t padding : {0u, 1u, 15u, 700u, 3000u, 16000u}) {
    start(suites[0], std::string(32, 'p'));
    std::string inner = zeros_inside;
    inner += std::string(1, static_cast<char>(ContentType::alert)) + std::string(padding, 0);
    // Sealing inner text whose last byte is taken for the type: cut the record ourselves.
    std::string sealed = seal_raw(inner);
    Chain arrived = chain_of(sealed, buffers, 500), opened;
    ContentType type;
    ASSERT_EQ(open(arrived, opened, type), Opened::ok) << padding;
    EXPECT_EQ(type, ContentType::alert);
    EXPECT_EQ(content(opened), zeros_inside);
  }
  start(suites[0], std::string(32, 'p'));
  Chain arrived = chain_of(seal_raw(std::string(1000, 0)), buffers, 300), opened;
  ContentType type;
  EXPECT_EQ(open(arrived, opened, type), Opened::no_content_type);
  EXPECT_TRUE(opened.empty());
}

TEST_F(RecordTest, AForgedRecordReleasesNothing) {
  for (int i = 0; i < 200; ++i) {
    start(suites[i % 3], std::string(i % 3 == 1 ? 48 : 32, 'f'));
    Chain in = chain_of(noise(3000, i), buffers, 1448), wire, opened;
    ASSERT_TRUE(seal(3000, in, wire));
    std::string sealed = content(wire);
    wire.clear();
    // The header is authenticated as well, but its size says how far to read: flip its version instead.
    const std::uint32_t at = rng.below(static_cast<std::uint32_t>(sealed.size()));
    sealed[at == 3 || at == 4 ? 1 : at] ^= static_cast<char>(1 << rng.below(8));
    Chain arrived = chain_of(sealed, buffers, 1448);
    ContentType type;
    EXPECT_EQ(open(arrived, opened, type), Opened::bad_record_mac);
    EXPECT_TRUE(opened.empty());
    EXPECT_EQ(opening.sequence, 0u);
  }
}

TEST_F(RecordTest, RecordsOfAFlightStartSmallAndFillWholeSegmentsInBulk) {
  Chain in = chain_of(noise(60000, 5), buffers, 1448);
  EXPECT_EQ(record_payload(in, false), 1448u);
  EXPECT_EQ(record_payload(in, true), 11u * 1448u);
  Chain tiny = chain_of(noise(100, 6), buffers, 1448);
  EXPECT_EQ(record_payload(tiny, false), 100u);
  EXPECT_EQ(record_payload(tiny, true), 100u);
}

}  // namespace
}  // namespace sluice::tls
