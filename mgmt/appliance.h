// appliance.h - the whole node: builds everything in order, from general to special, runs the management thread's loop,
// and takes all down in reverse. Answers what the control socket asks, but for policies, which mgmt/publish takes on
// its own thread.
#pragma once

#include <expected>
#include <memory>
#include <optional>

#include "dataplane/base/log.h"
#include "mgmt/access_log.h"
#include "mgmt/metrics.h"
#include "mgmt/plane.h"
#include "mgmt/reports.h"
#include "mgmt/server.h"
#include "mgmt/store.h"

namespace sluice::mgmt {

class Appliance final : public RunTime, public ControlHandler {
 public:
  static std::expected<std::unique_ptr<Appliance>, StartError> start(const NodeConfig& config, Log& log);
  ~Appliance() override;

  // Until a signal or a drain ends it.
  ExitCode run();

 private:
  Appliance(const NodeConfig& config, Log& log) : config_(config), log_(log) {}

  // RunTime: called on the policy thread.
  void assigned(std::span<const ObjectRef> ids) override;
  void publishing(const Policy& next) override;
  bool is_idle(const ObjectRef& id) override;
  // ControlHandler.
  Answer handle(const fb::Request& request, flatbuffers::FlatBufferBuilder& builder) override;
  Answer start_trace(const fb::TraceStart& request);

  std::expected<void, StartError> open_files();
  std::expected<void, StartError> open_metrics();
  std::expected<void, StartError> give_up_rights();
  void on_signals();
  void housekeep();
  void write_access_lines();
  void begin_drain(Nanos timeout, const char* why);
  void cut_rest();
  bool drained();
  ReportSources sources();

  const NodeConfig config_;
  Log& log_;
  tls::TicketKeyring keyring_;
  route::DatabaseCache databases_;
  std::unique_ptr<Plane> plane_;
  std::optional<Store> store_;
  Baselines baselines_;
  std::unique_ptr<Publisher> publisher_;
  std::unique_ptr<Server> server_;
  std::optional<AccessLog> access_;
  std::unique_ptr<MetricsServer> metrics_;
  TraceStories stories_;
  Nanos started_;
  Nanos drain_until_ = Nanos::never();
  Nanos next_second_{};
  std::uint64_t ticket_rotation_ = 0;
  int epoll_ = -1, signals_ = -1, timer_ = -1;
  bool draining_ = false, ended_ = false;
};

}  // namespace sluice::mgmt

// Tested in tests/scripts/start_errors.sh, tests/scripts/node_socket.py.
