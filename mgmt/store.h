// store.h - keeps the last good policy on disk, so that a node starts with it when no control plane is there.
// Files in the state folder (0700): node.key (32 random bytes, 0600, made at first start), policy.sluice (the policy;
// its private keys are sealed with AES-256-GCM under the node key, which also vouches for all the rest),
// policy.sluice.previous (the one before), endpoints.journal (endpoint deltas since policy.sluice, each with its own
// checksum). A file is written beside, flushed, renamed, and its folder flushed: a crash at any point leaves the old or
// the new one. A torn tail of the journal ends it. What the disk refuses is reported and changes nothing that runs. One
// thread, the one that publishes; it may block on the disk.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "crypto/secret.h"
#include "mgmt/decode.h"
#include "mgmt/spec.h"

namespace sluice::mgmt {

class Store {
 public:
  struct Loaded {
    spec::Policy policy;
    std::uint64_t generation = 0;
    std::vector<std::string> warnings;  // what had to be left out
  };

  // Makes the folder and the node key where they are missing. The error names the file.
  static std::expected<Store, std::string> open(const std::filesystem::path& folder, const DecodeLimits& limits = {});
  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept = delete;
  ~Store();

  // The policy with its deltas; nothing at a first start. An error when there is a policy and none can be read.
  std::expected<std::optional<Loaded>, std::string> load();

  std::expected<void, std::string> save(const spec::Policy& policy, std::uint64_t generation);
  // `policy` is the result of the delta, for when the journal has grown so long that a whole is written instead.
  std::expected<void, std::string> append(const spec::EndpointDelta& delta, const spec::Policy& policy,
                                          std::uint64_t generation);

  static constexpr std::size_t journal_bytes_max = 4 << 20;

 private:
  Store(std::filesystem::path folder, const DecodeLimits& limits) : folder_(std::move(folder)), limits_(limits) {}
  std::expected<Loaded, std::string> read_policy(const std::filesystem::path& path) const;
  void replay_journal(Loaded& into) const;
  std::filesystem::path file(const char* name) const { return folder_ / name; }

  std::filesystem::path folder_;
  DecodeLimits limits_;
  Secret<32> key_;
  std::size_t journal_bytes_ = 0;
  bool policy_is_good_ = false;   // the policy file that is there was read or written
  bool journal_is_good_ = false;  // it follows the policy file that is there, and ends at journal_bytes_
};

// Applies a delta to a list of endpoints: those that exist are replaced in place, new ones go to the end.
void apply_delta(const spec::EndpointDelta& delta, std::vector<spec::Endpoint>& endpoints);

}  // namespace sluice::mgmt
