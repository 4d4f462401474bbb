#include "dataplane/base/large_pages.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstring>

namespace sluice {

namespace {

constexpr std::uintptr_t large = std::uintptr_t{2} << 20;
// What is larger is address space that nobody fills: a sanitizer's shadow.
constexpr std::uintptr_t mapping_max = std::uintptr_t{64} << 30;
constexpr int collapse = 25;  // MADV_COLLAPSE, Linux 6.1

}  // namespace

std::size_t use_large_pages() {
  std::FILE* maps = std::fopen("/proc/self/maps", "r");
  if (!maps) return 0;
  std::size_t asked = 0;
  char line[512];
  while (std::fgets(line, sizeof line, maps)) {
    std::uintptr_t begin = 0, end = 0, inode = 0;
    char rights[8] = {}, path[16] = {};
    // begin-end rights offset device inode path
    if (std::sscanf(line, "%lx-%lx %7s %*s %*s %lu %15s", &begin, &end, rights, &inode, path) < 4) continue;
    if (std::strcmp(rights, "rw-p") != 0 || inode != 0 || (path[0] && std::strcmp(path, "[heap]") != 0)) continue;
    begin = (begin + large - 1) & ~(large - 1);
    end &= ~(large - 1);
    if (end < begin + 2 * large || end - begin > mapping_max) continue;
    if (madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE) != 0) continue;
    // Page by page: the call ends at the first that nobody has touched yet.
    for (std::uintptr_t page = begin; page < end; page += large)
      madvise(reinterpret_cast<void*>(page), large, collapse);
    asked += end - begin;
  }
  std::fclose(maps);
  return asked;
}

}  // namespace sluice
