// world.h - all that stands around the proxy in the tcp scenario, behind one in-memory port: up to millions of HTTP/1.1
// clients (24 bytes each; an index is an address and a port) and one backend, as lean scripted TCPs that acknowledge as
// Linux does (the handshake at once, every second segment of a stream, the end of an answer at once) and send a message
// of one segment again when it is not acknowledged (`again`). Bodies larger than a segment are streamed as the proxy's
// window allows, in order and never again: they need a link without loss.
//
// What the proxy transmits is put aside within its turn and read between turns by react(), so this cost is in no
// figure. Everything is verified: MACs, checksums, sequence numbers; at the backend each request (target, host, the
// fields the proxy adds, and that x-forwarded-for is the address of the client that the target names); at the client
// the head (parsed once, then compared byte for byte) and every byte of the body, which begins with the client's
// number. The first fault is kept. One thread; react() allocates nothing.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "dataplane/base/rng.h"
#include "dataplane/port/port.h"
#include "perf/world/frame.h"

namespace sluice::perf {

struct TcpWorldSpec {
  std::uint32_t clients = 1000;
  std::uint64_t body = 128;
  bool close = false;  // a connection on each leg for each request, closed by the proxy and by the backend
  bool again = false;  // send again what is lost
  bool hardware_checksums = true;
  bool tso = false;
  bool flood = false;  // SYNs come from everywhere
};

class TcpWorld final : public Port {
 public:
  static constexpr std::uint32_t node = 0x0a000001, vip = 0x0a000050, backend = 0x0a000065, gateway = 0x0a0000fe,
                                 first_client = 0x0a400000;
  static constexpr std::uint16_t vip_port = 80, backend_port = 8080, source_low = 10'000, source_high = 60'000;
  static constexpr MacAddress node_mac{{0x02, 0, 0, 0, 0, 0x01}};
  static constexpr std::uint32_t ports_an_address = 50'000;

  TcpWorld(const TcpWorldSpec& spec, Buffers& buffers);
  ~TcpWorld() override;

  // Opens a connection and, once it is there, asks.
  void open(std::uint32_t client);
  // Asks on an open connection that waits for no answer. `part`: a first half of the head alone; the next ask() sends
  // the rest.
  void ask(std::uint32_t client, bool part = false);
  // Whether a client can be told to ask.
  bool idle(std::uint32_t client) const {
    const End& end = clients_[client];
    return end.state == State::open && !end.waiting && !end.part;
  }
  // Ends an open connection from the client's side.
  void close(std::uint32_t client);
  // So many SYNs to the listener from random addresses and ports that never say more; what answers them is counted.
  void flood(std::uint32_t count, Rng& rng);
  // Between turns: reads what the proxy sent, and answers.
  void react(Nanos now);
  // Sends again what has waited too long for its acknowledgement.
  void send_again(Nanos now);

  // Clients that are done with what they were told, since this was cleared: answered, or closed where `close` is set.
  std::vector<std::uint32_t> done;

  std::uint64_t answered() const { return answered_; }
  std::uint64_t closed() const { return closed_; }
  std::uint64_t body_bytes() const { return body_bytes_; }  // that clients have got
  std::uint32_t backend_connections() const { return static_cast<std::uint32_t>(backends_.size() - free_.size()); }
  std::uint64_t accepted() const { return accepted_; }  // by the backend
  std::uint64_t result_hash() const;
  const std::string& fault() const { return fault_; }
  std::string first_waiting() const;  // the first client that is owed something, for a message
  std::uint64_t data_frames_in() const { return data_frames_in_; }    // of the proxy, with payload
  std::uint64_t data_frames_out() const { return data_frames_out_; }  // to the proxy, with payload
  std::uint64_t repeated() const { return repeated_; }                // segments that the proxy sent again
  std::uint64_t flood_answers() const { return flood_answers_; }
  std::uint64_t frames_in() const { return frames_in_; }
  std::uint64_t frames_out() const { return frames_out_; }

