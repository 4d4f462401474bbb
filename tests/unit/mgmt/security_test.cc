#include "mgmt/security.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

namespace sluice::mgmt {
namespace {

// Restrictions cannot be taken back: each test gives itself up in a child. 0 is success; else the line that failed.
int status_in_child(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}
int exit_in_child(const std::function<int()>& body) {
  const int status = status_in_child(body);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

#define MUST(condition)                                                                                                \
  if (!(condition)) return __LINE__ % 250 + 1

// Of the calling thread.
std::uint64_t permitted() {
  std::ifstream status{"/proc/thread-self/status"};
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("CapPrm:")) return std::stoull(line.substr(7), nullptr, 16);
  return ~0ull;
}

bool fails_with(long result, int error) { return result < 0 && errno == error; }

TEST(Security, AllowsWhatARunningNodeDoes) {
  EXPECT_EQ(exit_in_child([] {
              MUST(restrict_system_calls(false));
              const int file = open("/tmp", O_TMPFILE | O_RDWR, 0600);
              MUST(file >= 0);
              MUST(write(file, "x", 1) == 1 && fsync(file) == 0);
              MUST(close(file) == 0);
              MUST(socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
              MUST(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
              std::thread thread{[] {}};
              thread.join();
              return 0;
            }),
            0);
}

TEST(Security, RefusesNetworkConnectionsAndWritableCode) {
  EXPECT_EQ(
      exit_in_child([] {
        MUST(restrict_system_calls(true));
        MUST(fails_with(socket(AF_INET, SOCK_STREAM, 0), EPERM));
        MUST(fails_with(socket(AF_INET6, SOCK_STREAM, 0), EPERM));
        MUST(fails_with(socket(AF_PACKET, SOCK_RAW, 0), EPERM));
        MUST(mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
        MUST(fails_with(syscall(SYS_acct, nullptr), EPERM));
        MUST(fails_with(syscall(SYS_memfd_create, "x", 0), EPERM));
        return 0;
      }),
      0);
}

TEST(Security, OnlyKernelPortsMayUseBpf) {
  // Command -1 is no command: the kernel says so to whom the filter lets through.
  EXPECT_EQ(exit_in_child([] {
              MUST(restrict_system_calls(false));
              MUST(fails_with(syscall(SYS_bpf, -1, nullptr, 0), EPERM));
              return 0;
            }),
            0);
}

TEST(Security, EndsAProcessThatStartsAnother) {
  const int status = status_in_child([] {
    MUST(restrict_system_calls(true));
    execl("/bin/true", "true", nullptr);
    return 0;
  });
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGSYS);
}

TEST(Security, EveryThreadGivesUpItsCapabilities) {
  ASSERT_EQ(geteuid(), 0u);
  const int keep[] = {CAP_NET_RAW};
  EXPECT_EQ(exit_in_child([&] {
              std::atomic<bool> go{false};
              std::atomic<std::uint64_t> seen{0};
              std::thread busy{[&] {
                while (!go.load(std::memory_order_relaxed)) {}
                seen = permitted();
              }};
              const bool dropped = drop_capabilities(keep).has_value();
              go = true;
              busy.join();
              MUST(dropped);
              MUST((seen & ~(1ull << CAP_NET_RAW)) == 0);
              MUST((permitted() & ~(1ull << CAP_NET_RAW)) == 0);
              MUST(fails_with(setuid(0) == 0 ? sethostname("x", 1) : -1, EPERM));
              return 0;
            }),
            0);
}

TEST(Security, ThreadsThatRunAlreadyAreFilteredToo) {
  EXPECT_EQ(exit_in_child([] {
              std::atomic<bool> go{false};
              std::atomic<int> error{0};
              std::thread other{[&] {
                while (!go) std::this_thread::yield();
                if (socket(AF_INET, SOCK_STREAM, 0) < 0) error = errno;
              }};
              const bool restricted = restrict_system_calls(false).has_value();
              go = true;
              other.join();
              MUST(restricted && error == EPERM);
              return 0;
            }),
            0);
}

TEST(Security, FilesAreNotForOthers) {
  const mode_t before = umask(0);
  restrict_files();
  EXPECT_EQ(umask(before), mode_t{027});
}

}  // namespace
}  // namespace sluice::mgmt
