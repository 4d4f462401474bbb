#include "mgmt/ctl/print.h"

#include <fmt/format.h>

#include <array>
#include <ctime>
#include <map>
#include <string_view>

#include "mgmt/ctl/table.h"

namespace sluice::ctl {

namespace {

using enum Table::Align;

std::string text_of(const flatbuffers::String* s) { return s ? s->str() : std::string{}; }

template <typename T, typename F>
void for_each(const flatbuffers::Vector<flatbuffers::Offset<T>>* items, F&& f) {
  if (items)
    for (const T* item : *items) f(*item);
}

std::string joined(const flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>>* words) {
  std::string out;
  if (words)
    for (const flatbuffers::String* word : *words) out += (out.empty() ? "" : " ") + word->str();
  return out.empty() ? "-" : out;
}

std::string fault_line(const fb::Fault& fault) {
  const std::string path = text_of(fault.path());
  return fmt::format("  {}{}{}\n", path, path.empty() ? "" : ": ", text_of(fault.message()));
}

std::string time_text(std::uint64_t unix_ms) {
  const std::time_t seconds = static_cast<std::time_t>(unix_ms / 1000);
  std::tm parts{};
  localtime_r(&seconds, &parts);
  char text[64];
  std::strftime(text, sizeof text, "%F %T", &parts);
  return text;
}

std::string_view name_of(fb::ServiceProtocol protocol) { return fb::EnumNameServiceProtocol(protocol); }

std::string share(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? "-" : fmt::format("{:.1f}%", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

// The bucket's upper edge below which the share lies, in microseconds; "-" without a sample.
std::string quantile(const fb::Histogram* latency, double share) {
  if (!latency || !latency->counts()) return "-";
  std::uint64_t sum = 0, seen = 0;
  for (const std::uint64_t count : *latency->counts()) sum += count;
  if (sum == 0) return "-";
  for (flatbuffers::uoffset_t i = 0; i < latency->counts()->size(); ++i) {
    seen += latency->counts()->Get(i);
    if (static_cast<double>(seen) < share * static_cast<double>(sum)) continue;
    if (!latency->upper_us() || i >= latency->upper_us()->size()) break;
    const std::uint64_t us = latency->upper_us()->Get(i);
    return us < 10'000 ? fmt::format("{}us", us) : fmt::format("{}ms", us / 1000);
  }
  return "more";
}

std::string rate_text(std::uint64_t bytes_per_second) {
  const double bits = 8 * static_cast<double>(bytes_per_second);
  return bits >= 1e9   ? fmt::format("{:.2f}Gbps", bits / 1e9)
         : bits >= 1e6 ? fmt::format("{:.1f}Mbps", bits / 1e6)
                       : fmt::format("{:.0f}bps", bits);
}

// One connection in two lines, with the words of `ss -ti` where it has one.
std::string detail_text(const fb::ConnectionStatus& c, const fb::ConnectionDetail& d) {
  std::string out = fmt::format("{} {} {}  {} <> {}  {}{}\n   ", c.worker(), text_of(c.side()), text_of(c.object()),
                                text_of(c.local()), text_of(c.remote()), text_of(c.state()),
                                c.tls() && c.tls()->size() ? "  " + c.tls()->str() : "");
  const auto add = [&]<typename... T>(fmt::format_string<T...> format, T&&... parts) {
    out += " " + fmt::format(format, std::forward<T>(parts)...);
  };
  const auto add_if = [&](std::uint64_t value, std::string_view name) {
    if (value) add("{}:{}", name, value);
  };
  const auto ms = [](std::uint32_t us) { return us / 1000.0; };
  if (d.timestamps()) add("ts");
  if (d.sack()) add("sack");
  if (d.ecn()) add("ecn");
  add("cubic wscale:{},{} rto:{} rtt:{:.3f}/{:.3f} minrtt:{:.3f}", d.send_scale(), d.receive_scale(), ms(d.rto_us()),
      ms(c.smoothed_rtt_us()), ms(d.rtt_variance_us()), ms(d.rtt_min_us()));
  add("mss:{} rcvmss:{}", d.mss(), d.receive_mss());
  add_if(d.path_mtu(), "pmtu");
  add("cwnd:{}", d.cwnd_segments());
  add_if(d.ssthresh_segments(), "ssthresh");
  add("bytes_sent:{} bytes_acked:{} bytes_received:{}", c.bytes_out(), d.bytes_acknowledged(), c.bytes_in());
  add_if(d.unacknowledged_segments(), "unacked");
  add("in_flight:{} retrans:{} timeouts:{}", d.in_flight(), c.retransmissions(), d.timeouts());
  add_if(d.lost_segments(), "lost");
  add_if(d.sacked_segments(), "sacked");
  if (d.recovering()) add("recovering");
  if (d.reordering()) add("reordering");
  add("reo_wnd:{:.3f} delivery_rate:{}", ms(d.reordering_window_us()), rate_text(d.delivery_rate()));
  if (d.pacing_rate()) add("pacing_rate:{}", rate_text(d.pacing_rate()));
  add("snd_wnd:{} rcv_wnd:{} send_q:{} recv_q:{}", d.peer_window(), d.our_window(), d.send_queue(), d.receive_queue());
  add_if(d.out_of_order(), "ooo");
  add("limited_by:{} age:{} idle:{}\n", text_of(d.limited_by()), duration_text(c.age_ms()), duration_text(c.idle_ms()));
  return out;
}

std::string ports_text(std::uint16_t first, std::uint16_t last) {
  if (first == 0 && last == 0) return "*";
  return last ? fmt::format("{}-{}", first, last) : fmt::format("{}", first);
}

}  // namespace

std::string print_refusal(const fb::Reply& reply) {
  std::string out = reply.message() ? reply.message()->str() : "";
  const std::string outcome = fb::EnumNameOutcome(reply.outcome());
  if (!out.starts_with(outcome)) out = out.empty() ? outcome : outcome + ": " + out;
  out += '\n';
  for_each(reply.faults(), [&](const fb::Fault& fault) { out += fault_line(fault); });
  return out;
}

std::string print(const fb::Applied& applied, bool dry_run) {
  std::string out =
      dry_run ? fmt::format("generation {} would change so ({} ms):\n", applied.generation(), applied.took_ms())
              : fmt::format("generation {} runs ({} ms)\n", applied.generation(), applied.took_ms());
  std::size_t changes = 0;
  for_each(applied.changes(), [&](const fb::Change& change) {
    ++changes;
    out += fmt::format("  {} {} {}\n", fb::EnumNameChangeKind(change.kind()), text_of(change.object()),
                       text_of(change.name()));
  });
  if (applied.more_changes()) out += fmt::format("  and {} more\n", applied.more_changes());
  if (changes == 0) out += "  no change\n";
  for_each(applied.warnings(), [&](const fb::Fault& warning) { out += "warning:" + fault_line(warning).substr(1); });
  return out;
}

std::string print(const fb::StatusReport& s) {
  std::string out = fmt::format("sluiced {} ({}), pid {}, up {}{}\n", text_of(s.version()), text_of(s.commit()),
                                s.pid(), duration_text(s.uptime_ms()), s.draining() ? ", DRAINING" : "");
  out += s.generation() ? fmt::format("policy generation {}, applied {}, {} snapshot(s) alive\n", s.generation(),
                                      time_text(s.applied_unix_ms()), s.snapshots_alive())
                        : "no policy was applied yet\n";
  if (s.store_error() && s.store_error()->size()) out += fmt::format("NOT KEPT ON DISK: {}\n", s.store_error()->str());
  out += fmt::format("{} listener(s), {} route(s), {} cluster(s), {} endpoint(s), {} service(s)\n\n", s.listeners(),
                     s.routes(), s.clusters(), s.endpoints(), s.services());
  Table workers{{{"WORKER", right},
                 {"CPU", right},
                 {"BUSY", right},
                 {"CONNECTIONS", right},
                 {"FLOWS", right},
                 {"BUFFERS FREE", right}}};
  for_each(s.workers(), [&](const fb::WorkerStatus& w) {
    workers.row({std::to_string(w.worker()), std::to_string(w.core()), share(w.busy_tsc(), w.total_tsc()),
                 grouped(w.connections()), grouped(w.flows()), grouped(w.packet_buffers_free())});
  });
  Table ports{{{"PORT"}, {"DRIVER"}, {"QUEUES", right}, {"MAC"}, {"MTU", right}, {"LINK"}, {"RSS"}, {"OFFLOADS"}}};
  for_each(s.ports(), [&](const fb::PortStatus& p) {
    ports.row({text_of(p.name()), text_of(p.driver()), std::to_string(p.queues()), text_of(p.mac()),
               std::to_string(p.mtu()), p.link_up() ? "up" : "down", p.rss() ? "yes" : "no", joined(p.offloads())});
  });
  return out + workers.text() + '\n' + ports.text();
}

std::string print(const fb::ServicesReport& services) {
  Table table{{{"SERVICE"},
               {"ADDRESS"},
               {"PROTO"},
               {"PORT"},
               {"CLUSTER"},
               {"BACKEND"},
               {"AT"},
               {"WEIGHT", right},
               {"ACTIVE", right},
               {"FLOWS", right}}};
  for_each(services.services(), [&](const fb::ServiceStatus& s) {
    std::vector<std::string> head = {text_of(s.name()), text_of(s.address()), std::string{name_of(s.protocol())},
                                     ports_text(s.port(), s.last_port()), text_of(s.cluster())};
    const auto add = [&](std::vector<std::string> tail) {
      std::vector<std::string> row = head;
      row.insert(row.end(), tail.begin(), tail.end());
      table.row(std::move(row));
      head.assign(head.size(), "");
    };
    for_each(s.backends(), [&](const fb::BackendStatus& b) {
      add({text_of(b.name()), text_of(b.address()), std::to_string(b.weight()), grouped(b.active_flows()),
           grouped(b.flows())});
    });
    if (!s.backends() || s.backends()->size() == 0) add({"(none)", "", "", "", ""});
  });
  return table.empty() ? "no service\n" : table.text();
}

std::string print(const fb::FlowsReport& flows) {
  Table table{{{"W", right},
               {"SERVICE"},
               {"PROTO"},
               {"CLIENT"},
               {"DESTINATION"},
               {"SOURCE"},
               {"BACKEND"},
               {"AT"},
               {"STATE"},
               {"IDLE", right},
               {"PACKETS IN/OUT", right},
               {"BYTES IN/OUT", right}}};
  std::size_t listed = 0;
  for_each(flows.flows(), [&](const fb::FlowStatus& f) {
    ++listed;
    table.row({std::to_string(f.worker()), text_of(f.service()), std::string{name_of(f.protocol())},
               text_of(f.client()), text_of(f.destination()), text_of(f.source()), text_of(f.backend_name()),
               text_of(f.backend()), text_of(f.state()), duration_text(f.idle_ms()),
               fmt::format("{}/{}", f.packets_in(), f.packets_out()),
               fmt::format("{}/{}", f.bytes_in(), f.bytes_out())});
  });
  return table.text() + fmt::format("{} of {} flow(s)\n", listed, flows.total());
}

std::string print(const fb::ConnectionsReport& connections) {
  Table table{{{"W", right},
               {"SIDE"},
               {"OF"},
               {"LOCAL"},
               {"REMOTE"},
               {"STATE"},
               {"TLS"},
               {"AGE", right},
               {"IDLE", right},
               {"IN", right},
               {"OUT", right},
               {"CWND", right},
               {"RTT", right},
               {"RETX", right}}};
  std::size_t listed = 0;
  std::string details;
  for_each(connections.connections(), [&](const fb::ConnectionStatus& c) {
    ++listed;
    if (c.detail()) details += detail_text(c, *c.detail());
    table.row({std::to_string(c.worker()), text_of(c.side()), text_of(c.object()), text_of(c.local()),
               text_of(c.remote()), text_of(c.state()), c.tls() && c.tls()->size() ? c.tls()->str() : "-",
               duration_text(c.age_ms()), duration_text(c.idle_ms()), grouped(c.bytes_in()), grouped(c.bytes_out()),
               grouped(c.congestion_window()), fmt::format("{}us", c.smoothed_rtt_us()),
               std::to_string(c.retransmissions())});
  });
  return (details.empty() ? table.text() : details) +
         fmt::format("{} of {} connection(s){}\n", listed, connections.total(),
                     connections.partial() ? "; not all were looked at, in the time that an answer may take" : "");
}

std::string print(const fb::TraceReport& trace) {
  std::string out;
  std::size_t count = 0;
  for_each(trace.stories(), [&](const fb::TraceStory& story) {
    out += fmt::format("packet {} (worker {})\n", ++count, story.worker());
    if (story.lines())
      for (const flatbuffers::String* line : *story.lines()) out += fmt::format("  {}\n", line->str());
  });
  return out + fmt::format("{} packet(s), {} still awaited\n", count, trace.waiting());
}

namespace {

struct Rates {
  std::map<std::string, std::uint64_t> before;
  double seconds = 0;

  bool on() const { return seconds > 0; }
  std::string rate(const std::string& key, std::uint64_t now) const {
    const auto found = before.find(key);
    const double moved = static_cast<double>(now) - static_cast<double>(found == before.end() ? 0 : found->second);
    return fmt::format("{:.0f}/s", moved / seconds);
  }
  bool moved(const std::string& key, std::uint64_t now) const {
    const auto found = before.find(key);
    return found == before.end() ? now != 0 : found->second != now;
  }
};

std::string object_key(const fb::ObjectStats& o) {
  return fmt::format("{}/{}", fb::EnumNameObjectKind(o.kind()), text_of(o.name()));
}

Rates rates_since(const fb::StatsReport* before, double seconds) {
  Rates rates;
  if (!before) return rates;
  rates.seconds = seconds;
  for_each(before->counters(), [&](const fb::CounterValue& c) { rates.before[text_of(c.name())] = c.value(); });
  for_each(before->objects(),
           [&](const fb::ObjectStats& o) { rates.before[object_key(o)] = o.requests() + o.connections(); });
  return rates;
}

Table counters_table(const fb::StatsReport& stats, bool all, const Rates& rates) {
  std::vector<Table::Column> columns = {{"COUNTER"}, {"VALUE", right}, {"UNIT"}};
  if (rates.on()) columns.push_back({"RATE", right});
  columns.push_back({"BY WORKER"});
  Table table{columns};
  for_each(stats.counters(), [&](const fb::CounterValue& c) {
    const std::string name = text_of(c.name());
    if (!all && (rates.on() ? !rates.moved(name, c.value()) : c.value() == 0)) return;
    std::vector<std::string> row = {name, grouped(c.value()), text_of(c.unit())};
    if (rates.on()) row.push_back(rates.rate(name, c.value()));
    std::string workers;
    if (c.per_worker() && c.per_worker()->size() > 1)
      for (const std::uint64_t one : *c.per_worker()) workers += (workers.empty() ? "" : " ") + grouped(one);
    row.push_back(workers);
    table.row(std::move(row));
  });
  return table;
}

Table objects_table(const fb::StatsReport& stats, const Rates& rates) {
  std::vector<Table::Column> columns = {{"KIND"},
                                        {"NAME"},
                                        {"REQUESTS", right},
                                        {"ACTIVE", right},
                                        {"1XX", right},
                                        {"2XX", right},
                                        {"3XX", right},
                                        {"4XX", right},
                                        {"5XX", right},
                                        {"FAILURES", right},
                                        {"CONNECTIONS", right},
                                        {"OPEN", right},
                                        {"BYTES IN", right},
                                        {"BYTES OUT", right},
                                        {"P50", right},
                                        {"P99", right}};
  if (rates.on()) columns.push_back({"RATE", right});
  Table table{columns};
  for_each(stats.objects(), [&](const fb::ObjectStats& o) {
    std::vector<std::string> row = {fb::EnumNameObjectKind(o.kind()), text_of(o.name()), grouped(o.requests()),
                                    grouped(o.active_requests())};
    for (flatbuffers::uoffset_t i = 0; i < 5; ++i)
      row.push_back(o.responses() && i < o.responses()->size() ? grouped(o.responses()->Get(i)) : "-");
    for (const std::uint64_t n : {o.failures(), o.connections(), o.active_connections(), o.bytes_in(), o.bytes_out()})
      row.push_back(grouped(n));
    row.push_back(quantile(o.latency(), 0.5));
    row.push_back(quantile(o.latency(), 0.99));
    if (rates.on()) row.push_back(rates.rate(object_key(o), o.requests() + o.connections()));
    table.row(std::move(row));
  });
  return table;
}

}  // namespace

std::string print(const fb::StatsReport& stats, bool all, const fb::StatsReport* before, double seconds) {
  const Rates rates = rates_since(before, seconds);
  const std::string counters = counters_table(stats, all, rates).text(), objects = objects_table(stats, rates).text();
  return counters + (counters.empty() || objects.empty() ? "" : "\n") + objects;
}

}  // namespace sluice::ctl
