// policy_file.h - a policy as the operator keeps it, to the bytes that travel and back. JSON goes through FlatBuffers'
// own parser with the schema that is inside this program; a finished Policy buffer is taken as it is. One convenience
// of sluicectl, no part of the schema: "chain_pem" and "key_pem" may say "@path", the text of that file, relative to
// the policy file.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::ctl {

using Bytes = std::vector<std::uint8_t>;

// "-" is standard input, "@path" then relative to the working folder. The error is for a person, with the line.
std::expected<Bytes, std::string> read_policy(const std::string& file);

// The same from text. `name` is what errors call it, `folder` is where "@path" begins.
std::expected<Bytes, std::string> parse_policy(std::string_view json, const std::string& name,
                                               const std::string& folder);

// Puts file texts in the place of "@path", on the same line.
std::expected<std::string, std::string> resolve_files(std::string_view json, const std::string& name,
                                                      const std::string& folder);

// JSON of a verified buffer.
std::string policy_json(const Bytes& policy);

// JSON of a table of control.fbs, by its name ("StatusReport"). `lines` false: all on one line.
std::string table_json(const void* table, const std::string& name, bool lines = true);

}  // namespace sluice::ctl
