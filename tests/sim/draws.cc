#include "tests/sim/draws.h"

namespace sluice::sim {

using namespace literals;

namespace {

Impairment make_impairment(Rng& rng, const Shrink& shrink) {
  Impairment i;
  i.loss_ppm = rng.below(20'000);
  if (rng.below(3) == 0) i.burst_ppm = 100 + rng.below(1'000);
  i.burst_end_ppm = 150'000 + rng.below(500'000);
  i.reorder_ppm = rng.below(30'000);
  i.reorder_delay = 1_us * (100 + rng.below(3'000));
  i.duplicate_ppm = rng.below(10'000);
  i.corrupt_ppm = rng.below(3'000);
  i.delay = 1_us * rng.below(rng.below(6) ? 3'000 : 40'000);
  if (rng.below(3) == 0) i.jitter = 1_us * rng.below(500);
  if (rng.below(3) == 0) {
    i.rate_bps = 5'000'000 + rng.below(80'000'000);
    i.queue_frames = 8 + rng.below(60);
    if (rng.below(2)) i.mark_frames = i.queue_frames / 3;
  }
  if (!shrink.has(Trouble::loss)) i.loss_ppm = 0;
  if (!shrink.has(Trouble::bursts)) i.burst_ppm = 0;
  if (!shrink.has(Trouble::reorder)) i.reorder_ppm = 0;
  if (!shrink.has(Trouble::duplicate)) i.duplicate_ppm = 0;
  if (!shrink.has(Trouble::corrupt)) i.corrupt_ppm = 0;
  if (!shrink.has(Trouble::delay)) i.delay = i.jitter = {};
  if (!shrink.has(Trouble::rate)) i.rate_bps = 0, i.mark_frames = 0, i.queue_frames = 1000;
  return i;
}

CableSpec make_cable(std::uint64_t seed, Rng& rng, const Shrink& shrink) {
  CableSpec c;
  if (seed % 3 == 1 && shrink.has(Trouble::ack_loss)) c.ack_loss_ppm = 150'000;
  if (rng.below(2) && shrink.has(Trouble::forge)) c.forge_ppm = 5'000;
  if (rng.below(3) == 0 && shrink.has(Trouble::tail_loss)) c.tail_loss_ppm = 60'000;
  c.well_from = start + 60_s;
  if (seed % 5 == 4 && shrink.has(Trouble::renege)) c.renege_ppm = 300'000;
  if (seed % 6 == 2 && shrink.has(Trouble::lies)) c.blind_ppm = 500'000, c.silly_ppm = 3'000;
  if (rng.below(4) == 0 && shrink.has(Trouble::shrink)) c.shrink_ppm = 100'000, c.shrink_until = start + 5_s;
  const Nanos down = start + 1_ms * rng.below(2'000), narrow = start + 1_ms * rng.below(1'500);
  const Nanos down_for = 1_ms * (10 + rng.below(700));
  const Nanos narrow_for = rng.below(2) ? patience : 1_ms * (100 + rng.below(1'000));
  if (rng.below(3) == 0 && shrink.has(Trouble::outage)) c.down_from = down, c.down_until = down + down_for;
  c.mtu_told = rng.below(2);
  const auto mtu = static_cast<std::uint16_t>(1'280 + rng.below(180));
  if (rng.below(4) == 0 && shrink.has(Trouble::mtu))
    c.mtu = mtu, c.mtu_from = narrow, c.mtu_until = narrow + narrow_for;
  return c;
}

}  // namespace

NodeSpec make_node_spec(std::uint64_t seed, Rng& rng, const Shrink& shrink) {
  NodeSpec spec;
  spec.seed = seed;
  spec.workers = static_cast<std::uint16_t>(1 + seed % 2);
  spec.scarce = (seed % 4 == 2 || seed % 8 == 3) && shrink.has(Trouble::scarce);
  spec.rekeys = seed % 3 == 0 && shrink.has(Trouble::rekey);
  spec.swaps = shrink.has(Trouble::swaps);
  // Where a refusal is right: an ACK that is lost, and data that overtakes other data, is a RST by a cookie's nature.
  spec.cookies = spec.scarce && seed % 3 == 0 && shrink.has(Trouble::cookies);
  spec.few_ports = spec.scarce && shrink.has(Trouble::ports);  // a refusal for want of one is right there
  spec.ecn = rng.below(2) && shrink.has(Trouble::ecn) ? tcp::Ecn::ask : tcp::Ecn::accept;
  spec.offloads = rng.below(2);
  for (PortId port = 0; port < Node::ports; ++port) {
    const Impairment in = make_impairment(rng, shrink), out = make_impairment(rng, shrink);
    spec.impair[port] = {in, out, seed * 4 + port};
    spec.cable[port] = make_cable(seed, rng, shrink);
  }
  return spec;
}

std::uint16_t mss_of(std::uint64_t seed) {
  switch (seed % 5) {
    case 0: return 536;
    case 1: return 1'000;
    case 2: return 1'300;
    default: return 8'960;
  }
}

PeerSpec peer_spec(std::uint64_t seed, PortId port, const Shrink& shrink, std::initializer_list<const char*> addresses,
                   std::vector<std::uint16_t> listens) {
  PeerSpec spec{.listens = std::move(listens),
                .mac = {{2, 0, 0, 0, 1, static_cast<std::uint8_t>(port + 1)}},
                .secret = static_cast<std::uint8_t>(port + 1),
                .receive_limit = seed % 3 == 1 ? 12'000u : 65'536u};
  // Of eight seeds, one side has no SACK in two, no timestamps in two, neither in one.
  const std::uint64_t kind = (seed / 2 + port * 3) % 8;
  if (shrink.has(Trouble::plain)) spec.sack = kind != 1 && kind != 4 && kind != 6, spec.timestamps = kind < 5;
  if ((seed / 3 + port) % 2 && shrink.has(Trouble::ecn)) spec.ecn = tcp::Ecn::ask;
  if (shrink.has(Trouble::small_mss)) spec.mss = mss_of(seed);
  for (const char* address : addresses) spec.addresses.push_back(*parse_prefix(address));
  return spec;
}

}  // namespace sluice::sim
