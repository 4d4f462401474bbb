#include "dataplane/port/eal.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_version.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>

#include "dataplane/port/memory.h"

namespace sluice {
namespace {

// Where DPDK keeps a runtime folder for each prefix (eal_create_runtime_dir).
std::string runtime_folder(const std::string& prefix) {
  const char* base = "/var/run";
  if (getuid() != 0) {
    const char* user = std::getenv("XDG_RUNTIME_DIR");
    base = user ? user : "/tmp";
  }
  return std::string(base) + "/dpdk/" + prefix;
}

// MiB in free hugepages of 2 MiB, as the kernel says.
std::uint64_t free_hugepages_mib() {
  std::FILE* file = std::fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "r");
  if (!file) return 0;
  unsigned long pages = 0;
  const bool read = std::fscanf(file, "%lu", &pages) == 1;
  std::fclose(file);
  return read ? pages * 2 : 0;
}

// The libraries under the AF_XDP driver print to standard error on their own account. They are loaded with DPDK's
// drivers.
void quieten_af_xdp() {
  constexpr const char* printers[][2] = {{"libbpf.so.1", "libbpf_set_print"}, {"libxdp.so.1", "libxdp_set_print"}};
  for (const auto& [library, setter] : printers) {
    void* handle = dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
    if (!handle) continue;
    using Print = int (*)(int, const char*, va_list);
    if (auto* set_print = reinterpret_cast<Print (*)(Print)>(dlsym(handle, setter))) set_print(nullptr);
    dlclose(handle);
  }
}

std::vector<std::string> arguments(const EalOptions& options, bool hugepages) {
  // DPDK's own log is quiet: what goes wrong is said once, by us.
  std::vector<std::string> out{"sluiced", "--file-prefix=" + options.prefix, "--no-telemetry", "--log-level=*:critical",
                               "-m",      std::to_string(options.memory_mib)};
  // One lcore: the calling thread. It keeps its CPUs unless it is to be pinned.
  out.push_back("--lcores=0@" + (options.management_cpu >= 0
                                     ? std::to_string(options.management_cpu)
                                     : "(0-" + std::to_string(sysconf(_SC_NPROCESSORS_ONLN) - 1) + ")"));
  if (hugepages) {
    out.push_back("--in-memory");  // anonymous: no file in hugetlbfs, even after SIGKILL
  } else {
    out.push_back("--no-huge");
    out.push_back("--no-shconf");
  }
  if (options.pci.empty()) {
    // Without a NIC there is no need for physical addresses, and virtual ones keep pools in one piece (AF_XDP's umem).
    out.push_back("--iova-mode=va");
    out.push_back("--no-pci");
  }
  for (const std::string& address : options.pci) out.push_back("--allow=" + address);
  return out;
}

}  // namespace

std::expected<std::unique_ptr<Eal>, std::string> Eal::start(const EalOptions& options) {
  std::unique_ptr<Eal> eal{new Eal};
  if (options.prefix.empty() || options.prefix.find('/') != std::string::npos)
    return std::unexpected("the instance's name '" + options.prefix + "' is empty or has a slash");
  const std::string folder = runtime_folder(options.prefix);
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  eal->lock_ = open((folder + "/lock").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  if (eal->lock_ < 0) return std::unexpected("cannot write " + folder + ": " + std::strerror(errno));
  if (flock(eal->lock_, LOCK_EX | LOCK_NB) != 0)
    return std::unexpected("another instance named '" + options.prefix + "' is running (" + folder + "/lock is held)");
  eal->folder_ = folder;

  bool hugepages = options.hugepages != Hugepages::never;
  if (hugepages && free_hugepages_mib() < options.memory_mib) {
    const std::string lack = "hugepages: " + std::to_string(free_hugepages_mib()) + " MiB are free, " +
                             std::to_string(options.memory_mib) + " MiB are needed";
    if (options.hugepages == Hugepages::required) return std::unexpected(lack);
    eal->note_ = lack + "; running on ordinary memory";
    hugepages = false;
  }
  const std::vector<std::string> args = arguments(options, hugepages);
  // DPDK keeps and permutes the pointers it is given.
  static std::vector<std::string> kept;
  kept = args;
  std::vector<char*> argv;
  for (std::string& arg : kept) argv.push_back(arg.data());
  if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0)
    return std::unexpected(std::string("DPDK does not start: ") + rte_strerror(rte_errno));
  quieten_af_xdp();
  eal->running_ = true;
  eal->hugepages_ = hugepages;
  return eal;
}

Eal::~Eal() {
  if (running_) rte_eal_cleanup();
  if (!folder_.empty()) {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
    std::filesystem::remove(std::filesystem::path(folder_).parent_path(), ignored);  // only when empty
  }
  if (lock_ >= 0) close(lock_);
}

std::string dpdk_version() {
  const std::string full = rte_version();  // "DPDK 22.11.11"
  const auto space = full.find(' ');
  return space == std::string::npos ? full : full.substr(space + 1);
}

bool memory_is_huge() { return rte_eal_has_hugepages() != 0; }

}  // namespace sluice
