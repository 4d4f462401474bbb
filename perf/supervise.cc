#include "perf/supervise.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>

namespace sluice::perf {

namespace {

namespace files = std::filesystem;

const files::path runtime = "/run/dpdk";

// Waits for the run's end; passes on what would end us. Its exit code.
int watch(pid_t run, const sigset_t& signals) {
  std::optional<int> code;
  while (!code) {
    int signal = 0;
    sigwait(&signals, &signal);
    if (signal != SIGCHLD) kill(run, SIGTERM);
    int status;
    for (pid_t ended; (ended = waitpid(-1, &status, WNOHANG)) > 0;)
      if (ended == run) code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
  }
  while (waitpid(-1, nullptr, 0) > 0) {}  // its peers: they die with it
  return *code;
}

}  // namespace

std::string run_prefix() { return "sluice-bench-" + std::to_string(getpid()); }

int supervised(const std::function<int()>& run) {
  const char* base = std::getenv("TMPDIR");
  std::string scratch = std::string{base ? base : "/tmp"} + "/sluice-bench-XXXXXX";
  if (!mkdtemp(scratch.data())) {
    std::perror(scratch.c_str());
    return 1;
  }
  setenv("TMPDIR", scratch.c_str(), 1);
  std::error_code ignored;
  const bool had_runtime = files::exists(runtime, ignored);
  sigset_t signals, before;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&signals, signal);
  sigprocmask(SIG_BLOCK, &signals, &before);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  const pid_t parent = getpid(), child = fork();
  if (child == 0) {
    sigprocmask(SIG_SETMASK, &before, nullptr);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    std::exit(run());
  }
  const int code = child > 0 ? watch(child, signals) : 1;
  files::remove_all(scratch, ignored);
  const std::string name = "sluice-bench-" + std::to_string(child);
  for (const auto& entry : files::directory_iterator{runtime, ignored})
    if (entry.path().filename().string().starts_with(name)) files::remove_all(entry.path(), ignored);
  if (had_runtime) files::create_directory(runtime, ignored);  // the last one to use it removes it
  else files::remove(runtime, ignored);                        // when it is empty
  sigprocmask(SIG_SETMASK, &before, nullptr);
  return code;
}

}  // namespace sluice::perf
