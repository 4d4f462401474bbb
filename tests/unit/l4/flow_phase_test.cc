#include "l4/flow_phase.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using namespace sluice::literals;

constexpr auto client = Direction::from_client, backend = Direction::from_backend;
constexpr std::uint8_t syn = wire::Tcp::syn, ack = wire::Tcp::ack, fin = wire::Tcp::fin, rst = wire::Tcp::rst;

struct Talk {
  FlowPhase phase = FlowPhase::tcp_syn;
  std::uint8_t seen = 0;
  FlowEnds ends;
  FlowPhase operator()(Direction direction, std::uint8_t flags, TcpEdges edges = {}) {
    return phase = next_phase(phase, seen, ends, direction, flags, edges);
  }
};

TEST(FlowPhase, HandshakeThenBothFinsAcknowledged) {
  Talk talk;
  EXPECT_EQ(talk(client, syn), FlowPhase::tcp_syn);
  EXPECT_EQ(talk(client, ack), FlowPhase::tcp_syn) << "an ACK that answers nothing establishes nothing";
  EXPECT_EQ(talk(backend, syn | ack), FlowPhase::tcp_syn);
  EXPECT_EQ(talk(client, syn), FlowPhase::tcp_syn) << "a repeated SYN";
  EXPECT_EQ(talk(client, ack), FlowPhase::tcp_established);
  EXPECT_EQ(talk(client, fin | ack, {.end = 501, .ack = 900}), FlowPhase::tcp_fin);
  EXPECT_EQ(talk(backend, ack, {.end = 900, .ack = 501}), FlowPhase::tcp_fin) << "half closed";
  EXPECT_FALSE(over(talk.phase, talk.seen)) << "the other half goes on";
  EXPECT_EQ(talk(backend, fin | ack, {.end = 1000, .ack = 501}), FlowPhase::tcp_fin) << "the last ACK is to come";
  EXPECT_TRUE(over(talk.phase, talk.seen)) << "a SYN would be a new connection's";
  EXPECT_EQ(talk(client, ack, {.end = 501, .ack = 1000}), FlowPhase::tcp_closed);
}

// Both FINs have passed, and data before one of them was lost behind us: whoever waits for it may wait long.
TEST(FlowPhase, StaysWhileAFinIsNotAcknowledged) {
  Talk talk{FlowPhase::tcp_established, seen_reply | seen_established};
  EXPECT_EQ(talk(client, fin | ack, {.end = 501, .ack = 400}), FlowPhase::tcp_fin);
  EXPECT_EQ(talk(backend, fin | ack, {.end = 1000, .ack = 501}), FlowPhase::tcp_fin);
  EXPECT_EQ(talk(client, ack, {.end = 501, .ack = 400}), FlowPhase::tcp_fin) << "it waits for what is before the FIN";
  EXPECT_EQ(talk(backend, ack, {.end = 900, .ack = 501}), FlowPhase::tcp_fin) << "which comes again";
  EXPECT_EQ(talk(client, ack, {.end = 501, .ack = 999}), FlowPhase::tcp_fin) << "all but the FIN";
  EXPECT_EQ(talk(client, ack, {.end = 501, .ack = 1000}), FlowPhase::tcp_closed);
}

// RFC 9293 3.6, case 3: both close at once, each ACK comes behind the other's FIN.
TEST(FlowPhase, SimultaneousCloseNeedsBothAcks) {
  Talk talk{FlowPhase::tcp_established, seen_reply | seen_established};
  talk(client, fin | ack, {.end = 501, .ack = 999});
  EXPECT_EQ(talk(backend, fin | ack, {.end = 1000, .ack = 500}), FlowPhase::tcp_fin);
  EXPECT_EQ(talk(client, ack, {.end = 501, .ack = 1000}), FlowPhase::tcp_fin);
  EXPECT_EQ(talk(backend, ack, {.end = 1000, .ack = 501}), FlowPhase::tcp_closed);
}

TEST(FlowPhase, AResetClosesFromAnyPhase) {
  for (const FlowPhase phase :
       {FlowPhase::tcp_syn, FlowPhase::tcp_established, FlowPhase::tcp_fin, FlowPhase::tcp_closed}) {
    Talk talk{phase};
    EXPECT_EQ(talk(backend, rst | ack), FlowPhase::tcp_closed);
  }
}

