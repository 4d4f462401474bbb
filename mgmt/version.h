// version.h - what this program is and what it was built with; commit and version are fixed by the build.
#pragma once

#include <string>

namespace sluice::mgmt {

std::string version_text();  // "0.1.0"
std::string commit_text();   // short hash, "+" behind it when the tree was not clean
// Several lines: versions of Sluice, DPDK, IPsec-MB, Hyperscan, OpenSSL, and the CPU's code paths.
std::string version_report();

}  // namespace sluice::mgmt
