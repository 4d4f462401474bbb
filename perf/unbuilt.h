// unbuilt.h - the names of figures that others rely on and that are not to be had yet, with what is in the way: the
// appliance cannot do it, or this harness cannot measure it. They stand in every report of their scenario under
// `missing`, marked as not built, so that a name that fails is told apart from a name that has never been.
#pragma once

#include <string_view>

namespace sluice::perf {

struct Unbuilt {
  std::string_view scenario, names, why;  // names: separated by spaces
};

inline constexpr std::string_view no_such_mode = "the appliance forwards L4 services by full-NAT only",
                                  no_such_scenario = "sluice-bench has no such scenario yet",
                                  no_http2 = "the appliance has no HTTP/2",
                                  no_mutual = "the appliance has no mutual TLS";

inline constexpr Unbuilt unbuilt[] = {
    {"l4", "nat_10k nat_1m dsr_1m ipip_1m gue_1m", no_such_mode},
    {"l4", "fullnat_10m", "sluice-bench keeps its tables, and the peer's, to what a small machine holds: 1 M flows"},
    {"maglev", "build_1000", no_such_scenario},
    {"tls",
     "record_aes128gcm_64 record_aes128gcm_1400 record_aes128gcm_16384 record_aes256gcm_64 record_aes256gcm_1400 "
     "record_aes256gcm_16384 record_chacha20_64 record_chacha20_1400 record_chacha20_16384 record_two_workers bulk "
     "handshake_full handshake_resumed idle_bytes",
     no_such_scenario},
    {"tls", "handshake_mutual", no_mutual},
    {"tls", "bulk_both", "the appliance has no TLS to backends"},
    {"http", "h1_tls_keepalive h1_tls_close", "the clients that sluice-bench drives speak no TLS yet"},
    {"http", "h1_routes_100k", "sluice-bench has no policy of 100,000 routes yet"},
    {"http", "h2_h1 h2_h2 h2_tls", no_http2},
    {"route", "lookup_exact_100k lookup_regex_1k", no_such_scenario},
    {"policy", "apply_100k_routes apply_p999_ratio", no_such_scenario},
    {"latency", "added_p50 added_p99", no_such_scenario},
    {"memory", "tcp_idle tls_idle process_million", no_such_scenario},
    {"memory", "h2_idle", no_http2},
    {"scale", "workers_2", "sluice-bench scales l4 alone: l4 two_workers"},
    {"rfc2544", "zero_loss", no_such_scenario},
    {"stages", "stages_overhead", "the pipeline has no stage stamps yet"},
};

}  // namespace sluice::perf
