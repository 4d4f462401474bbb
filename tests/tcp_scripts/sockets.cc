#include "tests/tcp_scripts/sockets.h"

#include <linux/tcp.h>
#include <netinet/in.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace sluice::scripts {

namespace {

struct Field {
  std::string_view name;
  std::size_t at, size;
};
#define FIELD(name) {#name, offsetof(tcp_info, name), sizeof(tcp_info::name)}
constexpr Field fields[] = {
    FIELD(tcpi_state),          FIELD(tcpi_ca_state),      FIELD(tcpi_retransmits),   FIELD(tcpi_probes),
    FIELD(tcpi_backoff),        FIELD(tcpi_options),       FIELD(tcpi_rto),           FIELD(tcpi_ato),
    FIELD(tcpi_snd_mss),        FIELD(tcpi_rcv_mss),       FIELD(tcpi_unacked),       FIELD(tcpi_sacked),
    FIELD(tcpi_lost),           FIELD(tcpi_retrans),       FIELD(tcpi_rtt),           FIELD(tcpi_rttvar),
    FIELD(tcpi_snd_ssthresh),   FIELD(tcpi_snd_cwnd),      FIELD(tcpi_advmss),        FIELD(tcpi_reordering),
    FIELD(tcpi_pmtu),           FIELD(tcpi_total_retrans), FIELD(tcpi_bytes_acked),   FIELD(tcpi_bytes_received),
    FIELD(tcpi_segs_out),       FIELD(tcpi_segs_in),       FIELD(tcpi_notsent_bytes), FIELD(tcpi_min_rtt),
    FIELD(tcpi_data_segs_in),   FIELD(tcpi_data_segs_out), FIELD(tcpi_bytes_sent),    FIELD(tcpi_bytes_retrans),
    FIELD(tcpi_rcv_space),      FIELD(tcpi_dsack_dups),    FIELD(tcpi_reord_seen),    FIELD(tcpi_delivered),
    FIELD(tcpi_delivered_ce),   FIELD(tcpi_snd_wnd),       FIELD(tcpi_busy_time),     FIELD(tcpi_rwnd_limited),
    FIELD(tcpi_sndbuf_limited), FIELD(tcpi_last_data_recv)};
#undef FIELD

std::int64_t argument(const Call& call, std::size_t index, std::int64_t otherwise = 0) {
  return index < call.arguments.size() ? call.arguments[index] : otherwise;
}

std::string error_name(int error) {
  const char* name = strerrorname_np(error);
  return name ? name : std::to_string(error);
}

bool holds(std::int64_t a, std::string_view op, std::int64_t b) {
  if (op == "==") return a == b;
  if (op == "!=") return a != b;
  if (op == "<=") return a <= b;
  if (op == ">=") return a >= b;
  if (op == "<") return a < b;
  if (op == ">") return a > b;
  return (a & b) == b;
}

}  // namespace

int Sockets::address(sockaddr_storage& out, bool local, std::uint16_t port) const {
  out = {};
  if (v6_) {
    auto& in = reinterpret_cast<sockaddr_in6&>(out);
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(port);
    std::memcpy(&in.sin6_addr, (local ? local_address6 : peer_address6).data(), 16);
    return sizeof in;
  }
  auto& in = reinterpret_cast<sockaddr_in&>(out);
  in.sin_family = AF_INET;
  in.sin_port = htons(port);
  std::memcpy(&in.sin_addr, (local ? local_address4 : peer_address4).data(), 4);
  return sizeof in;
}

Sockets::Result Sockets::receive(File& file, std::size_t size, int flags) {
  std::vector<std::uint8_t> bytes(size);
  Result out{target_.recv(file.fd, bytes.data(), size, flags), errno, {}};
  for (std::int64_t i = 0; i < out.value; ++i)
    if (bytes[static_cast<std::size_t>(i)] != pattern(file.read_at + static_cast<std::uint32_t>(i)))
      out.wrong = "byte " + std::to_string(i) + " of what was read is wrong";
  if (out.value > 0 && !(flags & MSG_PEEK)) file.read_at += static_cast<std::uint32_t>(out.value);
  return out;
}

Sockets::Result Sockets::transmit(File& file, std::size_t size, int flags) {
  std::vector<std::uint8_t> bytes(size);
  for (std::uint32_t i = 0; i < size; ++i) bytes[i] = pattern(file.write_at + i);
  Result out{target_.send(file.fd, bytes.data(), size, flags), errno, {}};
  if (out.value > 0) file.write_at += static_cast<std::uint32_t>(out.value);
  return out;
}

Sockets::Result Sockets::set_option(File& file, const Call& call) {
  std::vector<int> values;
  for (const std::int64_t value : call.list) values.push_back(static_cast<int>(value));
  if (values.empty()) values.push_back(static_cast<int>(argument(call, 3)));
  return {target_.setsockopt(file.fd, static_cast<int>(argument(call, 1)), static_cast<int>(argument(call, 2)),
                             values.data(), static_cast<socklen_t>(values.size() * sizeof(int))),
          errno,
          {}};
}

