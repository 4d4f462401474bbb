#include "l7/http/head_buffers.h"

#include <cstring>

#include "dataplane/base/check.h"

namespace sluice::http {

HeadBuffers::Shelf::Shelf(std::uint32_t block_size, std::uint32_t count)
    : memory(new char[std::size_t{block_size + padding} * count]()) {
  for (std::uint32_t i = count; i-- > 0;) push(memory.get() + std::size_t{block_size + padding} * i);
}

char* HeadBuffers::Shelf::pop() {
  if (!head) return nullptr;
  char* block = head;
  std::memcpy(&head, block, sizeof head);
  --free;
  return block;
}

void HeadBuffers::Shelf::push(char* block) {
  std::memcpy(block, &head, sizeof head);
  head = block;
  ++free;
}

HeadBuffers::HeadBuffers(std::uint32_t small_count, std::uint32_t large_count)
    : small_(small_size, small_count), large_(large_size, large_count) {}

HeadBuffer HeadBuffers::take(std::uint32_t size) {
  CHECK(size <= large_size);
  if (size <= small_size)
    if (char* block = small_.pop()) return {this, block, small_size};
  if (char* block = large_.pop()) return {this, block, large_size};
  return {};
}

}  // namespace sluice::http
