#include "l4/tcp/cookie.h"

#include <algorithm>

namespace sluice::tcp {

namespace {

// A cookie: the hash in the upper bits, then the low bit of the period, then the index of the MSS.
constexpr std::uint32_t mss_bits = 3, low_bits = mss_bits + 1;
static_assert(Cookies::mss_table.size() == 1u << mss_bits);
static_assert(Cookies::periods == 2, "one bit tells the current period from the one before");

constexpr Nanos window{100'000'000};
constexpr std::uint32_t windows_per_second = 10;
constexpr std::uint8_t no_scale = 15;

std::uint32_t period_of(Nanos now) { return static_cast<std::uint32_t>(now.ns / Cookies::period.ns); }

}  // namespace

std::uint32_t Cookies::mac(const Key& key, Seq irs, std::uint32_t period, std::uint32_t mss_index) const {
  std::uint8_t in[52];
  std::memcpy(in, &key, 40);
  std::memcpy(in + 40, &irs.value, 4);
  std::memcpy(in + 44, &period, 4);
  std::memcpy(in + 48, &mss_index, 4);
  return static_cast<std::uint32_t>(sip_(in)) << low_bits;
}

Seq Cookies::make(const Key& key, Seq irs, std::uint16_t mss, Nanos now) const {
  const auto above = std::upper_bound(mss_table.begin() + 1, mss_table.end(), mss);
  const auto index = static_cast<std::uint32_t>(above - mss_table.begin() - 1);
  const std::uint32_t period = period_of(now);
  return Seq{mac(key, irs, period, index) | (period & 1) << mss_bits | index};
}

std::optional<std::uint16_t> Cookies::check(const Key& key, Seq irs, Seq cookie, Nanos now) const {
  const std::uint32_t current = period_of(now), index = cookie.value & (mss_table.size() - 1);
  const std::uint32_t period = (current & 1) == (cookie.value >> mss_bits & 1) ? current : current - 1;
  constexpr std::uint32_t low = (1u << low_bits) - 1;
  if ((cookie.value & ~low) != mac(key, irs, period, index)) return {};
  return mss_table[index];
}

std::uint32_t CookieOptions::put(std::uint32_t clock) const {
  const std::uint32_t bits = (scaled ? snd_scale : no_scale) | (sack ? 1u << 4 : 0) | (ecn ? 1u << 5 : 0);
  const std::uint32_t at = (clock & ~mask) | bits;
  return static_cast<std::int32_t>(at - clock) > 0 ? at - (mask + 1) : at;  // ours never run backwards
}

std::optional<CookieOptions> CookieOptions::take(std::uint32_t echoed) {
  CookieOptions out;
  const std::uint8_t scale = echoed & 0xf;
  if (scale > 14 && scale != no_scale) return {};
  out.scaled = scale != no_scale;
  out.snd_scale = out.scaled ? scale : 0;
  out.sack = echoed >> 4 & 1;
  out.ecn = echoed >> 5 & 1;
  return out;
}

CookieGate::CookieGate(const Config& config)
    : when_(config.syn_cookies),
      mark_(std::max(config.handshakes - config.handshakes / 4, 1u)),
      rate_(config.cookie_rate),
      on_(config.syn_cookies == SynCookies::always) {}

void CookieGate::roll(Nanos now) {
  if (now - window_began_ < window) return;
  const std::uint32_t unfinished = syns_ > completed_ ? syns_ - completed_ : 0;
  const bool calm = unfinished <= rate_ / windows_per_second / 2 && highest_ <= mark_ / 2;
  // Windows that nothing fell into were calm as well.
  const auto passed =
      static_cast<std::uint32_t>(std::min<std::int64_t>((now - window_began_) / window, windows_per_second + 1));
  quiet_ = calm ? quiet_ + passed : passed - 1;
  if (quiet_ >= windows_per_second) on_ = false;
  syns_ = completed_ = highest_ = 0;
  window_began_ = now;
}

bool CookieGate::syn(std::uint32_t half_open, Nanos now) {
  if (when_ == SynCookies::never) return false;
  if (when_ == SynCookies::always) return true;
  roll(now);
  ++syns_;
  highest_ = std::max(highest_, half_open);
  const std::uint32_t unfinished = syns_ > completed_ ? syns_ - completed_ : 0;
  if (half_open >= mark_ || unfinished > rate_ / windows_per_second) {
    on_ = true;
    quiet_ = 0;
  }
  return on_;
}

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/cookie_test.cc.
