#include "perf/peers/process.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace sluice::perf {

Process::Process(std::vector<std::string> command, const std::string& output, int cpu) {
  std::vector<char*> words;
  for (std::string& word : command) words.push_back(word.data());
  words.push_back(nullptr);
  pid_ = fork();
  if (pid_ != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // a run that gives up leaves no peer behind
  if (cpu >= 0) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(cpu, &cpus);
    sched_setaffinity(0, sizeof cpus, &cpus);
    const sched_param priority{.sched_priority = 1};  // as our workers; where it is not allowed, neither have it
    sched_setscheduler(0, SCHED_FIFO, &priority);
  }
  const int in = open("/dev/null", O_RDONLY);
  const int out = open(output.empty() ? "/dev/null" : output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  dup2(in, 0);
  dup2(out, 1);
  dup2(out, 2);
  close_range(3, ~0u, 0);  // DPDK's: wrk counts on low descriptors for its connections
  execvp(words[0], words.data());
  _exit(127);
}

Process::~Process() { stop(); }

bool Process::running() {
  if (pid_ <= 0 || code_) return false;
  int status;
  if (waitpid(pid_, &status, WNOHANG) != pid_) return true;
  code_ = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return false;
}

std::optional<int> Process::wait(unsigned seconds) {
  for (unsigned i = 0; i < seconds * 100 && running(); ++i) usleep(10'000);
  if (running()) {
    stop();
    return std::nullopt;
  }
  return code_ == -1 ? std::nullopt : code_;
}

void Process::stop() {
  if (!running()) return;
  kill(pid_, SIGINT);
  for (unsigned i = 0; i < 500 && running(); ++i) usleep(10'000);
  if (!running()) return;
  kill(pid_, SIGKILL);
  while (running()) usleep(1'000);
}

double Process::cpu_seconds() const {
  // The first number of schedstat: nanoseconds on a CPU. (The ticks of `stat` are samples.)
  double sum = 0;
  std::error_code ignored;
  for (const auto& thread : std::filesystem::directory_iterator{"/proc/" + std::to_string(pid_) + "/task", ignored})
    sum += std::strtod(read_text(thread.path() / "schedstat").c_str(), nullptr);
  return sum / 1e9;
}

std::string read_text(const std::string& path) {
  std::ifstream in{path};
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

bool write_text(const std::string& path, const std::string& text) {
  std::ofstream out{path};
  out << text;
  return static_cast<bool>(out.flush());
}

std::string find_program(const std::string& name) {
  for (const char* folder : {"/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/", "/usr/local/bin/"})
    if (access((folder + name).c_str(), X_OK) == 0) return folder + name;
  return {};
}

Scratch::Scratch() {
  const char* base = std::getenv("TMPDIR");
  path_ = std::string{base ? base : "/tmp"} + "/sluice-bench-XXXXXX";
  if (!mkdtemp(path_.data())) path_.clear();
}

Scratch::~Scratch() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

}  // namespace sluice::perf
