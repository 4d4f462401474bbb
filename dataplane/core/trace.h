// trace.h - the story of the packets that match: what each stage did with them, on demand (`sluicectl trace`).
// Management publishes a filter for the next N packets; parse's caller asks match() once per packet while on() holds,
// which gives the packet a story id (Meta::story, traced). Stages tell() what they did, connections and exchanges pass
// the id on. Events go to a ring per worker, read by management; a full ring loses events, counted. When nothing is
// asked for, all of it is one predictable branch.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "dataplane/base/address.h"
#include "dataplane/base/ring.h"
#include "dataplane/base/snapshot.h"
#include "dataplane/packet/packet.h"

namespace sluice {

// What to look for; what is absent matches all. Ends match in either direction.
struct TraceFilter {
  std::optional<Prefix> one, other;
  std::uint16_t port = 0;              // of either end; 0: any
  Protocol protocol = Protocol::none;  // none: any
  std::uint32_t count = 1;             // stories to tell, over all workers

  bool matches(const IpAddress& source, std::uint16_t source_port, const IpAddress& destination,
               std::uint16_t destination_port, Protocol packet_protocol) const;
};

struct TraceEvent {
  Nanos at;
  std::uint32_t story = 0;
  std::uint16_t worker = 0;
  std::uint16_t text_size = 0;
  char stage[16] = {};
  char text[96] = {};
  std::string_view stage_view() const { return {stage, strnlen(stage, sizeof stage)}; }
  std::string_view text_view() const { return {text, text_size}; }
};
static_assert(sizeof(TraceEvent) == 128);

class Trace {
 public:
  Trace(unsigned workers, std::size_t ring_size);

  // Management. A filter replaces the one before; nullopt stops.
  void watch(std::optional<TraceFilter> filter, Qsbr& qsbr);
  std::size_t take(std::span<TraceEvent> out);
  std::uint64_t lost() const;
  // Stories that may still begin.
  std::uint32_t left() const { return left_.load(std::memory_order_relaxed); }

  // Worker.
  bool on() const { return left_.load(std::memory_order_relaxed) != 0; }
  // A new story's id if the tuple matches and stories are left, else 0.
  std::uint32_t match(const IpAddress& source, std::uint16_t source_port, const IpAddress& destination,
                      std::uint16_t destination_port, Protocol protocol);
  // Story 0 is no story. Longer names and texts are cut.
  void tell(unsigned worker, Nanos at, std::uint32_t story, std::string_view stage, std::string_view text) {
    if (story) [[unlikely]]
      tell_slowly(worker, at, story, stage, text);
  }

 private:
  [[gnu::cold, gnu::noinline]] void tell_slowly(unsigned worker, Nanos at, std::uint32_t story, std::string_view stage,
                                                std::string_view text);
  struct alignas(64) PerWorker {
    explicit PerWorker(std::size_t size) : ring(size) {}
    SpscRing<TraceEvent> ring;
    std::atomic<std::uint64_t> lost{0};
  };
  std::vector<std::unique_ptr<PerWorker>> workers_;
  Published<TraceFilter> filter_;
  std::atomic<std::uint32_t> left_{0};
  std::atomic<std::uint32_t> last_story_{0};
};

}  // namespace sluice