Sockets::Result Sockets::get_option(File& file, const Call& call) {
  int value = 0;
  socklen_t size = sizeof value;
  Result out{target_.getsockopt(file.fd, static_cast<int>(argument(call, 1)), static_cast<int>(argument(call, 2)),
                                &value, &size),
             errno,
             {}};
  if (out.value == 0) out.told = value ? error_name(value) : "0";
  if (out.value == 0 && !call.list.empty() && call.list[0] != value)
    out.wrong = "the option is " + std::to_string(value);
  return out;
}

Sockets::Result Sockets::execute(const Call& call) {
  const std::string& name = call.name;
  sockaddr_storage to;
  if (name == "socket") return {target_.socket(v6_ ? AF_INET6 : AF_INET), errno, {}, true};
  const auto found = files_.find(argument(call, 0, -1));
  if (found == files_.end()) return {0, 0, "no such file in this script"};
  File& file = found->second;
  const auto size = static_cast<std::size_t>(argument(call, 1));
  const int word = static_cast<int>(argument(call, 1)), flags = static_cast<int>(argument(call, 2));
  if (name == "bind") {
    const int length = address(to, true, static_cast<std::uint16_t>(argument(call, 1, local_port)));
    return {target_.bind(file.fd, reinterpret_cast<sockaddr*>(&to), static_cast<socklen_t>(length)), errno, {}};
  }
  if (name == "connect") {
    const int length = address(to, false, static_cast<std::uint16_t>(first_peer_port + argument(call, 1, 1) - 1));
    last_ = found->first;
    return {target_.connect(file.fd, reinterpret_cast<sockaddr*>(&to), static_cast<socklen_t>(length)), errno, {}};
  }
  if (name == "listen") return {target_.listen(file.fd, word), errno, {}};
  if (name == "accept") return {target_.accept(file.fd), errno, {}, true};
  if (name == "read") return receive(file, size, 0);
  if (name == "recv") return receive(file, size, flags);
  if (name == "write") return transmit(file, size, 0);
  if (name == "send") return transmit(file, size, flags);
  if (name == "shutdown") return {target_.shutdown(file.fd, word), errno, {}};
  if (name == "setsockopt") return set_option(file, call);
  if (name == "getsockopt") return get_option(file, call);
  if (name == "close") {
    const Result out{target_.close(file.fd), errno, {}};
    files_.erase(found);
    return out;
  }
  if (name == "ioctl") {
    int value = 0;
    Result out{target_.ioctl(file.fd, static_cast<unsigned long>(word), &value), errno, {}};
    if (out.value == 0 && !call.list.empty() && call.list[0] != value) out.wrong = "it tells " + std::to_string(value);
    return out;
  }
  if (name == "poll") {
    short events = static_cast<short>(argument(call, 1, 0x7fff));
    const int result = target_.poll(file.fd, events);
    return {result < 0 ? -1 : events, errno, {}};
  }
  return {0, 0, "no call '" + name + "'"};
}

std::string Sockets::call(const Call& call, std::string& got, std::string& brief) {
  Result result = execute(call);
  if (result.opens && result.value >= 0) {
    files_[call.result] = {static_cast<int>(result.value)};
    if (call.name == "accept") last_ = call.result;
    result.value = call.result >= 0 ? call.result : result.value;
  }
  got = call.name + " = " + std::to_string(result.value) + (result.value == -1 ? " " + error_name(result.error) : "");
  if (!result.told.empty()) brief = call.name + " tells " + result.told;
  if (!result.wrong.empty()) got += ", " + result.wrong;
  if (result.value == -1 || call.name == "read" || call.name == "recv" || call.name == "poll") brief = got;
  if (!result.wrong.empty()) return result.wrong;
  if (call.any_result) return "";
  if (call.result != result.value) return "the result is " + std::to_string(result.value);
  if (call.result == -1 && call.error != result.error) return "the error is " + error_name(result.error);
  return "";
}

std::string Sockets::check(const Assert& assert, std::string& got) {
  const auto file = files_.find(last_);
  if (file == files_.end()) return "no file is connected";
  tcp_info info{};
  socklen_t size = sizeof info;
  if (target_.getsockopt(file->second.fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return "TCP_INFO fails";
  std::string wrong;
  for (const Assert::Term& term : assert.terms) {
    const Field* known = nullptr;
    for (const Field& field : fields)
      if (field.name == term.name) known = &field;
    if (!known) return "no field " + term.name;
    std::uint64_t value = 0;
    std::memcpy(&value, reinterpret_cast<const char*>(&info) + known->at, known->size);
    got += (got.empty() ? "" : "; ") + term.name + " = " + std::to_string(value);
    if (!holds(static_cast<std::int64_t>(value), term.op, term.value))
      wrong = term.name + " is " + std::to_string(value);
  }
  return wrong;
}

}  // namespace sluice::scripts