// RFC 9293 3.10.7.4: a wrong ACK in SYN-RECEIVED is answered by a RST and changes nothing. Its number is the ACK's, so
// the client drops it, and the connection goes on.
TEST(FlowPhase, AResetThatEndsNothing) {
  Talk talk;
  talk(client, syn);
  talk(backend, syn | ack);
  talk(client, ack);  // somebody forged it
  EXPECT_EQ(talk(backend, rst), FlowPhase::tcp_closed);
  EXPECT_EQ(talk(client, ack), FlowPhase::tcp_established);
  EXPECT_EQ(talk(client, rst), FlowPhase::tcp_closed) << "forged as well";
  EXPECT_EQ(talk(backend, ack), FlowPhase::tcp_established);
  talk(client, fin | ack, {.end = 501, .ack = 900});
  EXPECT_EQ(talk(backend, rst), FlowPhase::tcp_closed);
  EXPECT_EQ(talk(backend, ack, {.end = 900, .ack = 501}), FlowPhase::tcp_fin) << "half closed, as before";
  EXPECT_EQ(talk(backend, fin | ack, {.end = 1000, .ack = 501}), FlowPhase::tcp_fin);
  EXPECT_EQ(talk(client, rst, {.end = 501}), FlowPhase::tcp_closed);
  EXPECT_EQ(talk(client, ack, {.end = 501, .ack = 1000}), FlowPhase::tcp_closed) << "now by the FINs";

  Talk attempt;
  attempt(client, syn);
  attempt(client, rst);
  EXPECT_EQ(attempt(backend, syn | ack), FlowPhase::tcp_syn) << "its answer, which the client will reset";
  EXPECT_EQ(attempt(client, rst), FlowPhase::tcp_closed);
}

