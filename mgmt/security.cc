#include "mgmt/security.h"

#include <cap-ng.h>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace sluice::mgmt {

namespace {

// Capabilities belong to a thread, and only the thread itself can give them up: a signal makes each do it.
struct Wanted {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
};
Wanted wanted;
std::atomic<int> done{0}, failed{0};
std::atomic<bool> filtered{false};  // the system calls are

void give_up(int) {
  const int before = errno;
  __user_cap_header_struct header = wanted.header;
  if (syscall(SYS_capset, &header, wanted.data.data()) != 0) failed.fetch_add(1);
  done.fetch_add(1);
  errno = before;
}

#if defined(__has_feature)
constexpr bool finds_races = __has_feature(thread_sanitizer), finds_leaks = __has_feature(address_sanitizer);
#else
constexpr bool finds_races = false, finds_leaks = false;  // this compiler's builds have no sanitizers
#endif

// ThreadSanitizer's own, which takes no such signal.
bool is_sanitizers(const char* thread, int signal) {
  if (!finds_races) return false;
  std::ifstream file{fmt::format("/proc/self/task/{}/status", thread)};
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("SigBlk:")) return std::strtoull(line.c_str() + 7, nullptr, 16) >> (signal - 1) & 1;
  return false;
}

std::vector<pid_t> threads(int signal) {
  std::vector<pid_t> ids;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder{opendir("/proc/self/task"), closedir};
  if (!folder) return ids;
  while (const dirent* entry = readdir(folder.get()))
    if (const int id = std::atoi(entry->d_name); id > 0 && !is_sanitizers(entry->d_name, signal)) ids.push_back(id);
  return ids;
}

// What a thread still has beyond `wanted`.
bool has_more(pid_t thread) {
  capng_setpid(thread);
  if (capng_get_caps_process() != 0) return false;  // it has ended
  for (unsigned cap = 0; cap <= CAP_LAST_CAP; ++cap) {
    const bool may = wanted.data[cap / 32].permitted >> (cap % 32) & 1;
    if (!may && capng_have_capability(CAPNG_PERMITTED, cap)) return true;
  }
  return false;
}

using Filter = std::unique_ptr<void, void (*)(scmp_filter_ctx)>;

// The packet path (AF_XDP and AF_PACKET wake the kernel), the management loop, the policy thread, and leaving.
constexpr std::array allowed = {"accept4",
                                "access",
                                "arch_prctl",
                                "bind",
                                "brk",
                                "clock_getres",
                                "clock_gettime",
                                "clock_nanosleep",
                                "close",
                                "connect",
                                "dup",
                                "epoll_create1",
                                "epoll_ctl",
                                "epoll_pwait",
                                "epoll_wait",
                                "eventfd2",
                                "exit",
                                "exit_group",
                                "faccessat",
                                "faccessat2",
                                "fchmod",
                                "fcntl",
                                "fdatasync",
                                "flock",
                                "fstat",
                                "fstatfs",
                                "fsync",
                                "ftruncate",
                                "futex",
                                "get_mempolicy",
                                "getcpu",
                                "getcwd",
                                "getdents64",
                                "getegid",
                                "geteuid",
                                "getgid",
                                "getpeername",
                                "getpid",
                                "getppid",
                                "getrandom",
                                "getrlimit",
                                "getrusage",
                                "getsockname",
                                "getsockopt",
                                "gettid",
                                "gettimeofday",
                                "getuid",
                                "ioctl",
                                "link",
                                "linkat",
                                "listen",
                                "lseek",
                                "lstat",
                                "madvise",
                                "membarrier",
                                "mkdir",
                                "mkdirat",
                                "mlock",
                                "mremap",
                                "munlock",
                                "munmap",
                                "nanosleep",
                                "newfstatat",
                                "open",
                                "openat",
                                "pipe2",
                                "poll",
                                "ppoll",
                                "prctl",
                                "pread64",
                                "preadv",
                                "prlimit64",
                                "pwrite64",
                                "pwritev",
                                "read",
                                "readlink",
                                "readlinkat",
                                "readv",
                                "recvfrom",
                                "recvmmsg",
                                "recvmsg",
                                "rename",
                                "renameat",
                                "renameat2",
                                "restart_syscall",
                                "rmdir",
                                "rseq",
                                "rt_sigaction",
                                "rt_sigpending",
                                "rt_sigprocmask",
                                "rt_sigreturn",
                                "rt_sigsuspend",
                                "rt_sigtimedwait",
                                "sched_get_priority_max",
                                "sched_get_priority_min",
                                "sched_getaffinity",
                                "sched_getparam",
                                "sched_getscheduler",
                                "sched_setaffinity",
                                "sched_yield",
                                "select",
                                "pselect6",
                                "sendmmsg",
                                "sendmsg",
                                "sendto",
                                "set_robust_list",
                                "set_tid_address",
                                "setsockopt",
                                "shutdown",
                                "sigaltstack",
                                "stat",
                                "statfs",
                                "statx",
                                "sysinfo",
                                "tgkill",
                                "timerfd_create",
                                "timerfd_gettime",
                                "timerfd_settime",
                                "umask",
                                "uname",
                                "unlink",
                                "unlinkat",
                                "write",
                                "writev"};

// Only to take an XDP program off its link when the port closes.
constexpr std::array allowed_for_kernel_ports = {"bpf"};

