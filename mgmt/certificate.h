// certificate.h - what the operator's certificates say about themselves: the server names of a leaf (RFC 6125).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::mgmt {

// The DNS names of the first certificate of a chain in PEM: of its subject alternative names, else the common name, in
// lower case, without duplicates. nullopt when there is no certificate to be read.
std::optional<std::vector<std::string>> server_names_of(std::string_view chain_pem);

}  // namespace sluice::mgmt
