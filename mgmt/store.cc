#include "mgmt/store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <unordered_map>

#include "mgmt/encode.h"
#include "mgmt/file.h"
#include "mgmt/registry.h"
#include "mgmt/seal.h"

namespace sluice::mgmt {

namespace {

// policy.sluice: magic, version, generation, size of the policy, size of what is sealed; the policy without private
// keys; the sealed keys (vouching for all before them); SHA-256 of all that, so that a torn file is told from a foreign
// key.
constexpr std::string_view magic = "SLUICEP\n";
constexpr std::uint32_t version = 1;
constexpr std::size_t header_bytes = 8 + 4 + 8 + 8 + 8;
constexpr std::size_t digest_bytes = 32;
// endpoints.journal: records of size, generation, delta (a Policy buffer whose endpoints are set, and one whose are
// removed), SHA-256 of all that.
constexpr std::size_t record_header_bytes = 4 + 4 + 8;

constexpr const char* policy_file = "policy.sluice";
constexpr const char* previous_file = "policy.sluice.previous";
constexpr const char* journal_file = "endpoints.journal";
constexpr const char* key_file = "node.key";

std::array<std::uint8_t, digest_bytes> digest(ByteView bytes) {
  std::array<std::uint8_t, digest_bytes> out;
  CHECK(EVP_Digest(bytes.data(), bytes.size(), out.data(), nullptr, EVP_sha256(), nullptr) == 1);
  return out;
}

bool digest_fits(ByteView all) {
  if (all.size() < digest_bytes) return false;
  const auto expected = digest(all.first(all.size() - digest_bytes));
  return std::ranges::equal(expected, all.last(digest_bytes));
}

void add(std::vector<std::uint8_t>& out, ByteView bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); }

std::vector<std::uint8_t> private_keys(const spec::Policy& policy) {
  std::size_t size = 0;
  for (const spec::Certificate& each : policy.certificates) size += 4 + each.key_pem.size();
  std::vector<std::uint8_t> out(size);
  Writer writer{out};
  for (const spec::Certificate& each : policy.certificates) {
    writer.u32(static_cast<std::uint32_t>(each.key_pem.size()));
    writer.put(each.key_pem);
  }
  CHECK(writer.ok() && writer.size() == size);
  return out;
}

std::vector<std::uint8_t> journal_record(const spec::EndpointDelta& delta, std::uint64_t generation) {
  spec::Policy set, removed;
  set.endpoints = delta.set;
  for (const spec::EndpointName& each : delta.remove) removed.endpoints.push_back({each.cluster, each.name, {}, 1});
  const auto first = encode_policy(set, PrivateKeys::leave_out),
             second = encode_policy(removed, PrivateKeys::leave_out);
  std::vector<std::uint8_t> out(record_header_bytes);
  Writer writer{out};
  writer.u32(static_cast<std::uint32_t>(first.size()));
  writer.u32(static_cast<std::uint32_t>(second.size()));
  writer.u64(generation);
  add(out, first);
  add(out, second);
  add(out, digest(out));
  return out;
}

std::expected<void, std::string> make_key(const std::filesystem::path& path) {
  std::array<std::uint8_t, 32> fresh;
  CHECK(RAND_bytes(fresh.data(), fresh.size()) == 1);
  auto written = replace_file(path, fresh);
  wipe(fresh);
  return written;
}

}  // namespace

void apply_delta(const spec::EndpointDelta& delta, std::vector<spec::Endpoint>& endpoints) {
  std::unordered_map<std::string, std::size_t> position;
  for (std::size_t i = 0; i < endpoints.size(); ++i)
    position[endpoint_key(endpoints[i].cluster, endpoints[i].name)] = i;
  for (const spec::Endpoint& each : delta.set) {
    const auto [found, is_new] = position.try_emplace(endpoint_key(each.cluster, each.name), endpoints.size());
    if (is_new) endpoints.push_back(each);
    else endpoints[found->second] = each;
  }
  std::vector<bool> gone(endpoints.size());
  for (const spec::EndpointName& each : delta.remove)
    if (const auto found = position.find(endpoint_key(each.cluster, each.name)); found != position.end())
      gone[found->second] = true;
  std::size_t at = 0;
  std::erase_if(endpoints, [&](const spec::Endpoint&) { return gone[at++]; });
}

