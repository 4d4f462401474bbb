// eal_main.h - main() of a test program that needs packet buffers: EAL without hugepages, devices or shared files.
#pragma once

#include <gtest/gtest.h>
#include <rte_eal.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>

namespace sluice::test {

// Starts EAL under a prefix of its own; stop_eal() removes its runtime folder.
inline bool start_eal(const char* program, const char* memory_mib = "256") {
  const std::string prefix = "--file-prefix=sluice-test-" + std::to_string(getpid());
  const char* eal[] = {program, "--no-huge", "--no-shconf",         "--no-pci",    "--no-telemetry", "-l", "0",
                       "-m",    memory_mib,  "--log-level=*:error", prefix.c_str()};
  return rte_eal_init(sizeof eal / sizeof *eal, const_cast<char**>(eal)) >= 0;
}

inline void stop_eal() {
  const std::filesystem::path runtime = rte_eal_get_runtime_dir();
  rte_eal_cleanup();
  std::error_code ignored;
  std::filesystem::remove_all(runtime, ignored);
}

inline int run_with_eal(int argc, char** argv, const char* memory_mib = "256") {
  testing::InitGoogleTest(&argc, argv);
  if (!start_eal(argv[0], memory_mib)) {
    std::fprintf(stderr, "EAL does not start\n");
    return 1;
  }
  const int result = RUN_ALL_TESTS();
  stop_eal();
  return result;
}

}  // namespace sluice::test
