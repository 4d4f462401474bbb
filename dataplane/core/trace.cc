#include "dataplane/core/trace.h"

#include <algorithm>

namespace sluice {

bool TraceFilter::matches(const IpAddress& source, std::uint16_t source_port, const IpAddress& destination,
                          std::uint16_t destination_port, Protocol packet_protocol) const {
  if (protocol != Protocol::none && protocol != packet_protocol) return false;
  if (port && port != source_port && port != destination_port) return false;
  const auto fits = [](const std::optional<Prefix>& prefix, const IpAddress& address) {
    return !prefix || prefix->contains(address);
  };
  return (fits(one, source) && fits(other, destination)) || (fits(one, destination) && fits(other, source));
}

Trace::Trace(unsigned workers, std::size_t ring_size) {
  for (unsigned worker = 0; worker < workers; ++worker) workers_.push_back(std::make_unique<PerWorker>(ring_size));
}

void Trace::watch(std::optional<TraceFilter> filter, Qsbr& qsbr) {
  left_ = 0;
  const std::uint32_t count = filter ? filter->count : 0;
  filter_.publish(filter ? std::make_unique<const TraceFilter>(*filter) : nullptr, qsbr);
  left_ = count;
}

std::size_t Trace::take(std::span<TraceEvent> out) {
  std::size_t n = 0;
  for (auto& worker : workers_) n += worker->ring.pop(out.subspan(n));
  return n;
}

std::uint64_t Trace::lost() const {
  std::uint64_t n = 0;
  for (const auto& worker : workers_) n += worker->lost.load(std::memory_order_relaxed);
  return n;
}

std::uint32_t Trace::match(const IpAddress& source, std::uint16_t source_port, const IpAddress& destination,
                           std::uint16_t destination_port, Protocol protocol) {
  const TraceFilter* filter = filter_.read();
  if (!filter || !filter->matches(source, source_port, destination, destination_port, protocol)) return 0;
  std::uint32_t left = left_.load();
  while (left)
    if (left_.compare_exchange_weak(left, left - 1)) return last_story_.fetch_add(1) + 1;
  return 0;
}

void Trace::tell_slowly(unsigned worker, Nanos at, std::uint32_t story, std::string_view stage, std::string_view text) {
  TraceEvent event;
  event.at = at;
  event.story = story;
  event.worker = static_cast<std::uint16_t>(worker);
  std::memcpy(event.stage, stage.data(), std::min(stage.size(), sizeof event.stage));
  event.text_size = static_cast<std::uint16_t>(std::min(text.size(), sizeof event.text));
  std::memcpy(event.text, text.data(), event.text_size);
  if (!workers_[worker]->ring.push(event)) workers_[worker]->lost.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace sluice
