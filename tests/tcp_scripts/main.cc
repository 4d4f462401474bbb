// tcp-scripts: runs scripted TCP conversations against our stack (virtual time, both families) or the kernel's (real
// time, each script in a process and a network namespace of its own, many side by side). A line a script, `ok NAME` or
// `not ok NAME # why`, and a transcript of what failed. README.md here tells the notation.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "tests/tcp_scripts/runner.h"

namespace sluice::scripts {

namespace {

struct Options {
  bool kernel = false;
  unsigned jobs = 48, tries = 3;
  int family = 0;        // 0: both for ours, IPv4 for the kernel's
  bool verbose = false;  // transcripts of what passed too
  std::string answers;   // file to write: a line NAME DIGEST ANSWER for each that passed, with tabs between
  std::vector<std::string> paths;
};

struct Verdict {
  bool passed = false;
  std::string why, text, answers;
};

Verdict run_once(const Script& script, Backend backend, bool v6) {
  auto target = backend == Backend::sluice ? make_sluice(script, v6) : make_kernel(script, v6);
  if (!target) return {false, target.error(), {}, {}};
  const Outcome outcome = run(script, **target, backend, v6);
  Verdict out{outcome.passed, outcome.why, transcript(outcome), {}};
  for (const std::string& answer : outcome.answers) out.answers += (out.answers.empty() ? "" : "; ") + answer;
  return out;
}

Verdict run_ours(const Script& script, const Options& options) {
  Verdict out;
  for (const bool v6 : {false, true}) {
    if (v6 ? script.only4 || options.family == 4 : script.only6 || options.family == 6) continue;
    Verdict one = run_once(script, Backend::sluice, v6);
    if (!one.passed) {
      one.why += v6 ? " (IPv6)" : " (IPv4)";
      return one;
    }
    if (out.answers.empty()) out = std::move(one);
  }
  return out;
}

// A script under way against the kernel.
struct Child {
  const Script* script;
  pid_t pid;
  int pipe;
  std::string text;
};

Child start_child(const Script& script, bool v6) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return {&script, -1, -1, {}};
  std::fflush(stdout);
  const pid_t pid = fork();
  if (pid == 0) {
    alarm(60);
    const Verdict verdict = run_once(script, Backend::linux_kernel, v6);
    const std::string all =
        std::string(verdict.passed ? "1" : "0") + '\1' + verdict.why + '\1' + verdict.answers + '\1' + verdict.text;
    for (std::size_t at = 0; at < all.size();) {
      const ssize_t size = write(ends[1], all.data() + at, all.size() - at);
      if (size <= 0) break;
      at += static_cast<std::size_t>(size);
    }
    _exit(0);
  }
  close(ends[1]);
  return {&script, pid, ends[0], {}};
}

Verdict read_verdict(const std::string& text) {
  std::string parts[4];
  std::size_t part = 0;
  for (const char c : text)
    if (c == '\1' && part < 3) ++part;
    else parts[part] += c;
  if (part != 3) return {false, "the run ended without a verdict", {}, {}};
  return {parts[0] == "1", parts[1], parts[3], parts[2]};
}

// All of them, `jobs` at a time; each result goes to `done`.
template <typename Done>
void run_kernel(const std::vector<const Script*>& scripts, unsigned jobs, const Options& options, Done done) {
  std::vector<Child> running;
  std::size_t next = 0;
  while (next < scripts.size() || !running.empty()) {
    while (next < scripts.size() && running.size() < jobs) {
      const Script& script = *scripts[next++];
      running.push_back(start_child(script, options.family == 6 || script.only6));
    }
    std::vector<pollfd> waits;
    for (const Child& child : running) waits.push_back({child.pipe, POLLIN, 0});
    poll(waits.data(), waits.size(), 1000);
    for (std::size_t i = running.size(); i-- > 0;) {
      if (!waits[i].revents) continue;
      char buffer[4096];
      const ssize_t size = read(running[i].pipe, buffer, sizeof buffer);
      if (size > 0) {
        running[i].text.append(buffer, static_cast<std::size_t>(size));
        continue;
      }
      close(running[i].pipe);
      waitpid(running[i].pid, nullptr, 0);
      const Child ended = std::move(running[i]);
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
      done(*ended.script, read_verdict(ended.text));
    }
  }
}

std::map<const Script*, Verdict> against_kernel(const std::vector<Script>& scripts, const Options& options) {
  std::map<const Script*, Verdict> verdicts;
  std::vector<const Script*> left;
  for (const Script& script : scripts)
    if (script.why_not_linux.empty()) left.push_back(&script);
  // Time is the machine's: what fails beside many others runs again beside few.
  unsigned jobs = options.jobs;
  for (unsigned attempt = 0; attempt < options.tries && !left.empty(); ++attempt, jobs = std::max(jobs / 8, 1u)) {
    run_kernel(left, jobs, options, [&](const Script& s, Verdict v) { verdicts[&s] = std::move(v); });
    std::erase_if(left, [&](const Script* s) { return verdicts[s].passed; });
  }
  return verdicts;
}

int tell(const std::vector<Script>& scripts, const std::map<const Script*, Verdict>& verdicts, const Options& options) {
  int failed = 0;
  std::ofstream answers;
  if (!options.answers.empty()) answers.open(options.answers);
  for (const Script& script : scripts) {
    const auto found = verdicts.find(&script);
    if (found == verdicts.end()) continue;
    const Verdict& v = found->second;
    const std::string name = script.name + (options.kernel ? " against Linux" : "");
    if (v.passed) std::printf("ok %s\n", name.c_str());
    else std::printf("not ok %s # %s\n", name.c_str(), v.why.c_str());
    if (!v.passed || options.verbose) std::printf("%s", v.text.c_str());
    failed += !v.passed;
    if (answers.is_open() && v.passed)
      answers << script.name << '\t' << std::hex << script.digest << '\t' << v.answers << '\n';
  }
  std::printf("# %zu scripts, %d failed\n", verdicts.size(), failed);
  return failed || verdicts.empty() ? 1 : 0;
}

int usage() {
  std::fprintf(stderr,
               "usage: tcp-scripts [--kernel] [--jobs N] [--tries N] [--family 4|6] [--verbose] [--answers FILE] [FILE "
               "| FOLDER]...\n");
  return 2;
}

bool read_options(int argc, char** argv, Options& out) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const bool more = i + 1 < argc;
    if (word == "--kernel") out.kernel = true;
    else if (word == "--verbose") out.verbose = true;
    else if (word == "--jobs" && more) out.jobs = static_cast<unsigned>(std::max(std::atoi(argv[++i]), 1));
    else if (word == "--tries" && more) out.tries = static_cast<unsigned>(std::max(std::atoi(argv[++i]), 1));
    else if (word == "--family" && more) out.family = std::atoi(argv[++i]);
    else if (word == "--answers" && more) out.answers = argv[++i];
    else if (word.starts_with("-")) return false;
    else out.paths.emplace_back(word);
  }
  if (out.paths.empty()) out.paths.push_back("tests/tcp_scripts/scripts");
  return true;
}

int main(int argc, char** argv) {
  Options options;
  if (!read_options(argc, argv, options)) return usage();
  std::vector<std::string> files;
  for (const std::string& path : options.paths) {
    if (!std::filesystem::is_directory(path)) {
      files.push_back(path);
      continue;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path))
      if (entry.path().extension() == ".tcp") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  std::vector<Script> scripts;
  bool readable = true;
  for (const std::string& file : files) {
    auto script = read_script(file);
    if (script) {
      scripts.push_back(std::move(*script));
      continue;
    }
    std::printf("not ok %s # %s\n", std::filesystem::path(file).stem().c_str(), script.error().c_str());
    readable = false;
  }
  std::map<const Script*, Verdict> verdicts;
  if (options.kernel) verdicts = against_kernel(scripts, options);
  else
    for (const Script& script : scripts) verdicts[&script] = run_ours(script, options);
  return tell(scripts, verdicts, options) || !readable;
}

}  // namespace

}  // namespace sluice::scripts

int main(int argc, char** argv) { return sluice::scripts::main(argc, argv); }
