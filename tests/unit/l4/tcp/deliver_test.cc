// What comes out of order, in small pieces, beyond the bounds, or in another process, as conversations with a scripted
// peer.
#include "l4/tcp/core.h"
#include "tests/unit/l4/tcp/script.h"

namespace sluice::tcp {
namespace {

TEST_F(ScriptTest, OutOfOrderDataIsSackedAndDeliveredInOrderWithItsFin) {
  establish({2, 4, 0x05, 0xb4, 4, 2, 1, 1});
  send({.flags = FIN | ACK, .seq = 107, .ack = iss + 1, .payload = "!"});
  auto got = next();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->ack, 101u);
  ASSERT_EQ(got->options.sack_count, 1);
  EXPECT_EQ(got->options.sack[0], (Range{Seq{107}, Seq{109}})) << "the FIN counts, as in Linux";
  send({.flags = ACK, .seq = 104, .ack = iss + 1, .payload = "lo"});
  got = next();
  ASSERT_TRUE(got);
  ASSERT_EQ(got->options.sack_count, 2);
  EXPECT_EQ(got->options.sack[0], (Range{Seq{104}, Seq{106}})) << "the latest first";
  EXPECT_EQ(events(), 0);
  send({.flags = ACK, .seq = 101, .ack = iss + 1, .payload = "hello?"});
  EXPECT_EQ(events(), event_readable | event_finished);
  EXPECT_SEGMENT(ACK, iss + 1, 109u);
  Chain in;
  stack->receive(id, in);
  std::string content(in.size(), 0);
  in.peek(0, {reinterpret_cast<std::uint8_t*>(content.data()), content.size()});
  EXPECT_EQ(content, "hello?!");
}

// Linux does so as well (tcp_fin); found by fuzz_tcp.
TEST_F(ScriptTest, WhatAPeerSentBeyondItsOwnEndIsForgotten) {
  establish();
  send({.flags = ACK, .seq = 102, .ack = iss + 1, .payload = "beyond"});
  send({.flags = FIN | ACK, .seq = 101, .ack = iss + 1});
  EXPECT_EQ(events(), event_finished);
  EXPECT_STREQ(stack->audit(), nullptr);
  EXPECT_EQ(stack->held_buffers(), 0u);
}

// Linux as well: what was queued behind the FIN goes when the FIN is reached.
TEST_F(ScriptTest, BehindAFinThatWaitsThereIsNothing) {
  for (const bool fin_first : {true, false}) {
    SCOPED_TRACE(fin_first);
    peer.reset(), stack.reset(), start({});
    establish();
    const Seg fin{.flags = FIN | ACK, .seq = 105, .ack = iss + 1, .payload = "ef"};
    if (fin_first) send(fin);
    send({.flags = ACK, .seq = 107, .ack = iss + 1, .payload = "beyond"});  // over the FIN's own number
    send({.flags = ACK, .seq = 120, .ack = iss + 1, .payload = "far beyond"});
    send({.flags = FIN | ACK, .seq = 130, .ack = iss + 1});
    if (!fin_first) send(fin);
    while (next()) {}
    EXPECT_EQ(events(), 0);
    EXPECT_STREQ(stack->audit(), nullptr);
    send({.flags = ACK, .seq = 101, .ack = iss + 1, .payload = "abcd"});
    EXPECT_EQ(events(), event_readable | event_finished);
    EXPECT_SEGMENT(ACK, iss + 1, 108u);
    Chain in;
    stack->receive(id, in);
    EXPECT_EQ(in.size(), 6u);
    stack->consumed(id, in.size(), now);
    in.clear();
    EXPECT_EQ(stack->held_buffers(), 0u);
  }
}

TEST_F(ScriptTest, TinySegmentsShareBuffersAndTheWindowFollowsTheCharge) {
  establish();
  for (unsigned i = 0; i < 1000; ++i) send({.flags = ACK, .seq = 101 + i, .ack = iss + 1, .payload = "z"});
  EXPECT_LE(stack->held_buffers(), 2u);
  while (next()) {}
  std::uint32_t seq = 1101;
  std::optional<Got> last;
  for (unsigned i = 0; i < 400; ++i) {
    if (last && last->ack + last->window < seq + 1460) break;  // as a sender would
    send({.flags = ACK, .seq = seq, .ack = iss + 1, .payload = std::string(1460, 'y')});
    seq += 1460;
    later(41_ms);
    while (const auto got = next()) last = got;
  }
  ASSERT_TRUE(last);
  EXPECT_LT(last->window, 3000) << "nobody reads";
  EXPECT_LT(stack->held_buffers(), 2u * 512 * 1024 / 2048);
  Chain in;
  stack->receive(id, in);
  const std::uint32_t size = in.size();
  in.clear();
  EXPECT_SILENCE();
  stack->consumed(id, size, now);
  const auto update = next();
  ASSERT_TRUE(update) << "the window opens";
  EXPECT_GT(update->window, 30000);
  EXPECT_EQ(stack->held_buffers(), 0u);
}

// What LRO or a GRO step below us hands over: one segment larger than any MTU, in several buffers (RFC 9293 sees one).
TEST_F(ScriptTest, ASegmentJoinedByThePortIsTakenWholeAndAnsweredAtOnce) {
  establish();
  constexpr std::size_t size = 8000;
  Bytes ip(40, 0);
  ip[0] = 0x45;
  ip[8] = 64;
  ip[9] = 6;
  std::copy_n(&peer->here.address.bytes[12], 4, &ip[12]);
  std::copy_n(&peer->there.address.bytes[12], 4, &ip[16]);
  ip[20] = peer->here.port >> 8 & 0xff;
  ip[21] = peer->here.port & 0xff;
  ip[23] = 80;
  put32(&ip[24], 101);
  put32(&ip[28], iss + 1);
  ip[32] = 5 << 4;
  ip[33] = ACK;
  ip[34] = ip[35] = 0xff;
  for (std::size_t i = 0; i < size; ++i) ip.push_back(static_cast<std::uint8_t>(i * 7));
  fill_checksums(ip);
  Bytes frame(14, 2);
  frame[12] = 0x08;
  frame[13] = 0x00;
  frame.insert(frame.end(), ip.begin(), ip.end());
  Packet packet;
  rte_mbuf* tail = nullptr;
  for (std::size_t at = 0; at < frame.size(); at += 1500) {
    Packet piece = buffers.make();
    ASSERT_TRUE(piece);
    const std::size_t n = std::min<std::size_t>(1500, frame.size() - at);
    std::copy_n(&frame[at], n, piece.data());
    piece.get()->data_len = static_cast<std::uint16_t>(n);
    piece.get()->pkt_len = static_cast<std::uint32_t>(n);
    if (!packet) {
      packet = std::move(piece);
      tail = packet.get();
      continue;
    }
    tail->next = piece.release();
    tail = tail->next;
    ++packet.get()->nb_segs;
    packet.get()->pkt_len += static_cast<std::uint32_t>(n);
  }
  packet.meta().port = 0;
  ASSERT_TRUE(parse(packet, true, counters));
  stack->input(std::move(packet), now);
  EXPECT_EQ(events(), event_readable);
  EXPECT_SEGMENT(ACK, iss + 1, 101u + size);
  EXPECT_SILENCE();
  Chain in;
  stack->receive(id, in);
  std::vector<std::uint8_t> content(in.size());
  in.peek(0, content);
  EXPECT_EQ(content, std::vector<std::uint8_t>(ip.begin() + 40, ip.end()));
  in.clear();
  stack->consumed(id, size, now);
}

TEST_F(ScriptTest, AboveHeldMaxAcksAreReadAndPayloadIsNot) {
  Config c;
  c.held_buffers_max = 4;
  start(c);
  establish();
  give(8000);  // 4 buffers
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(next());
  send({.flags = ACK, .seq = 101, .ack = iss + 1 + 1460, .payload = "x"});
  EXPECT_EQ(stack->progress(id).acknowledged, 1460u);
  EXPECT_EQ(events() & event_readable, 0);
  EXPECT_EQ(counters.get(Counter::drop_tcp_held), 1u);
}

TEST_F(ScriptTest, OutOfOrderDataOfAConnectionAndOfAWorkerIsBounded) {
  Config connection, worker;
  connection.out_of_order_limit = 8 * buffer_charge;
  worker.out_of_order_buffers_max = 8;
  for (const Config& c : {connection, worker}) {
    start(c);
    establish();
    const auto before = counters.get(Counter::drop_tcp_out_of_order);
    for (std::uint32_t n = 1; n <= 12; ++n)
      send({.flags = ACK, .seq = 101 + n * 1460, .ack = iss + 1, .payload = std::string(1460, 'o')});
    EXPECT_EQ(info().out_of_order, 8u * 1460);
    EXPECT_EQ(stack->held_buffers(), 8u);
    EXPECT_EQ(counters.get(Counter::drop_tcp_out_of_order) - before, 4u);
    send({.flags = ACK, .seq = 101, .ack = iss + 1, .payload = std::string(1460, 'o')});
    EXPECT_EQ(info().receive_queue, 9u * 1460) << "the hole is closed all the same";
    send({.flags = ACK, .seq = 101 + 10 * 1460, .ack = iss + 1, .payload = std::string(1460, 'o')});
    EXPECT_EQ(info().out_of_order, 1460u) << "what was delivered no longer counts";
  }
}

TEST_F(ScriptTest, AWriterIsWokenByTheLastAckEvenWhileThePoolIsFull) {
  Config c;
  c.held_buffers_max = 4;
  c.send_limit = 16'000;
  start(c);
  establish();
  for (std::uint32_t i = 0; i < 4; ++i)
    send({.flags = ACK, .seq = 101 + i * 1460, .ack = iss + 1, .payload = std::string(1460, 'u')});
  ASSERT_EQ(stack->held_buffers(), 4u) << "full: nobody reads";
  give(2000);
  while (next()) {}
  ASSERT_EQ(stack->send_room(id), 0u);
  events();
  const std::uint32_t came = 101 + info().receive_queue;
  send({.flags = ACK, .seq = came, .ack = iss + 1 + 2000});
  EXPECT_TRUE(events() & event_writable);
  EXPECT_GT(stack->send_room(id), 0u);
}

// Who holds much gets no more above seven eighths of held_max; who holds little does, up to all of it.
TEST_F(ScriptTest, TheLastBuffersAreForThoseThatHoldFew) {
  const std::string full(1400, 'x');
  const auto deliver = [&](std::uint32_t n) {
    send({.flags = ACK, .seq = 101 + n * 1400, .ack = iss + 1, .payload = full});
    while (next()) {}
  };
  Config c;
  c.held_buffers_max = 512;
  start(c);
  establish();
  give(440 * 2048);
  for (std::uint32_t n = 0; n < 8; ++n) deliver(n);
  ASSERT_EQ(stack->held_buffers(), 448u);
  deliver(8);
  EXPECT_EQ(counters.get(Counter::drop_tcp_held), 1u) << "it holds eight";
  EXPECT_LT(stack->send_room(id), 2049u) << "nor may it send much";
  Chain in;
  stack->receive(id, in);
  EXPECT_EQ(in.size(), 8u * 1400);
  in.clear();
  stack->consumed(id, 8 * 1400, now);
  give(8 * 2048);
  ASSERT_EQ(stack->held_buffers(), 448u);
  deliver(8);
  EXPECT_EQ(stack->held_buffers(), 449u) << "it held none";
  deliver(9);
  EXPECT_EQ(stack->held_buffers(), 449u) << "with 63 left, one is enough";
  EXPECT_EQ(counters.get(Counter::drop_tcp_held), 2u);
}

// Under pressure no more is promised than will be taken: what was promised before stays.
TEST_F(ScriptTest, UnderPressureTheWindowIsSmall) {
  Config c;
  c.held_buffers_max = 64;
  start(c);
  establish();
  give(50 * 2048);
  while (next()) {}
  const std::string full(1460, 'x');
  std::uint32_t seq = 101;
  std::optional<Got> last;
  for (int n = 0; n < 64; ++n) {  // as much as was promised at first, read at once
    send({.flags = ACK, .seq = seq, .ack = iss + 1, .payload = full});
    seq += 1460;
    Chain in;
    stack->receive(id, in);
    const std::uint32_t size = in.size();
    ASSERT_GT(size, 0u) << "nothing that was promised is dropped";
    in.clear();
    stack->consumed(id, size, now);
    while (const auto got = next()) last = got;
  }
  ASSERT_TRUE(last);
  EXPECT_LE(last->window, 16 * 1460);
  EXPECT_GE(last->window, 2 * 1460);
  EXPECT_EQ(counters.get(Counter::drop_tcp_held), 0u);
}

TEST_F(ScriptTest, ReleaseWithUnreadBytesIsAReset) {
  establish();
  send({.flags = ACK, .seq = 101, .ack = iss + 1, .payload = "unread"});
  events();
  stack->release(id, now);
  EXPECT_SEGMENT(RST | ACK, iss + 1, 107u);
  EXPECT_EQ(stack->connection_count(), 0u);
  EXPECT_FALSE(stack->valid(id));
}

TEST_F(ScriptTest, AnImageGoesOutAndInAndTheTransferContinues) {
  establish({2, 4, 0x05, 0xb4, 4, 2, 1, 1});
  give(3000);
  while (next()) {}
  send({.flags = ACK, .seq = 101, .ack = iss + 1 + 1460, .payload = "abc"});
  send({.flags = ACK, .seq = 110, .ack = iss + 1 + 1460, .payload = "later"});
  while (next()) {}
  Bytes image(stack->image_size(id));
  ASSERT_EQ(stack->export_image(id, image, now), image.size());
  EXPECT_EQ(stack->export_image(id, MutableBytes{image}.first(image.size() - 1), now), 0u);
  const Endpoint there = peer->there;
  start({});
  now = Nanos{77'000'000'000};
  peer->there = there;
  for (std::size_t cut = 0; cut < 100; ++cut) ASSERT_FALSE(stack->import_image(ByteView{image}.first(cut), 0, now));
  constexpr std::size_t rcv_nxt = 65;  // its first byte: behind the key and four other numbers
  image[rcv_nxt] ^= 1;
  EXPECT_EQ(stack->import_image(image, 42, now).error(), ImportError::malformed) << "RCV.NXT beyond the window's edge";
  image[rcv_nxt] ^= 1;
  const auto in = stack->import_image(image, 42, now);
  ASSERT_TRUE(in);
  id = *in;
  EXPECT_EQ(stack->import_image(image, 0, now).error(), ImportError::exists);
  EXPECT_EQ(stack->user(id), 42u);
  std::string again;
  std::uint32_t first = 0;
  while (const auto got = next()) {
    if (got->payload.empty()) continue;
    if (again.empty()) first = got->seq;
    again += got->payload;
    send({.flags = ACK, .seq = 104, .ack = got->seq + static_cast<std::uint32_t>(got->payload.size())});
  }
  EXPECT_EQ(first, iss + 1 + 1460);
  EXPECT_EQ(again.size(), 1540u);
  EXPECT_EQ(stack->progress(id).acknowledged, 3000u);
  send({.flags = ACK, .seq = 104, .ack = iss + 3001, .payload = "defghi"});
  EXPECT_TRUE(events() & event_readable);
  Chain got;
  stack->receive(id, got);
  std::string content(got.size(), 0);
  got.peek(0, {reinterpret_cast<std::uint8_t*>(content.data()), content.size()});
  EXPECT_EQ(content, "abcdefghilater");
}

TEST_F(ScriptTest, AnImageKeepsWhatTheHandshakeAgreedAndTheClockOfTimestamps) {
  const auto ts = [](std::uint8_t value) { return Bytes{1, 1, 8, 10, 0, 0, 0, value, 0, 0, 0, 0}; };
  send({.flags = SYN, .seq = 100, .options = {2, 4, 0x04, 0xb0, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 5}});
  const auto answer = next();
  ASSERT_TRUE(answer);
  iss = answer->seq;
  later(100_ms);
  send({.flags = ACK, .seq = 101, .ack = iss + 1, .window = 1000, .options = ts(10)});
  ASSERT_EQ(events(), event_accepted);
  send({.flags = ACK, .seq = 101, .ack = iss + 1, .window = 1000, .options = ts(20)});
  const Info before = info();
  ASSERT_EQ(before.peer_window, 1000u << 5);
  ASSERT_TRUE(before.timestamps && before.sack);
  Bytes image(stack->image_size(id));
  ASSERT_EQ(stack->export_image(id, image, now), image.size());
  const Endpoint there = peer->there;
  start({});
  now = 1_s;  // a process that began later
  peer->there = there;
  const auto in = stack->import_image(image, 1, now);
  ASSERT_TRUE(in);
  id = *in;
  const Info after = info();
  EXPECT_TRUE(after.timestamps && after.sack && after.passive);
  EXPECT_EQ(after.send_scale, before.send_scale);
  EXPECT_EQ(after.receive_scale, before.receive_scale);
  EXPECT_EQ(after.mss, before.mss);
  EXPECT_EQ(after.peer_window, before.peer_window);
  EXPECT_EQ(after.our_window, before.our_window);
  EXPECT_EQ(after.listener, before.listener);
  const auto got = next();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->options.ts_value, answer->options.ts_value + 100) << "the peer takes nothing older (PAWS)";
  EXPECT_EQ(got->options.ts_echo, 20u);
  events();
  send({.flags = ACK, .seq = 101, .ack = iss + 1, .options = ts(19), .payload = "old"});
  EXPECT_EQ(events() & event_readable, 0);
  send({.flags = ACK, .seq = 101, .ack = iss + 1, .options = ts(20), .payload = "new"});
  EXPECT_TRUE(events() & event_readable);
}

// RFC 6298 3 (Karn): when what is in flight left is not known any more, so it tells no round trip.
TEST_F(ScriptTest, WhatAnImageHadInFlightMeasuresNoRoundTrip) {
  establish({2, 4, 0x05, 0xb4, 4, 2, 1, 1});
  give(3 * 1460);
  while (next()) {}
  Info before, after;
  ASSERT_TRUE(stack->info(id, before, now));
  Bytes image(stack->image_size(id));
  ASSERT_EQ(stack->export_image(id, image, now), image.size());
  stack->forget(id);
  const auto in = stack->import_image(image, 1, now);
  ASSERT_TRUE(in);
  id = *in;
  now += 9_s;  // the last had come before the image was made
  Bytes sack{1, 1, 5, 10, 0, 0, 0, 0, 0, 0, 0, 0};
  put32(&sack[4], iss + 1 + 2 * 1460);
  put32(&sack[8], iss + 1 + 3 * 1460);
  send({.flags = ACK, .seq = 101, .ack = iss + 1, .options = sack});
  ASSERT_TRUE(stack->info(id, after, now));
  EXPECT_EQ(after.sacked, 1460u);
  EXPECT_LE(after.rtt, before.rtt + 1_ms);
}

TEST_F(ScriptTest, AnImportedConnectionIsWritableOnceMore) {
  establish();
  while (stack->send_room(id)) give(1000);  // an event is promised
  Bytes image(stack->image_size(id));
  ASSERT_EQ(stack->export_image(id, image, now), image.size());
  events();
  stack->forget(id);
  const auto in = stack->import_image(image, 1, now);
  ASSERT_TRUE(in);
  id = *in;
  EXPECT_TRUE(events() & event_writable);
}

}  // namespace
}  // namespace sluice::tcp
