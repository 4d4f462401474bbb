#include "perf/peers/testpmd.h"

#include <fmt/format.h>
#include <unistd.h>

#include <regex>
#include <thread>

#include "perf/peers/process.h"
#include "perf/supervise.h"

namespace sluice::perf {

void testpmd(Ground& ground) {
  const auto miss = [&](std::string why) { ground.report.miss("l4", "testpmd_null_macswap", std::move(why)); };
  const std::string program = find_program("dpdk-testpmd");
  if (program.empty()) return miss("dpdk-testpmd is not installed");
  if (std::thread::hardware_concurrency() < 2) return miss("dpdk-testpmd needs two CPUs");
  const Scratch scratch;
  const unsigned seconds = ground.options.pick(12u, 7u, 3u);
  Process run{{program,
               "--no-huge",
               "-m",
               "256",
               "--no-pci",
               "-l",
               "0,1",
               "--main-lcore",
               "0",
               "--file-prefix",
               run_prefix() + "-pmd",
               "--no-telemetry",
               "--vdev",
               "net_null0,size=60",
               "--vdev",
               "net_null1,size=60",
               "--",
               "--forward-mode=macswap",
               "--stats-period",
               "1",
               "--nb-cores=1",
               "--total-num-mbufs=8192",
               "--no-mlockall"},
              scratch / "testpmd.log"};
  // A line a port each second, as soon as it has started.
  static const std::regex pps{R"(Rx-pps:\s+(\d+))"};
  std::string log;
  std::vector<double> seen;
  for (unsigned i = 0; i < 30 && seen.size() < 2 * seconds && run.running(); ++i) {
    std::this_thread::sleep_for(std::chrono::seconds{1});
    log = read_text(scratch / "testpmd.log");
    seen.clear();
    for (std::sregex_iterator at{log.begin(), log.end(), pps}, end; at != end; ++at)
      seen.push_back(std::stod((*at)[1]));
  }
  run.stop();
  // The two ports forward to each other: a second's packets are the sum of what both received.
  Figure figure{.scenario = "l4", .name = "testpmd_null_macswap", .unit = "packets/s/core"};
  // The first report counts from before the start.
  for (std::size_t i = 2; i + 1 < seen.size(); i += 2)
    if (seen[i] + seen[i + 1] > 0) figure.samples.push_back(seen[i] + seen[i + 1]);
  if (figure.samples.empty()) return miss("dpdk-testpmd reported no packets: " + log.substr(0, 300));
  figure.params.add("packet", 60).add("role", "context: net_null devices, macswap, no huge pages");
  ground.report.add(std::move(figure));
}

}  // namespace sluice::perf
