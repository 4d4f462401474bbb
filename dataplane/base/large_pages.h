// large_pages.h - pages of 2 MB for memory that is taken at start (Linux's transparent huge pages, where they are
// allowed by madvise). Millions of connections are touched at random: with pages of 4 kB each touch would walk the page
// tables. For the end of the start, when all pools are made; any thread. Where the kernel says no, nothing changes.
#pragma once

#include <cstddef>

namespace sluice {

// Asks for large pages in each private anonymous mapping of 4 MB or more; what is in use already is moved. Returns the
// bytes asked for.
std::size_t use_large_pages();

}  // namespace sluice
