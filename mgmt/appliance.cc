#include "mgmt/appliance.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>

#include "mgmt/exposition.h"
#include "mgmt/security.h"
#include "mgmt/version.h"

namespace sluice::mgmt {

using namespace literals;

namespace {

constexpr Nanos tick = 20_ms;
constexpr std::uint64_t ticket_lifetime_s = 12 * 3600;  // a ticket key seals for so long, and opens for twice as long

sigset_t handled_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  return set;
}

}  // namespace

std::expected<std::unique_ptr<Appliance>, StartError> Appliance::start(const NodeConfig& config, Log& log) {
  const auto topology = plan_topology(config, allowed_cpus());
  if (!topology)
    return std::unexpected{StartError{ExitCode::usage, fmt::format("{}", fmt::join(topology.error().lines, "\n"))}};
  for (const std::string& warning : topology->warnings) log.warning(warning);

  // Signals are for the loop alone: every thread made from here on has them blocked.
  const sigset_t signals = handled_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  std::unique_ptr<Appliance> node{new Appliance{config, log}};
  auto plane = Plane::open(config, *topology);
  if (!plane) return std::unexpected{plane.error()};
  node->plane_ = std::move(*plane);
  if (!node->plane_->eal().note().empty()) log.warning(node->plane_->eal().note());
  if (auto done = node->open_files(); !done) return std::unexpected{done.error()};

  const auto key = tls::TicketKeys::random_key();
  if (!key) return std::unexpected{StartError{ExitCode::failed, "the system gives no random numbers"}};
  tls::TicketKeys keys;
  keys.current = *key;
  node->keyring_.set(keys);

  std::vector<std::string> port_names;
  for (const PortSeat& port : node->plane_->ports()) port_names.push_back(port.name);
  const auto speaks = node->plane_->addresses().ranges();
  const Means means{node->plane_->libraries(), node->keyring_, node->databases_,
                    NodeFacts{config.objects, port_names, {speaks.begin(), speaks.end()}}, config.workers};
  node->publisher_ = std::make_unique<Publisher>(means, DecodeLimits{}, node->plane_->qsbr(), *node, &*node->store_);
  std::vector<std::string> warnings;
  if (const auto restored = node->publisher_->restore(warnings); !restored)
    for (const Fault& fault : restored.error())
      log.error(fmt::format("stored policy: {}{}{}", fault.path, fault.path.empty() ? "" : ": ", fault.message));
  for (const std::string& warning : warnings) log.warning(fmt::format("stored policy: {}", warning));

  ServerOptions server{.path = config.control_socket, .group = config.control_group};
  auto opened = Server::open(server, *node->publisher_, *node);
  if (!opened) return std::unexpected{StartError{ExitCode::running, opened.error()}};
  node->server_ = std::move(*opened);
  if (auto done = node->open_metrics(); !done) return std::unexpected{done.error()};
  if (auto done = node->plane_->start_workers(node->publisher_->published()); !done)
    return std::unexpected{done.error()};

  node->started_ = node->plane_->clock().now();
  node->epoll_ = epoll_create1(EPOLL_CLOEXEC);
  node->signals_ = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  node->timer_ = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  const itimerspec every{{0, tick.ns}, {0, tick.ns}};
  timerfd_settime(node->timer_, 0, &every, nullptr);
  for (const int fd : {node->signals_, node->timer_, node->server_->fd(), node->metrics_ ? node->metrics_->fd() : -1}) {
    if (fd < 0) continue;
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
    epoll_ctl(node->epoll_, EPOLL_CTL_ADD, fd, &event);
  }
  if (auto done = node->give_up_rights(); !done) return std::unexpected{done.error()};
  const Publisher::Status status = node->publisher_->status();
  log.info(fmt::format("sluiced {} ({}) runs: {} worker(s), {} port(s), policy generation {}", version_text(),
                       commit_text(), config.workers, node->plane_->ports().size(), status.generation));
  sd_notify(0, "READY=1");
  return node;
}

std::expected<void, StartError> Appliance::open_files() {
  auto store = Store::open(config_.state_directory);
  if (!store) return std::unexpected{StartError{ExitCode::state, store.error()}};
  store_.emplace(std::move(*store));
  if (config_.access_format != AccessFormat::none) {
    auto access = AccessLog::open(config_.access_format, config_.access_path);
    if (!access) return std::unexpected{StartError{ExitCode::state, access.error()}};
    access_.emplace(std::move(*access));
  }
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::path{config_.control_socket}.parent_path();
  if (!folder.empty()) std::filesystem::create_directories(folder, error);
  if (error)
    return std::unexpected{StartError{ExitCode::state, fmt::format("{}: {}", folder.string(), error.message())}};
  return {};
}

