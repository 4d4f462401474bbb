// The connections of all workers. Each is asked for a part of its pool at a time, between two turns, so that however
// many there are no turn is long, and the whole answer is bounded in time as well.
#include <fmt/format.h>

#include <unordered_map>

#include "mgmt/reports.h"

namespace sluice::mgmt {

namespace {

using flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;
using policy::ObjectKind;

// Others wait for their answers meanwhile.
constexpr Nanos patience{40'000'000};

struct Seen {
  tcp::Info info;
  Side side = Side::client;
  std::uint32_t object = policy::no_id;
  bool known = false, secure = false;
  Suite suite{};
  Nanos idle{};
};

// On the worker.
Seen look(const tcp::Info& info, Pipeline& pipeline, Nanos now) {
  Seen seen{.info = info};
  const Connection* c = pipeline.exchanges().connection(info.user);
  if (!c) return seen;
  seen.known = true;
  seen.side = c->side;
  seen.object = c->object;
  seen.secure = c->secure;
  seen.idle = now - c->last_active;
  if (c->secure) seen.suite = pipeline.tls().info(c->tls).suite;
  return seen;
}

// Those from `place` on, and where to go on; nothing when the worker has no time.
std::optional<std::uint32_t> look_on(Plane& plane, unsigned worker, std::uint32_t place, std::vector<Seen>& seen) {
  std::uint32_t next = 0;
  const bool asked = plane.ask(worker, [&](Pipeline& pipeline, Nanos now) {
    std::array<tcp::Info, 64> infos;
    std::size_t count = 0;
    next = pipeline.tcp().list(place, infos, count, now);
    for (std::size_t i = 0; i < count; ++i) seen.push_back(look(infos[i], pipeline, now));
  });
  return asked ? std::optional{next} : std::nullopt;
}

std::uint32_t micros(Nanos time) { return static_cast<std::uint32_t>(time.micros()); }

Offset<fb::ConnectionDetail> write_detail(FlatBufferBuilder& out, const tcp::Info& i) {
  const auto limited_by = out.CreateSharedString(std::string{tcp::to_text(i.limited_by)});
  return fb::CreateConnectionDetail(
      out, i.ssthresh, i.mss, i.receive_mss, i.path_mtu, i.send_scale, i.receive_scale, i.timestamps, i.sack, i.ecn,
      i.in_recovery, i.reordering, micros(i.reordering_window), micros(i.rtt_variance), micros(i.rtt_min),
      micros(i.rto), i.in_flight, i.lost, i.sacked, i.peer_window, i.our_window, i.send_queue, i.receive_queue,
      i.out_of_order, i.bytes_acknowledged, i.delivery_rate, i.pacing_rate, i.timeouts, limited_by, i.cwnd_segments,
      i.ssthresh ? i.ssthresh_segments : 0, i.segments_out, i.segments_lost, i.segments_sacked);
}

Offset<fb::ConnectionStatus> write(FlatBufferBuilder& out, unsigned worker, const Seen& seen, const std::string& object,
                                   bool detail) {
  const tcp::Info& i = seen.info;
  const auto text = [&](const auto& view) { return out.CreateString(std::string{view}); };
  const SuiteInfo* suite = seen.secure ? find_suite(seen.suite) : nullptr;
  const auto details = detail ? write_detail(out, i) : Offset<fb::ConnectionDetail>{};
  return fb::CreateConnectionStatus(
      out, static_cast<std::uint16_t>(worker),
      out.CreateSharedString(seen.side == Side::client ? "listener" : "endpoint"), out.CreateSharedString(object),
      text(to_text(i.local).view()), text(to_text(i.remote).view()),
      out.CreateSharedString(std::string{tcp::to_text(i.state)}),
      out.CreateSharedString(std::string{suite         ? std::string_view{suite->name}
                                         : seen.secure ? "handshake"
                                                       : ""}),
      static_cast<std::uint64_t>(i.age.millis()), static_cast<std::uint64_t>(seen.idle.millis()), i.bytes_received,
      i.bytes_sent, i.cwnd, micros(i.rtt), i.retransmits, details);
}

// Names of the objects that connections belong to, each looked up once.
class Names {
 public:
  explicit Names(const Publisher& publisher) : policy_(publisher.current()) {}
  const std::string& of(const Seen& seen) {
    if (!seen.known) return none_;
    const bool listener = seen.side == Side::client;
    const auto [at, fresh] = names_.try_emplace(std::uint64_t{seen.object} << 1 | listener);
    if (fresh) at->second = name_of(policy_, listener ? ObjectKind::listener : ObjectKind::endpoint, seen.object);
    return at->second;
  }

 private:
  const Policy policy_;
  const std::string none_;
  std::unordered_map<std::uint64_t, std::string> names_;
};

}  // namespace

Offset<fb::ConnectionsReport> report_connections(FlatBufferBuilder& out, const ReportSources& from,
                                                 const fb::Connections& request) {
  const std::string only = request.listener() ? request.listener()->str() : "";
  Names names{from.publisher};
  const Nanos until = from.plane.clock().now() + patience;
  std::vector<Offset<fb::ConnectionStatus>> connections;
  std::uint64_t total = 0;
  bool partial = false;
  for (unsigned worker = 0; worker < from.plane.workers().size(); ++worker) {
    // Those that nobody wants to see need not be asked for.
    if (only.empty()) total += open_connections(*from.plane.workers()[worker]);
    std::optional<std::uint32_t> place = 0;
    do {
      if (connections.size() >= request.limit() && only.empty()) break;
      partial = partial || from.plane.clock().now() > until;
      std::vector<Seen> seen;
      place = partial ? std::nullopt : look_on(from.plane, worker, *place, seen);
      partial = partial || !place;
      for (const Seen& one : seen) {
        const std::string& object = names.of(one);
        if (!only.empty() && (one.side != Side::client || object != only)) continue;
        if (!only.empty()) ++total;
        if (connections.size() < request.limit())
          connections.push_back(write(out, worker, one, object, request.detail()));
      }
    } while (place && *place != 0);
  }
  total = std::max<std::uint64_t>(total, connections.size());
  return fb::CreateConnectionsReport(out, out.CreateVector(connections), total, partial);
}

}  // namespace sluice::mgmt

// Tested in tests/unit/mgmt/reports_test.cc.
