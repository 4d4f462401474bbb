// EAL starts once a process, so each case runs in a child of its own, before this program has touched DPDK.
#include "dataplane/port/eal.h"

#include <gtest/gtest.h>
#include <rte_lcore.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "dataplane/core/worker.h"
#include "dataplane/packet/buffers.h"

namespace sluice {
namespace {

const std::string prefix = "sluice-eal-test-" + std::to_string(getpid());
std::string folder() { return "/var/run/dpdk/" + prefix; }

unsigned long free_hugepages() {
  unsigned long pages = 0;
  std::ifstream("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages") >> pages;
  return pages;
}

// Runs body in a child and returns its exit code; what EXPECT says there goes to stderr and makes the code 1.
int in_child(const std::function<void()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    body();
    std::fflush(nullptr);
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void works(Hugepages hugepages, std::uint32_t memory_mib, bool expect_hugepages) {
  {
    auto eal = Eal::start({.prefix = prefix, .memory_mib = memory_mib, .hugepages = hugepages});
    ASSERT_TRUE(eal) << eal.error();
    EXPECT_EQ((*eal)->hugepages(), expect_hugepages);
    EXPECT_EQ((*eal)->note().empty(), expect_hugepages || hugepages == Hugepages::never) << (*eal)->note();
    Buffers buffers{"eal_test", 4095, 255, 32, -1};
    EXPECT_TRUE(buffers.ok());
    bool registered = false;
    {
      auto worker =
          WorkerThread::start("worker", -1, [&] { registered = rte_lcore_id() != LCORE_ID_ANY && buffers.make(); });
      EXPECT_TRUE(worker);
    }
    EXPECT_TRUE(registered);
    cpu_set_t cpus;
    EXPECT_EQ(sched_getaffinity(0, sizeof cpus, &cpus), 0);
    EXPECT_EQ(CPU_COUNT(&cpus), sysconf(_SC_NPROCESSORS_ONLN)) << "the management thread keeps its CPUs";
  }
  EXPECT_FALSE(std::filesystem::exists(folder()));
}

TEST(Eal, RunsOnOrdinaryMemoryAndCleansUp) {
  EXPECT_EQ(in_child([] { works(Hugepages::never, 128, false); }), 0);
}

TEST(Eal, RunsOnHugepagesAndLeavesNoFile) {
  const auto before = free_hugepages();
  EXPECT_EQ(in_child([] { works(Hugepages::required, 64, true); }), 0);
  EXPECT_EQ(free_hugepages(), before);
}

TEST(Eal, FallsBackWhenThereAreTooFewHugepagesOrSaysSo) {
  const auto too_much = static_cast<std::uint32_t>(free_hugepages() * 2 + 2);
  EXPECT_EQ(in_child([&] {
              auto eal = Eal::start({.prefix = prefix, .memory_mib = too_much, .hugepages = Hugepages::required});
              ASSERT_FALSE(eal);
              EXPECT_NE(eal.error().find("hugepages: "), std::string::npos) << eal.error();
              EXPECT_EQ(eal.error().find('\n'), std::string::npos);
            }),
            0);
  EXPECT_EQ(in_child([&] { works(Hugepages::automatic, too_much, false); }), 0);
}

TEST(Eal, ASecondInstanceOfTheNameIsRefusedAndAKilledOneIsNoObstacle) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t first = fork();
  if (first == 0) {
    auto eal = Eal::start({.prefix = prefix, .memory_mib = 64, .hugepages = Hugepages::never});
    if (eal && write(ready[1], "x", 1) == 1) pause();
    _exit(1);
  }
  char byte;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_EQ(in_child([] {
              auto eal = Eal::start({.prefix = prefix, .memory_mib = 64, .hugepages = Hugepages::never});
              ASSERT_FALSE(eal);
              EXPECT_NE(eal.error().find("another instance"), std::string::npos) << eal.error();
            }),
            0);
  EXPECT_TRUE(std::filesystem::exists(folder())) << "the refused one must not clean up after the running one";
  kill(first, SIGKILL);
  waitpid(first, nullptr, 0);
  EXPECT_EQ(in_child([] { works(Hugepages::never, 64, false); }), 0);
}

TEST(Eal, TellsItsVersion) { EXPECT_EQ(dpdk_version().substr(0, 3), "22."); }

}  // namespace
}  // namespace sluice