std::expected<void, StartError> Appliance::open_metrics() {
  if (config_.metrics_listen.empty()) return {};
  auto opened = MetricsServer::open(config_.metrics_listen, [this] { return metrics_text(sources()); });
  if (!opened)
    return std::unexpected{
        StartError{opened.error().in_use ? ExitCode::running : ExitCode::usage, opened.error().text}};
  metrics_ = std::move(*opened);
  return {};
}

// All threads run and all descriptors of the loop are there: what only a start needs goes.
std::expected<void, StartError> Appliance::give_up_rights() {
  bool kernel_ports = false;
  for (const PortSeat& port : plane_->ports())
    for (const char* driver : {"net_af_xdp", "net_af_packet", "net_tap", "net_pcap"})
      kernel_ports |= port.device->driver() == driver;
  if (auto done = confine(kernel_ports); !done) return std::unexpected{StartError{ExitCode::failed, done.error()}};
  return {};
}

// In the order in which nothing is used after it is gone: workers first, then who publishes to them, the plane last.
Appliance::~Appliance() {
  server_.reset();
  metrics_.reset();
  if (plane_) plane_->stop_workers();
  if (publisher_) publisher_->housekeep();
  if (plane_) plane_->drop_pipelines();
  publisher_.reset();
  plane_.reset();
  for (const int fd : {epoll_, signals_, timer_})
    if (fd >= 0) close(fd);
}

ExitCode Appliance::run() {
  while (!ended_) {
    epoll_event events[8];
    const int n = epoll_wait(epoll_, events, std::size(events), 1000);
    for (int i = 0; i < n; ++i) {
      if (events[i].data.fd == signals_) on_signals();
      if (events[i].data.fd == timer_) {
        std::uint64_t fired;
        [[maybe_unused]] const ssize_t got = read(timer_, &fired, sizeof fired);
        housekeep();
      }
    }
    server_->step(plane_->clock().now());
    if (metrics_) metrics_->step();
  }
  sd_notify(0, "STOPPING=1");
  cut_rest();
  write_access_lines();
  return ExitCode::ok;
}

void Appliance::on_signals() {
  signalfd_siginfo info;
  while (read(signals_, &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGHUP) {
      if (access_) access_->reopen();
      log_.info("log files opened anew");
    } else if (draining_) {
      log_.info("second signal: leaving at once");
      ended_ = true;
    } else {
      begin_drain(config_.drain_timeout, "signal");
    }
  }
}

void Appliance::begin_drain(Nanos timeout, const char* why) {
  if (draining_) return;
  draining_ = true;
  drain_until_ = plane_->clock().now() + timeout;
  log_.info(
      fmt::format("draining ({}): no new connections, at most {} s for the old ones", why, timeout.millis() / 1000));
  sd_notify(0, "STATUS=draining");
}

// Peers of what is left hear of it by resets. The workers stay for a moment: a peer that has not got all before the
// reset asks back (RFC 5961 3.2), and what nobody knows any more is answered by another one.
void Appliance::cut_rest() {
  const auto each = [this](auto&& job) {  // a busy worker, or one without a CPU, may take a second to come to it
    for (unsigned worker = 0; worker < config_.workers; ++worker)
      for (int attempt = 0; attempt < 20 && !plane_->ask(worker, job); ++attempt) {}
  };
  bool left = false;
  each([&left](Pipeline& pipeline, Nanos now) {
    left |= !pipeline.drained();
    pipeline.cut_all(now);
  });
  if (!left) return;
  std::this_thread::sleep_for(std::chrono::milliseconds{100});
  each([](Pipeline&, Nanos) {});  // the turn that sends them is over
}

// Tells every worker to drain, as often as it takes (one that is busy may not come to it), and asks whether it is done.
bool Appliance::drained() {
  bool all = true;
  for (unsigned worker = 0; worker < config_.workers; ++worker) {
    bool done = false;
    const bool asked = plane_->ask(worker, [&done](Pipeline& pipeline, Nanos now) {
      pipeline.drain(now);
      done = pipeline.drained();
    });
    all &= asked && done;
  }
  return all;
}

void Appliance::housekeep() {
  const Nanos now = plane_->clock().now();
  write_access_lines();
  stories_.collect(*plane_);
  if (draining_) {
    const bool done = drained();
    if (done || now >= drain_until_) {
      log_.info(done ? "drained" : "drain timeout: the rest is cut");
      ended_ = true;
    }
  }
  if (now < next_second_) return;
  next_second_ = now + 1_s;
  plane_->clock().sync_wall();
  const auto life = static_cast<std::uint64_t>((now - started_).seconds()) / ticket_lifetime_s;
  if (life != ticket_rotation_) {
    ticket_rotation_ = life;
    if (const auto key = tls::TicketKeys::random_key()) keyring_.rotate(*key);
  }
  sd_notify(0, "WATCHDOG=1");
}

