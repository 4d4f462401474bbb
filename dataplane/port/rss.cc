#include "dataplane/port/rss.h"

#include <bit>

#include "dataplane/base/check.h"

namespace sluice {
namespace {

// The exclusive or of the 16-bit words of an address, as the wire has it.
std::uint16_t fold(const IpAddress& address) {
  const ByteView wire = address.wire();
  std::uint16_t folded = 0;
  for (std::size_t i = 0; i < wire.size(); i += 2) folded ^= static_cast<std::uint16_t>(wire[i] << 8 | wire[i + 1]);
  return folded;
}

// Toeplitz: for each bit of the input that is set, the 32 bits of the key that start there.
std::uint32_t toeplitz(std::uint16_t folded) {
  constexpr std::uint32_t period = Rss::key_period[0] << 8 | Rss::key_period[1];
  constexpr std::uint32_t window = period << 16 | period;
  std::uint32_t hash = 0;
  for (unsigned bit = 0; bit < 16; ++bit)
    if (folded & (0x8000u >> bit)) hash ^= std::rotl(window, static_cast<int>(bit));
  return hash;
}

}  // namespace

Rss::Rss(std::vector<std::uint16_t> table) : table_(std::move(table)) { CHECK(std::has_single_bit(table_.size())); }

std::uint32_t Rss::hash(const IpAddress& source, std::uint16_t source_port, const IpAddress& destination,
                        std::uint16_t destination_port) const {
  return toeplitz(fold(source) ^ fold(destination) ^ source_port ^ destination_port);
}

std::optional<std::uint16_t> Rss::choose_local_port(const IpAddress& local, const IpAddress& remote,
                                                    std::uint16_t remote_port, std::uint16_t wanted,
                                                    std::uint16_t first, std::uint16_t step, unsigned tries) const {
  const std::uint16_t rest = fold(local) ^ fold(remote) ^ remote_port;
  std::uint32_t port = first;
  for (unsigned i = 0; i < tries && port <= 0xffff; ++i, port += step)
    if (queue_of(toeplitz(rest ^ static_cast<std::uint16_t>(port))) == wanted) return static_cast<std::uint16_t>(port);
  return std::nullopt;
}

std::vector<std::uint8_t> rss_key(std::size_t size) {
  std::vector<std::uint8_t> key(size);
  for (std::size_t i = 0; i < size; ++i) key[i] = Rss::key_period[i & 1];
  return key;
}

}  // namespace sluice
