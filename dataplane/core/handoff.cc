#include "dataplane/core/handoff.h"

namespace sluice {

Handoff::Handoff(unsigned workers, std::size_t ring_size) : workers_(workers), turns_(workers) {
  for (unsigned from = 0; from < workers; ++from)
    for (unsigned to = 0; to < workers; ++to)
      rings_.push_back(from == to ? nullptr : std::make_unique<Ring>(ring_size));
}

void Handoff::send(unsigned from, unsigned to, std::span<Packet> packets, Counters& counters) {
  DCHECK(from != to);
  for (Packet& packet : packets) packet.meta().handed_off = true;
  const std::size_t taken = ring(from, to).push(packets);
  counters.add(Counter::handoff_sent, taken);
  for (Packet& packet : packets.subspan(taken)) drop(std::move(packet), Counter::drop_handoff_full, counters);
}

std::size_t Handoff::receive(unsigned to, std::span<Packet> out) {
  std::size_t n = 0;
  unsigned& first = turns_[to].first;
  for (unsigned i = 0; i < workers_ && n < out.size(); ++i) {
    const unsigned from = (first + i) % workers_;
    if (from != to) n += ring(from, to).pop(out.subspan(n));
  }
  first = (first + 1) % workers_;
  return n;
}

std::size_t Handoff::waiting(unsigned to) const {
  std::size_t n = 0;
  for (unsigned from = 0; from < workers_; ++from)
    if (from != to) n += ring(from, to).size();
  return n;
}

}  // namespace sluice