// RFC 5961 3: the receiver of a RST takes the next number alone.
TEST(FlowPhase, AResetOutsideTheSequenceIsNone) {
  Talk talk{FlowPhase::tcp_established, seen_reply | seen_established};
  talk(client, ack, {.end = 500, .ack = 900});
  talk(backend, ack, {.end = 1'000, .ack = 500});
  for (const std::uint16_t forged : {0, 499, 502, 1'000, 65'000})
    EXPECT_EQ(talk(client, rst, {.end = forged}), FlowPhase::tcp_established) << forged;
  EXPECT_EQ(talk(client, ack, {.end = 499, .ack = 1'000}), FlowPhase::tcp_established) << "a keepalive probe";
  EXPECT_EQ(talk(client, rst, {.end = 500}), FlowPhase::tcp_closed);

  Talk ended{FlowPhase::tcp_established, seen_reply | seen_established};
  ended(backend, fin | ack, {.end = 1'001, .ack = 500});
  ended(backend, ack, {.end = 900, .ack = 500});  // again, of what was lost before it
  EXPECT_EQ(ended(backend, rst, {.end = 900}), FlowPhase::tcp_fin);
  EXPECT_EQ(ended(backend, rst, {.end = 1'001}), FlowPhase::tcp_closed);
}

// A RST behind a retransmission stands behind what was sent before that.
TEST(FlowPhase, DataSentAgainDoNotMoveTheSequenceBack) {
  for (const Direction side : {client, backend}) {
    Talk talk{FlowPhase::tcp_established, seen_reply | seen_established};
    for (const std::uint16_t end : {64'000, 65'460, 1'384, 2'844})  // past the wrap
      talk(side, ack, {.end = end, .ack = 900, .data = true});
    for (const std::uint16_t again : {65'460, 65'460, 1'384, 65'460})
      EXPECT_EQ(talk(side, ack, {.end = again, .ack = 900, .data = true}), FlowPhase::tcp_established);
    EXPECT_EQ(talk(side, rst, {.end = 65'460}), FlowPhase::tcp_established) << "nobody sends this one";
    EXPECT_EQ(talk(side, rst, {.end = 2'844}), FlowPhase::tcp_closed);
  }
}

// A number that somebody forged, or a gap lost before it came here, holds no longer than the sender's next words.
TEST(FlowPhase, AWrongSequenceIsPutRight) {
  Talk talk{FlowPhase::tcp_established, seen_reply | seen_established};
  talk(backend, ack, {.end = 5'000, .ack = 900, .data = true});
  talk(backend, ack, {.end = 15'000, .ack = 900, .data = true});  // forged
  talk(backend, ack, {.end = 5'100, .ack = 900, .data = true});
  talk(backend, ack, {.end = 5'100, .ack = 901});  // what has no data is not sent again
  EXPECT_EQ(talk(backend, rst, {.end = 5'100}), FlowPhase::tcp_closed);

  Talk other{FlowPhase::tcp_established, seen_reply | seen_established};
  other(backend, ack, {.end = 5'000, .ack = 900, .data = true});
  other(backend, ack, {.end = 30'000, .ack = 900});  // forged, without data
  for (std::uint16_t i = 1; i <= 16; ++i) other(backend, ack, {.end = std::uint16_t(5'000 + 10 * i), .data = true});
  EXPECT_EQ(other(backend, rst, {.end = 30'000}), FlowPhase::tcp_established);
  EXPECT_EQ(other(backend, rst, {.end = 5'160}), FlowPhase::tcp_closed) << "sixteen in a row are believed";

  Talk mixed{FlowPhase::tcp_established, seen_reply | seen_established};  // each side is counted for itself
  mixed(backend, ack, {.end = 5'000, .ack = 900, .data = true});
  mixed(client, ack, {.end = 7'000, .ack = 5'000, .data = true});
  for (int i = 0; i < 15; ++i) {
    mixed(backend, ack, {.end = 4'000, .ack = 900, .data = true});
    mixed(client, ack, {.end = 6'000, .ack = 5'000, .data = true});
  }
  EXPECT_EQ(mixed(client, rst, {.end = 7'000}), FlowPhase::tcp_closed);
  EXPECT_EQ(mixed(backend, ack, {.end = 6'460, .ack = 900, .data = true}), FlowPhase::tcp_established);
  EXPECT_EQ(mixed(backend, ack, {.end = 4'000, .ack = 900, .data = true}), FlowPhase::tcp_established);
  EXPECT_EQ(mixed(backend, rst, {.end = 6'460}), FlowPhase::tcp_closed) << "going on, it counts from the start";
}

TEST(FlowPhase, OnlyAnAttemptThatWasResetNeverOpened) {
  Talk talk;
  talk(client, syn);
  EXPECT_FALSE(never_opened(talk.phase, talk.seen)) << "under way";
  talk(backend, ack);
  talk(client, rst);
  EXPECT_TRUE(never_opened(talk.phase, talk.seen));
  Talk opened;
  opened(client, syn);
  opened(backend, syn | ack);
  opened(client, ack);
  opened(backend, rst);
  EXPECT_FALSE(never_opened(opened.phase, opened.seen));
  Talk ended;
  ended(client, syn);
  ended(backend, fin | ack);
  ended(client, rst);
  EXPECT_FALSE(never_opened(ended.phase, ended.seen));
}

TEST(FlowPhase, UdpIsOneWayUntilTheBackendAnswers) {
  Talk talk{FlowPhase::udp_one_way};
  EXPECT_EQ(talk(client, 0), FlowPhase::udp_one_way);
  EXPECT_EQ(talk(backend, 0), FlowPhase::udp);
  EXPECT_EQ(talk(client, 0), FlowPhase::udp);
}

// semantics.md, L4 balancing: SYN 5 s, established 900 s, FIN 30 s, closed 5 s, UDP 300 s, one-way 30 s.
TEST(FlowPhase, DefaultTimeouts) {
  const FlowTimeouts t;
  EXPECT_EQ(timeout_of(t, FlowPhase::tcp_syn), 5_s);
  EXPECT_EQ(timeout_of(t, FlowPhase::tcp_established), 900_s);
  EXPECT_EQ(timeout_of(t, FlowPhase::tcp_fin), 30_s);
  EXPECT_EQ(timeout_of(t, FlowPhase::tcp_closed), 5_s);
  EXPECT_EQ(timeout_of(t, FlowPhase::udp), 300_s);
  EXPECT_EQ(timeout_of(t, FlowPhase::udp_one_way), 30_s);
}

}  // namespace
}  // namespace sluice
