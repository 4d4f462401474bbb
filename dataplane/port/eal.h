// eal.h - DPDK's environment of this process: memory, lcores, no devices yet (device.h adds them while running).
// One per process, made first and destroyed last, on the management thread. Takes hugepages without leaving files
// (anonymous), so that even SIGKILL leaves nothing; without enough of them it falls back to ordinary memory and says
// so. Workers are not EAL's lcores: they are threads that register themselves (core/worker.h), any number on any
// machine. No secondary processes, no telemetry socket.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <vector>

namespace sluice {

enum class Hugepages : std::uint8_t { automatic, required, never };

struct EalOptions {
  std::string prefix = "sluice";   // tells instances on one machine apart; a prefix in use is an error
  std::uint32_t memory_mib = 512;  // taken at start
  Hugepages hugepages = Hugepages::automatic;
  std::vector<std::string> pci;  // addresses of all PCI ports there will be: no other device is touched
  int management_cpu = -1;       // where the calling thread is pinned; -1 leaves it free
};

class Eal {
 public:
  // One clear line on failure: no memory, prefix in use, no permission.
  static std::expected<std::unique_ptr<Eal>, std::string> start(const EalOptions& options);
  // Gives back memory and removes the runtime folder. Every Device and Buffers is gone by then.
  ~Eal();
  Eal(const Eal&) = delete;
  Eal& operator=(const Eal&) = delete;

  bool hugepages() const { return hugepages_; }
  // What the operator should know though the start went well (why there are no hugepages), or empty.
  const std::string& note() const { return note_; }

 private:
  Eal() = default;
  std::string folder_, note_;
  int lock_ = -1;
  bool hugepages_ = false, running_ = false;
};

// "22.11.11" and the like.
std::string dpdk_version();

}  // namespace sluice
