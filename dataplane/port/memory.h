// memory.h - what the packet pools must know about the memory that EAL took. After EAL's start, any thread.
#pragma once

namespace sluice {

// Whether EAL's memory is hugepages. If not, only virtual ports work, and they ask for no contiguous memory.
bool memory_is_huge();

}  // namespace sluice

// Tested in tests/unit/dataplane/packet/chain_test.cc, tests/unit/dataplane/port/eal_test.cc.
