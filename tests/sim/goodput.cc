// sluice-goodput: what one TCP connection carries over a bad link, in virtual time: our stack against itself, many
// seeds, the mean and its error, and what the sender went through. The instrument for changes to loss recovery and
// congestion control: a real link (tests/e2e/29_goodput.py) takes hours to tell 5 %.
//
//     sluice-goodput [KEY=VALUE]...
//
// loss=% (each way), rtt=ms, jitter=us, reorder=%, rate=Mbit/s and queue=frames of the way to the receiver, mark=frames
// (ECN), mb=megabytes, seeds=N, first=SEED, pacing=0|1, ecn=0|1, ack=us (delayed ACK), quick=ACKs; trace=1 prints the
// window of each turn in which it changed. Every byte is checked.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string_view>

#include "dataplane/port/impair.h"
#include "tests/sim/peer.h"
#include "tests/support/eal_main.h"

namespace sluice::sim {
namespace {

using namespace literals;

constexpr std::uint16_t service = 5001;
constexpr std::size_t pattern_period = 65'521;
constexpr Nanos turn{100'000};

struct Spec {
  std::map<std::string, double, std::less<>> values{{"loss", 1},     {"rtt", 20},     {"jitter", 0}, {"reorder", 0},
                                                    {"rate", 0},     {"queue", 1000}, {"mark", 0},   {"mb", 10},
                                                    {"seeds", 40},   {"first", 1},    {"pacing", 0}, {"ecn", 0},
                                                    {"ack", 40'000}, {"quick", 16},   {"trace", 0}};
  double operator[](std::string_view key) const { return values.find(key)->second; }
  std::uint32_t ppm(std::string_view key) const { return static_cast<std::uint32_t>((*this)[key] * 10'000 + 0.5); }
};

std::string make_pattern() {
  std::string out(pattern_period + 65'536, 0);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<char>((i % pattern_period) * 2654435761u >> 13);
  return out;
}
const std::string pattern = make_pattern();
std::string_view piece(std::uint64_t at, std::size_t size) { return {&pattern[at % pattern_period], size}; }

PeerSpec peer_spec(const char* address, std::uint8_t number, const Spec& spec) {
  PeerSpec out;
  out.addresses = {*parse_prefix(address)};
  out.listens = {service};
  out.mac = {{2, 0, 0, 0, 0, number}};
  out.secret = number;
  out.receive_limit = 4 * 1024 * 1024;
  out.tune = [&spec](tcp::Config& c) {
    c.send_limit = 4 * 1024 * 1024;
    c.out_of_order_buffers_max = 8192;
    c.pacing = spec["pacing"] != 0;
    c.delayed_ack = Nanos{static_cast<std::int64_t>(spec["ack"] * 1000)};
    c.quick_acks = static_cast<std::uint8_t>(spec["quick"]);
    if (spec["ecn"] != 0) c.ecn = tcp::Ecn::ask;
  };
  return out;
}

class Sender final : public Peer {
 public:
  Sender(const Spec& spec, Buffers& buffers, Nanos start)
      : Peer(peer_spec("10.0.0.1/24", 1, spec), buffers, start),
        total_(static_cast<std::uint64_t>(spec["mb"] * 1e6)),
        trace_(spec["trace"] != 0) {}
  void connect(Nanos now) { id_ = *stack().connect({.remote = {*parse_ip("10.0.0.2"), service}}, now); }
  bool failed() const { return failed_; }
  double mean_window() const { return static_cast<double>(windows_) / static_cast<double>(std::max(turns_, 1ul)); }
  tcp::Info info(Nanos now) {
    tcp::Info out;
    stack().info(id_, out, now);
    return out;
  }

 private:
  void event(const tcp::Event& event, Nanos) override {
    if (event.bits & (tcp::event_reset | tcp::event_timed_out)) failed_ = true;
  }
  void act(Nanos now) override {
    if (!stack().open(id_)) return;
    while (given_ < total_) {
      const auto n = static_cast<std::uint32_t>(
          std::min<std::uint64_t>({stack().send_room(id_), total_ - given_, std::uint64_t{32'768}}));
      if (n == 0) break;
      Chain out;
      const std::string_view bytes = piece(given_, n);
      if (!out.append_bytes({reinterpret_cast<const std::uint8_t*>(bytes.data()), n}, buffers_)) break;
      stack().send(id_, std::move(out));
      given_ += n;
    }
    const tcp::Info i = info(now);
    windows_ += i.cwnd_segments;
    ++turns_;
    if (!trace_ || (i.cwnd_segments == last_.cwnd_segments && i.congestion_state == last_.congestion_state)) return;
    std::printf("%.4f %-8s cwnd %u ssthresh %d out %u sacked %u lost %u again %u rtt %.1f rto %.0f\n", now.seconds(),
                std::string{tcp::to_text(i.congestion_state)}.c_str(), i.cwnd_segments,
                static_cast<int>(i.ssthresh_segments), i.segments_out, i.segments_sacked, i.segments_lost,
                i.segments_again, i.rtt.seconds() * 1e3, i.rto.seconds() * 1e3);
    last_ = i;
  }
  void datagram(const Endpoint&, const Endpoint&, std::string_view, Nanos) override {}

  const std::uint64_t total_;
  const bool trace_;
  tcp::ConnId id_;
  std::uint64_t given_ = 0, windows_ = 0, turns_ = 0;
  tcp::Info last_;
  bool failed_ = false;
};

class Receiver final : public Peer {
 public:
  Receiver(const Spec& spec, Buffers& buffers, Nanos start) : Peer(peer_spec("10.0.0.2/24", 2, spec), buffers, start) {}
  std::uint64_t received() const { return received_; }
  bool wrong() const { return wrong_; }

 private:
  void event(const tcp::Event& event, Nanos now) override {
    std::string in;
    const std::uint32_t n = read(event.id, in);
    stack().consumed(event.id, n, now);
    for (std::size_t at = 0; at < in.size(); at += 32'768) {
      const std::size_t size = std::min<std::size_t>(in.size() - at, 32'768);
      wrong_ |= std::string_view{in}.substr(at, size) != piece(received_ + at, size);
    }
    received_ += n;
  }
  void act(Nanos) override {}
  void datagram(const Endpoint&, const Endpoint&, std::string_view, Nanos) override {}

  std::uint64_t received_ = 0;
  bool wrong_ = false;
};

// What is summed over the seeds.
struct Count {
  const char* name;
  Counter counter;
};
constexpr Count counts[] = {
    {"resent", Counter::tcp_retransmitted_segments},    {"recoveries", Counter::tcp_fast_recoveries},
    {"RTOs", Counter::tcp_retransmission_timeouts},     {"TLPs", Counter::tcp_tail_probes},
    {"TLP losses", Counter::tcp_tail_probe_recoveries}, {"spurious", Counter::tcp_spurious_recoveries},
    {"spurious RTOs", Counter::tcp_spurious_timeouts},  {"ECN cuts", Counter::tcp_ecn_reductions}};

struct Result {
  double mbits = 0, window = 0;
  std::uint64_t lost = 0;
  std::uint64_t counted[std::size(counts)] = {};
};

// Frames that came in at one end go out at the other.
void carry(Port& from, Port& to, Nanos now) {
  rte_mbuf* frames[32];
  for (;;) {
    const std::uint16_t n = from.receive(0, frames, now);
    if (n == 0) return;
    const std::uint16_t sent = to.transmit(0, {frames, n}, now);
    for (std::uint16_t i = sent; i < n; ++i) rte_pktmbuf_free(frames[i]);
  }
}

bool run(const Spec& spec, std::uint64_t seed, Buffers& buffers, Result& result) {
  Nanos now{1'000'000'000};
  Sender sender{spec, buffers, now};
  Receiver receiver{spec, buffers, now};
  auto left = std::make_unique<MemoryPort>(PortCaps{}, buffers, 4096);
  MemoryPort right{PortCaps{}, buffers, 4096};
  MemoryPort::connect(sender.port(), *left);
  MemoryPort::connect(receiver.port(), right);
  const Nanos way{static_cast<std::int64_t>(spec["rtt"] * 500'000)};
  Impairment forth{.loss_ppm = spec.ppm("loss"),
                   .reorder_ppm = spec.ppm("reorder"),
                   .delay = way,
                   .jitter = Nanos{static_cast<std::int64_t>(spec["jitter"] * 1000)},
                   .rate_bps = static_cast<std::uint64_t>(spec["rate"] * 1e6),
                   .queue_frames = spec["rate"] != 0 ? static_cast<std::uint32_t>(spec["queue"]) : 8192,
                   .mark_frames = static_cast<std::uint32_t>(spec["mark"])};
  const Impairment back{.loss_ppm = spec.ppm("loss"), .delay = way, .queue_frames = 8192};
  Impaired link{std::move(left), {.receive = forth, .transmit = back, .seed = seed}};
  sender.connect(now);
  const auto total = static_cast<std::uint64_t>(spec["mb"] * 1e6);
  const Nanos began = now, patience{100'000'000'000'000};
  while (receiver.received() < total) {
    sender.turn(now);
    carry(link, right, now);
    receiver.turn(now);
    carry(right, link, now);
    if (sender.failed() || receiver.wrong() || now - began > patience)
      return std::printf("seed %llu: %s after %llu bytes\n", static_cast<unsigned long long>(seed),
                         receiver.wrong() ? "wrong bytes" : "no end",
                         static_cast<unsigned long long>(receiver.received())),
             false;
    now += turn;
  }
  result.mbits = static_cast<double>(total) * 8 / (now - began).seconds() / 1e6;
  result.window = sender.mean_window();
  result.lost = link.received().lost + link.received().overflowed;
  for (std::size_t i = 0; i < std::size(counts); ++i) result.counted[i] = sender.counters().get(counts[i].counter);
  return true;
}

int run_all(const Spec& spec) {
  Buffers buffers{"goodput", 16384, 16384, 0, -1};
  if (!buffers.ok()) return std::fprintf(stderr, "no memory for packet buffers\n"), 1;
  const auto seeds = static_cast<std::uint64_t>(spec["seeds"]), first = static_cast<std::uint64_t>(spec["first"]);
  double sum = 0, squares = 0, window = 0, lost = 0, counted[std::size(counts)] = {};
  for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
    Result r;
    if (!run(spec, seed, buffers, r)) return 1;
    sum += r.mbits;
    squares += r.mbits * r.mbits;
    window += r.window;
    lost += static_cast<double>(r.lost);
    for (std::size_t i = 0; i < std::size(counts); ++i) counted[i] += static_cast<double>(r.counted[i]);
  }
  const double n = static_cast<double>(seeds), mean = sum / n;
  const double error = seeds > 1 ? std::sqrt(std::max(squares / n - mean * mean, 0.0) / (n - 1)) : 0;
  std::printf("%.3f +- %.3f Mbit/s over %.0f seeds; mean window %.2f; of %.0f MB each: lost %.1f", mean, error, n,
              window / n, spec["mb"], lost / n);
  for (std::size_t i = 0; i < std::size(counts); ++i) std::printf(", %s %.2f", counts[i].name, counted[i] / n);
  std::printf("\n");
  return 0;
}

}  // namespace
}  // namespace sluice::sim

int main(int argc, char** argv) {
  sluice::sim::Spec spec;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const std::size_t at = word.find('=');
    const auto found = spec.values.find(word.substr(0, at));
    if (at == word.npos || found == spec.values.end()) {
      std::fprintf(stderr, "%s: keys are", argv[i]);
      for (const auto& [key, value] : spec.values) std::fprintf(stderr, " %s=%g", key.c_str(), value);
      return std::fprintf(stderr, "\n"), 2;
    }
    found->second = std::strtod(word.data() + at + 1, nullptr);
  }
  if (!sluice::test::start_eal(argv[0], "192")) return std::fprintf(stderr, "EAL does not start\n"), 1;
  const int result = sluice::sim::run_all(spec);
  sluice::test::stop_eal();
  return result;
}
