// wire.cc - the impairing port as a wire between two kernels: frames of one device go out of the other, both ways, and
// the first device is impaired, as a node's port is by its node file. What Linux reaches over this wire is what the
// node's own transfers are compared with (tests/e2e/29_goodput.py).
//     sluice-wire PREFIX DEVICE DEVICE LOSS_PPM DELAY_US SEED
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "dataplane/base/clock.h"
#include "dataplane/port/device.h"
#include "dataplane/port/eal.h"
#include "dataplane/port/impair.h"

namespace sluice {

namespace {

volatile std::sig_atomic_t ended = 0;

// Frames that came in one burst; whether there were any.
bool pass(Port& from, Port& to, Nanos now) {
  std::array<rte_mbuf*, 32> frames;
  const std::uint16_t n = from.receive(0, frames, now);
  std::uint16_t sent = 0;
  for (unsigned tries = 0; sent < n && tries < 1000; ++tries)
    sent += to.transmit(0, std::span{frames}.subspan(sent, n - sent), now);
  for (; sent < n; ++sent) free_buffers(frames[sent]);
  return n > 0;
}

std::unique_ptr<Device> open(const char* device, Buffers& buffers) {
  auto opened = open_device({.name = device, .device = device}, buffers);
  if (!opened) {
    std::fprintf(stderr, "sluice-wire: %s\n", opened.error().c_str());
    std::exit(5);
  }
  return std::move(*opened);
}

int run(char** words) {
  auto eal = Eal::start({.prefix = words[1], .memory_mib = 128, .hugepages = Hugepages::never});
  if (!eal) {
    std::fprintf(stderr, "sluice-wire: %s\n", eal.error().c_str());
    return 4;
  }
  const auto number = [words](int at) { return std::strtoull(words[at], nullptr, 10); };
  const Clock clock;
  Buffers buffers{"wire", 16'383, 1'023, 256, -1};
  if (!buffers.ok()) return 4;
  const Impairment bad{.loss_ppm = static_cast<std::uint32_t>(number(4)),
                       .delay = Nanos{static_cast<std::int64_t>(number(5)) * 1000}};
  Impaired near{open(words[2], buffers), {.receive = bad, .transmit = bad, .seed = number(6)}};
  const std::unique_ptr<Device> far = open(words[3], buffers);
  std::puts("ready");
  std::fflush(stdout);
  while (!ended) {
    const Nanos now = clock.now();
    const bool in = pass(near, *far, now), out = pass(*far, near, now);
    near.transmit(0, {}, now);  // what is due
    constexpr timespec rest{0, 20'000};
    if (!in && !out) nanosleep(&rest, nullptr);
  }
  return 0;
}

}  // namespace

}  // namespace sluice

int main(int count, char** words) {
  if (count != 7) {
    std::fputs("usage: sluice-wire PREFIX DEVICE DEVICE LOSS_PPM DELAY_US SEED\n", stderr);
    return 2;
  }
  for (const int number : {SIGTERM, SIGINT}) std::signal(number, [](int) { sluice::ended = 1; });
  return sluice::run(words);
}
