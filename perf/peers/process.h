// process.h - other programs for a benchmark: started with their output in a file, pinned to a CPU (then at real-time
// priority like our own workers, where that is allowed, so that no compiler runs in between), ended by their own id,
// and asked what CPU time they have used. Destruction ends the program and waits for it.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace sluice::perf {

class Process {
 public:
  // An empty `output` throws the output away. `cpu` -1: not pinned. Finding no such program shows as an early end.
  Process(std::vector<std::string> command, const std::string& output, int cpu = -1);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  bool running();
  // Waits for the end; the exit code, or nothing when it takes longer (then it is killed) or a signal ended it.
  std::optional<int> wait(unsigned seconds);
  // SIGINT, then SIGKILL after 5 s.
  void stop();
  // User and system time of its threads until now, in seconds.
  double cpu_seconds() const;

 private:
  pid_t pid_ = -1;
  std::optional<int> code_;
};

// The content of a file, or nothing.
std::string read_text(const std::string& path);
bool write_text(const std::string& path, const std::string& text);
// Where a program of this name is, or nothing.
std::string find_program(const std::string& name);

// A folder of its own for a peer's files; removed with what is in it.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace sluice::perf
