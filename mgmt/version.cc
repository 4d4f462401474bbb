#include "mgmt/version.h"

#include <fmt/format.h>
#include <hs/hs.h>
#include <openssl/crypto.h>

#include "crypto/engine.h"
#include "dataplane/port/eal.h"
#include "mgmt/commit.h"

namespace sluice::mgmt {

std::string version_text() { return SLUICE_VERSION; }
std::string commit_text() { return SLUICE_COMMIT; }

std::string version_report() {
  Counters counters;
  const auto engine = Engine::open(counters);
  return fmt::format("sluiced {} ({})\nDPDK {}\nIPsec-MB {}, code path {}\nHyperscan {}\n{}\n", version_text(),
                     commit_text(), dpdk_version(), engine ? (*engine)->version() : engine.error(),
                     engine ? (*engine)->code_path() : "none", hs_version(), OpenSSL_version(OPENSSL_VERSION));
}

}  // namespace sluice::mgmt