// No part of Sluice has a use for these, ever.
constexpr std::array deadly = {"add_key",
                               "chroot",
                               "delete_module",
                               "execve",
                               "execveat",
                               "finit_module",
                               "fork",
                               "init_module",
                               "kexec_file_load",
                               "kexec_load",
                               "keyctl",
                               "mount",
                               "move_mount",
                               "open_by_handle_at",
                               "pivot_root",
                               "process_vm_readv",
                               "process_vm_writev",
                               "ptrace",
                               "reboot",
                               "request_key",
                               "setns",
                               "swapoff",
                               "swapon",
                               "umount2",
                               "unshare",
                               "userfaultfd",
                               "vfork"};

int number(const char* name) { return seccomp_syscall_resolve_name(name); }

bool add_arguments(scmp_filter_ctx filter) {
  int error = 0;
  const auto rule = [&](const char* name, std::initializer_list<scmp_arg_cmp> arguments) {
    error |= seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, number(name), static_cast<unsigned>(arguments.size()),
                                    arguments.begin());
  };
  // Memory is written or run, never both.
  for (const char* name : {"mmap", "mprotect"}) {
    rule(name, {SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)});
    rule(name, {SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC | PROT_WRITE, PROT_EXEC)});
  }
  // Threads, no processes.
  rule("clone", {SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD)});
  // To tell systemd, to ask the kernel about links. No new connection to anybody over a network.
  rule("socket", {SCMP_A0(SCMP_CMP_EQ, AF_UNIX)});
  rule("socket", {SCMP_A0(SCMP_CMP_EQ, AF_NETLINK)});
  for (const int family : {AF_INET, AF_INET6})
    rule("socket",
         {SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(family)), SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, SOCK_DGRAM)});
  // glibc falls back to clone, whose flags a filter can see.
  error |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), number("clone3"), 0);
  return error == 0;
}

std::expected<void, std::string> load_filter(bool kernel_ports) {
  Filter filter{seccomp_init(SCMP_ACT_ERRNO(EPERM)), seccomp_release};
  if (!filter) return std::unexpected{"no seccomp filter can be made"};
  int error = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1);
  error |= seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_LOG, 1);
  for (const char* name : allowed) error |= seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, number(name), 0);
  if (kernel_ports)
    for (const char* name : allowed_for_kernel_ports)
      error |= seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, number(name), 0);
  for (const char* name : deadly) error |= seccomp_rule_add(filter.get(), SCMP_ACT_KILL_PROCESS, number(name), 0);
  if (error || !add_arguments(filter.get()))
    return std::unexpected{"the list of system calls does not fit this libseccomp"};
  if (const int loaded = seccomp_load(filter.get()); loaded != 0)
    return std::unexpected{fmt::format("the kernel takes no seccomp filter: {}", std::strerror(-loaded))};
  filtered = true;
  return {};
}

}  // namespace

// LeakSanitizer asks at the end: it stops all threads by ptrace, which a process behind the filter cannot. The same
// code is looked through by tests that run a data plane without it.
extern "C" int __lsan_is_turned_off();                                  // NOLINT(bugprone-reserved-identifier)
int __lsan_is_turned_off() { return finds_leaks && filtered ? 1 : 0; }  // NOLINT(bugprone-reserved-identifier)

void restrict_files() { umask(027); }

std::expected<void, std::string> drop_capabilities(std::span<const int> keep) {
  // What the process may keep it must have: a container's root lacks some.
  capng_setpid(0);
  if (capng_get_caps_process() != 0) return std::unexpected{"capabilities: the kernel tells none"};
  wanted = {};
  for (const int cap : keep)
    if (capng_have_capability(CAPNG_PERMITTED, static_cast<unsigned>(cap))) {
      auto& word = wanted.data[static_cast<std::size_t>(cap) / 32];
      word.permitted |= 1u << (cap % 32);
      word.effective |= 1u << (cap % 32);
    }
  const int signal = SIGRTMIN + 5;
  struct sigaction action{}, before{};
  action.sa_handler = give_up;
  action.sa_flags = SA_RESTART;
  if (sigaction(signal, &action, &before) != 0) return std::unexpected{"capabilities: no signal is free"};
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  done = failed = 0;
  int asked = 0;
  for (const pid_t thread : threads(signal))
    if (syscall(SYS_tgkill, getpid(), thread, signal) == 0) ++asked;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{5};
  while (done < asked && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  const bool all = done >= asked && failed == 0 && asked > 0;
  sigaction(signal, &before, nullptr);
  if (!all) return std::unexpected{fmt::format("capabilities: {} of {} threads gave them up", done - failed, asked)};
  for (const pid_t thread : threads(signal))
    if (has_more(thread))
      return std::unexpected{fmt::format("capabilities: thread {} keeps more than it should", thread)};
  return {};
}

std::expected<void, std::string> restrict_system_calls(bool kernel_ports) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return std::unexpected{fmt::format("no new privileges: {}", std::strerror(errno))};
  return load_filter(kernel_ports);
}

std::expected<void, std::string> confine(bool kernel_ports) {
  std::vector<int> keep;
  if (kernel_ports) keep = {CAP_NET_ADMIN, CAP_NET_RAW};
  if (auto dropped = drop_capabilities(keep); !dropped) return dropped;
  return restrict_system_calls(kernel_ports);
}

}  // namespace sluice::mgmt