std::expected<Store, std::string> Store::open(const std::filesystem::path& folder, const DecodeLimits& limits) {
  std::error_code error;
  std::filesystem::create_directories(folder.parent_path(), error);
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    return std::unexpected{system_error("cannot create", folder)};
  Store store{folder, limits};
  const std::filesystem::path path = store.file(key_file);
  if (!std::filesystem::exists(path, error)) {
    // A new key would make a stored policy unreadable, and hide why.
    if (std::filesystem::exists(store.file(policy_file), error))
      return std::unexpected{
          fmt::format("{} is missing, but {} was sealed with it", path.string(), store.file(policy_file).string())};
    if (auto made = make_key(path); !made) return std::unexpected{made.error()};
  }
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) return std::unexpected{system_error("cannot open", path)};
  if (info.st_mode & 077)
    return std::unexpected{
        fmt::format("{} may be read by others (mode {:04o}); make it 0600", path.string(), info.st_mode & 07777)};
  auto key = read_file(path, 32);
  if (!key) return std::unexpected{key.error()};
  if (key->size() != 32)
    return std::unexpected{fmt::format("{} has {} bytes instead of 32", path.string(), key->size())};
  store.key_.assign(*key);
  wipe(*key);
  return store;
}

Store::Store(Store&&) noexcept = default;
Store::~Store() = default;

std::expected<void, std::string> Store::save(const spec::Policy& policy, std::uint64_t generation) {
  std::vector<std::uint8_t> plain = private_keys(policy);
  const std::vector<std::uint8_t> body = encode_policy(policy, PrivateKeys::leave_out);
  std::vector<std::uint8_t> out(header_bytes);
  Writer writer{out};
  writer.put(magic);
  writer.u32(version);
  writer.u64(generation);
  writer.u64(body.size());
  writer.u64(plain.size() + seal_overhead);
  add(out, body);
  const auto sealed = seal(key_.view(), plain, out);
  wipe(plain);
  add(out, sealed);
  add(out, digest(out));

  // The one before stays within reach: a second name for it, then the rename. A damaged one takes nobody's place.
  const std::filesystem::path path = file(policy_file), previous = file(previous_file),
                              beside = previous.string() + ".new";
  ::unlink(beside.c_str());
  if (policy_is_good_ && ::link(path.c_str(), beside.c_str()) == 0 && ::rename(beside.c_str(), previous.c_str()) != 0)
    ::unlink(beside.c_str());
  journal_is_good_ = false;
  if (auto replaced = replace_file(path, out); !replaced) return replaced;
  policy_is_good_ = true;
  // Records of the old journal are older than this policy and would be passed over: to remove it may fail.
  ::unlink(file(journal_file).c_str());
  journal_bytes_ = 0;
  journal_is_good_ = true;
  return {};
}

std::expected<void, std::string> Store::append(const spec::EndpointDelta& delta, const spec::Policy& policy,
                                               std::uint64_t generation) {
  const std::vector<std::uint8_t> record = journal_record(delta, generation);
  if (!journal_is_good_ || journal_bytes_ + record.size() > journal_bytes_max) return save(policy, generation);
  const std::filesystem::path path = file(journal_file);
  const File journal{::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)};
  if (!journal) return std::unexpected{system_error("cannot open", path)};
  auto written = write_all(journal, record, path);
  if (written && fsync(journal.fd()) != 0) written = std::unexpected{system_error("cannot flush", path)};
  if (!written) {
    // What did get there would hide every later record.
    journal_is_good_ = ::ftruncate(journal.fd(), static_cast<off_t>(journal_bytes_)) == 0;
    return written;
  }
  if (journal_bytes_ == 0)
    if (auto flushed = flush_folder(folder_); !flushed) return flushed;
  journal_bytes_ += record.size();
  return {};
}

