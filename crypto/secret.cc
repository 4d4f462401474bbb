#include "crypto/secret.h"

#include <openssl/crypto.h>
#include <sys/mman.h>
#include <unistd.h>

namespace sluice {

void wipe(void* memory, std::size_t size) { OPENSSL_cleanse(memory, size); }

bool equal_in_constant_time(ByteView a, ByteView b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

bool lock_memory(void* memory, std::size_t size) {
  const std::uintptr_t page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const std::uintptr_t first = reinterpret_cast<std::uintptr_t>(memory) & ~(page - 1);
  const std::size_t span = reinterpret_cast<std::uintptr_t>(memory) + size - first;
  (void)madvise(reinterpret_cast<void*>(first), span, MADV_DONTDUMP);
  return mlock(reinterpret_cast<void*>(first), span) == 0;
}

}  // namespace sluice