void Appliance::write_access_lines() {
  if (!access_) return;
  const Policy policy = publisher_->current();
  const NameOf name = [&](policy::ObjectKind kind, std::uint32_t id) {
    return kind == policy::ObjectKind::route ? publisher_->route_name(id) : name_of(policy, kind, id);
  };
  for (const auto& seat : plane_->workers()) {
    AccessRecord record;
    for (unsigned i = 0; i < 8192 && seat->access->pop(record); ++i)
      access_->write(record, plane_->clock().wall_ns(record.start), name);
  }
  access_->flush();
}

void Appliance::assigned(std::span<const ObjectRef> ids) { baselines_.begin(*plane_, ids); }

// Limits of the node hold before the first request can count against them.
void Appliance::publishing(const Policy& next) {
  for (const policy::Cluster& cluster : next.clusters->clusters) {
    Permit& permits = plane_->cluster_permits();
    permits.set_limit(cluster.id, static_cast<std::uint32_t>(ClusterPermit::connections), cluster.max_connections);
    permits.set_limit(cluster.id, static_cast<std::uint32_t>(ClusterPermit::pending), cluster.max_pending);
    permits.set_limit(cluster.id, static_cast<std::uint32_t>(ClusterPermit::requests), cluster.max_requests);
  }
  for (const policy::Listener& listener : next.routes->listeners)
    plane_->listener_permits().set_limit(listener.id, 0,
                                         listener.max_connections ? listener.max_connections : Permit::unlimited);
}

bool Appliance::is_idle(const ObjectRef& id) {
  const ObjectFigures sum = sum_figures(*plane_, id.kind, id.id);
  return sum.get(Figure::active_requests) == 0 && sum.get(Figure::active_connections) == 0;
}

ReportSources Appliance::sources() { return {*plane_, *publisher_, baselines_, started_, draining_}; }

Answer Appliance::handle(const fb::Request& request, flatbuffers::FlatBufferBuilder& builder) {
  const auto report = [](fb::Result type, auto offset) { return Answer{fb::Outcome::ok, "", type, offset.Union()}; };
  switch (request.command_type()) {
    case fb::Command::Status: return report(fb::Result::StatusReport, report_status(builder, sources()));
    case fb::Command::Stats:
      return report(fb::Result::StatsReport, report_stats(builder, sources(), *request.command_as_Stats()));
    case fb::Command::Services: return report(fb::Result::ServicesReport, report_services(builder, sources()));
    case fb::Command::Flows:
      return report(fb::Result::FlowsReport, report_flows(builder, sources(), *request.command_as_Flows()));
    case fb::Command::Connections:
      return report(fb::Result::ConnectionsReport,
                    report_connections(builder, sources(), *request.command_as_Connections()));
    case fb::Command::TraceStart: return start_trace(*request.command_as_TraceStart());
    case fb::Command::TraceRead: return report(fb::Result::TraceReport, stories_.report(builder, *plane_));
    case fb::Command::Drain: {
      const std::uint32_t ms = request.command_as_Drain()->timeout_ms();
      begin_drain(ms ? 1_ms * ms : config_.drain_timeout, "asked to");
      return {};
    }
    case fb::Command::LogLevel: {
      constexpr LogSeverity levels[] = {LogSeverity::debug, LogSeverity::info, LogSeverity::warning,
                                        LogSeverity::error};
      const auto level = static_cast<std::size_t>(request.command_as_LogLevel()->level());
      // A verified buffer may hold any number where an enum stands.
      if (level >= std::size(levels))
        return {fb::Outcome::malformed, "this sluiced does not know the level", fb::Result::NONE, {}};
      log_.set_level(levels[level]);
      return {};
    }
    default: return {fb::Outcome::unknown_command, "this sluiced does not know the command", fb::Result::NONE, {}};
  }
}

Answer Appliance::start_trace(const fb::TraceStart& request) {
  TraceFilter filter{.port = request.port(), .count = request.packets()};
  if (request.protocol()) filter.protocol = static_cast<Protocol>(request.protocol());
  if (request.address() && request.address()->size()) {
    const std::string_view text = request.address()->string_view();
    if (const auto prefix = parse_prefix(text)) filter.one = *prefix;
    else if (const auto address = parse_ip(text))
      filter.one = Prefix{*address, static_cast<std::uint8_t>(address->is_v4() ? 32 : 128)};
    else
      return {
          fb::Outcome::malformed, fmt::format("\"{}\" is neither an address nor a prefix", text), fb::Result::NONE, {}};
  }
  stories_.clear();
  plane_->trace().watch(filter, plane_->qsbr());
  return {};
}

}  // namespace sluice::mgmt