std::expected<Store::Loaded, std::string> Store::read_policy(const std::filesystem::path& path) const {
  const auto bytes = read_file(path, 2 * limits_.bytes + header_bytes + digest_bytes);
  if (!bytes) return std::unexpected{bytes.error()};
  const auto bad = [&](std::string_view why) { return std::unexpected{fmt::format("{} {}", path.string(), why)}; };
  if (bytes->size() < header_bytes + digest_bytes || text(ByteView{*bytes}.first(magic.size())) != magic)
    return bad("is not a stored policy");
  if (!digest_fits(*bytes)) return bad("is damaged: its checksum does not fit");
  Reader reader{*bytes};
  reader.skip(magic.size());
  if (const std::uint32_t found = reader.u32(); found != version)
    return bad(fmt::format("has version {}, this sluiced reads {}", found, version));
  Loaded out;
  out.generation = reader.u64();
  const std::uint64_t body_size = reader.u64(), sealed_size = reader.u64();
  const ByteView body = reader.view(body_size), sealed = reader.view(sealed_size);
  if (!reader.ok() || reader.left() != digest_bytes) return bad("is damaged: its sizes do not fit");

  auto keys = unseal(key_.view(), sealed, ByteView{*bytes}.first(header_bytes + body.size()));
  if (!keys) return bad("was not sealed with this node's key");
  auto policy = decode_policy(body, limits_);
  if (!policy) return bad("holds no policy: " + policy.error().front().message);
  out.policy = std::move(*policy);
  Reader in{*keys};
  for (spec::Certificate& each : out.policy.certificates) each.key_pem = text(in.view(in.u32()));
  const bool whole = in.done();
  wipe(*keys);
  if (!whole) return bad("holds other private keys than certificates");
  return out;
}

void Store::replay_journal(Loaded& into) const {
  std::error_code error;
  const std::filesystem::path path = file(journal_file);
  if (!std::filesystem::exists(path, error)) return;
  const auto bytes = read_file(path, 2 * journal_bytes_max);
  if (!bytes) return into.warnings.push_back(bytes.error());
  for (ByteView rest{*bytes}; !rest.empty();) {
    Reader reader{rest};
    const std::size_t set_size = reader.u32(), removed_size = reader.u32();
    const std::uint64_t generation = reader.u64();
    const ByteView set = reader.view(set_size), removed = reader.view(removed_size);
    reader.skip(digest_bytes);
    const std::size_t size = rest.size() - reader.left();
    const auto torn = [&] {
      into.warnings.push_back(
          fmt::format("{} ends in a torn record at byte {}", path.string(), bytes->size() - rest.size()));
    };
    if (!reader.ok() || !digest_fits(rest.first(size))) return torn();
    const auto first = decode_policy(set, limits_), second = decode_policy(removed, limits_);
    if (!first || !second) return torn();
    if (generation > into.generation) {
      spec::EndpointDelta delta{first->endpoints, {}};
      for (const spec::Endpoint& each : second->endpoints) delta.remove.push_back({each.cluster, each.name});
      apply_delta(delta, into.policy.endpoints);
      into.generation = generation;
    }
    rest = rest.subspan(size);
  }
}

std::expected<std::optional<Store::Loaded>, std::string> Store::load() {
  std::error_code error;
  const std::filesystem::path path = file(policy_file), previous = file(previous_file);
  journal_is_good_ = false;  // the first delta writes a whole
  if (!std::filesystem::exists(path, error) && !std::filesystem::exists(previous, error)) return std::nullopt;
  auto loaded = read_policy(path);
  policy_is_good_ = loaded.has_value();
  if (loaded) {
    replay_journal(*loaded);
    return std::move(*loaded);
  }
  auto older = read_policy(previous);
  if (!older) return std::unexpected{fmt::format("{}; {}", loaded.error(), older.error())};
  // The journal goes on from the damaged one: to this one, and to what is saved next, it means nothing.
  ::unlink(file(journal_file).c_str());
  older->warnings.push_back(fmt::format("{}; the policy before it is used", loaded.error()));
  return std::move(*older);
}

}  // namespace sluice::mgmt