  std::uint16_t receive(std::uint16_t queue, std::span<rte_mbuf*> out, Nanos now) override;
  std::uint16_t transmit(std::uint16_t queue, std::span<rte_mbuf*> frames, Nanos now) override;

 private:
  enum class State : std::uint8_t { closed, opening, open, finished };  // finished: our FIN is out
  // What both kinds of ends have. Sequence numbers: `una`..`next` are ours in flight, `expected` is the proxy's next.
  struct End {
    std::uint32_t next = 0, una = 0, expected = 0, stamp = 0;
    State state = State::closed;
    bool waiting = false;      // a client that waits for its answer
    bool part = false;         // half of a request's head is out
    std::uint8_t unacked = 0;  // data segments since our last acknowledgement
    std::uint32_t have = 0;    // of the answer: bytes that came; of a request at the backend: the same
  };
  struct Backend : End {
    std::uint16_t peer_port = 0;
    bool peer_finished = false;
    std::uint8_t scale = 0;
    std::uint32_t client = 0;           // whose request it is
    std::uint32_t window = 0;           // the proxy's
    std::uint64_t sent = 0, total = 0;  // of the answer
    std::array<char, 512> request;
  };

  static constexpr std::uint16_t nobody = 0xffff;
  static constexpr std::uint32_t segment_size = 1448;       // MTU 1500, timestamps
  static constexpr std::uint32_t stream_ahead = 64 * 1024;  // of the backend, whatever the proxy's window
  static constexpr std::size_t pattern_size = 65'521, number_size = 8;
  static constexpr MacAddress peer_mac{{0x02, 0, 0, 0, 0, 0x32}};

  static bool before(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a - b) < 0; }
  static void write_number(char* at, std::uint32_t number);
  static std::optional<std::uint32_t> read_number(std::string_view head);
  std::uint32_t address_of(std::uint32_t client) const { return first_client + client / ports_an_address; }
  Station station_of(std::uint32_t client) const;
  void read(const rte_mbuf* frame);
  void client_segment(std::uint32_t client, const SegmentIn& segment);
  void client_data(std::uint32_t client, End& end, const SegmentIn& segment);
  bool right_piece(std::uint32_t client, End& end, std::string_view piece);
  bool learn_head(std::string_view piece);
  void backend_segment(const SegmentIn& segment);
  void backend_reset(const SegmentIn& segment);
  Backend* accept(const SegmentIn& segment);
  void backend_data(Backend& end, const SegmentIn& segment);
  bool read_request(Backend& end);
  void stream(Backend& end);
  std::string_view piece_of(std::uint32_t client, std::uint64_t offset);
  void leave(Backend& end);
  std::string_view request_of(std::uint32_t client);
  void send(End& end, std::uint32_t client, std::uint8_t flags, std::string_view payload = {});
  void send(Backend& end, std::uint8_t flags, std::string_view payload = {});
  void put(const Station& from, const Station& to, const End& end, std::uint32_t sequence, std::uint8_t flags,
           std::string_view payload);
  void resend(End& end, std::uint32_t client);
  void resend(Backend& end);
  void fail(std::string what) {
    if (fault_.empty()) fault_ = std::move(what);
  }

  const TcpWorldSpec spec_;
  Buffers& buffers_;
  std::string request_, answer_head_, pattern_, learnt_head_, scratch_;
  std::vector<End> clients_;
  std::vector<Backend> backends_;
  std::vector<std::uint16_t> free_, by_peer_port_;
  std::vector<rte_mbuf*> inbox_, outbox_;  // as large as they may get
  std::size_t outbox_head_ = 0;
  std::uint32_t sequence_ = 1000, now_ms_ = 0;
  std::uint64_t answered_ = 0, closed_ = 0, accepted_ = 0, body_bytes_ = 0;
  std::uint64_t frames_in_ = 0, frames_out_ = 0, data_frames_in_ = 0, data_frames_out_ = 0, repeated_ = 0,
                flood_answers_ = 0;
  std::string fault_;
};

}  // namespace sluice::perf
