// world.h - all that stands around the proxy in the http scenario, behind one in-memory port: closed-loop HTTP/1.1
// clients and a backend, each a lean scripted TCP (handshake with Linux's options, timestamps echoed, data in order,
// acknowledgements on the next data, FIN; no loss, so no retransmission: what stalls fails the run). What the proxy
// transmits is put aside within its turn and read between turns by react(), so the world's cost is in no figure.
//
// Everything is verified: each frame's MACs, IP and TCP checksums (or, where the port offers them, the pseudo-header
// sums that a NIC would complete), sequence numbers; each request at the backend (method, target, host, the fields the
// proxy must add); each answer at the client (status, content-length, every byte of the body). The first fault is kept.
// One thread; react() allocates nothing.
#pragma once

#include <string>
#include <vector>

#include "dataplane/port/port.h"
#include "perf/world/frame.h"

namespace sluice::perf {

struct HttpWorldSpec {
  std::uint32_t connections = 100;
  std::uint32_t body = 128;
  bool close = false;  // a connection for each request
  bool hardware_checksums = true;
};

class HttpWorld final : public Port {
 public:
  static constexpr std::uint32_t node = 0xc0000201, client = 0xc0000232, backend = 0xc0000265, vip = 0xc0000250;
  static constexpr std::uint16_t vip_port = 80, backend_port = 8080, source_low = 10000, source_high = 60000;
  static constexpr MacAddress node_mac{{0x02, 0, 0, 0, 0, 0x01}};

  HttpWorld(const HttpWorldSpec& spec, Buffers& buffers);
  ~HttpWorld() override;

  // Opens the connections, and lets clients ask until `requests` answers more are in.
  void offer(std::uint64_t requests);
  bool done() const { return answered_ == wanted_; }
  // Between turns: reads what the proxy sent, and answers.
  void react(Nanos now);

  std::uint64_t answered() const { return answered_; }
  std::uint64_t body_hash() const { return body_hash_; }  // summed over all answers' bodies
  const std::string& fault() const { return fault_; }
  std::uint64_t repeated() const { return repeated_; }      // segments that the proxy sent again
  std::uint64_t frames_in() const { return frames_in_; }    // from the proxy
  std::uint64_t frames_out() const { return frames_out_; }  // to the proxy

  std::uint16_t receive(std::uint16_t queue, std::span<rte_mbuf*> out, Nanos now) override;
  std::uint16_t transmit(std::uint16_t queue, std::span<rte_mbuf*> frames, Nanos now) override;

 private:
  enum class State : std::uint8_t { closed, opening, open, closing };
  // One end of a connection: a client's, or the backend's. `port` is ours, `peer_port` the proxy's.
  struct End {
    State state = State::closed;
    bool is_client = false, waiting = false;  // a client that waits for its answer
    std::uint16_t port = 0, peer_port = 0;
    std::uint32_t next = 0, expected = 0;  // sequence numbers: ours, the proxy's
    std::uint32_t stamp = 0;               // the proxy's last timestamp
    std::uint32_t have = 0;                // bytes in `data`
    std::array<char, 2048> data;
  };
  void read(const rte_mbuf* frame);
  void segment_for(End& end, const SegmentIn& segment);
  void client_data(End& end);
  void backend_data(End& end);
  void open(End& end);
  void ask(End& end);
  void send(End& end, std::uint8_t flags, std::string_view payload);
  void fail(std::string_view what) {
    if (fault_.empty()) fault_ = what;
  }

  const HttpWorldSpec spec_;
  Buffers& buffers_;
  std::string request_, answer_, body_;
  std::vector<End> ends_;  // clients first, then what the proxy opened to the backend
  std::vector<std::uint16_t> by_client_port_, by_peer_port_;
  std::vector<rte_mbuf*> inbox_, outbox_;  // as large as they may get
  std::size_t outbox_head_ = 0;
  std::uint16_t next_port_ = source_low;
  std::uint32_t sequence_ = 1000;
  std::uint64_t answered_ = 0, wanted_ = 0, asked_ = 0, body_hash_ = 0, frames_in_ = 0, frames_out_ = 0, repeated_ = 0;
  std::uint32_t now_ms_ = 0;
  std::string fault_;
};

}  // namespace sluice::perf
