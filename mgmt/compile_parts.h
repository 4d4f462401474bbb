// compile_parts.h - the parts of compile, one for each room. Used by compile*.cc only.
#pragma once

#include "mgmt/compile.h"
#include "mgmt/path.h"

namespace sluice::mgmt {

inline Nanos from_ms(std::uint32_t ms) { return Nanos{std::int64_t{ms} * 1'000'000}; }
inline Nanos from_ms_or_never(std::uint32_t ms) { return ms == 0 ? Nanos::never() : from_ms(ms); }

// compile_routes.cc. nullptr when faults were found.
std::shared_ptr<const route::Table> build_table(const spec::RouteTable& table, const Path& path, const Means& means,
                                                const IdOf& id_of, Faults& faults);

// compile_tls.cc. The key says everything the context is made of.
std::string context_key(const spec::ListenerTls& tls, const spec::Policy& policy);
std::shared_ptr<const tls::ServerContext> build_context(const spec::ListenerTls& tls, const Path& path,
                                                        const spec::Policy& policy, const Means& means,
                                                        std::int64_t now_unix, Faults& faults, Faults& warnings);

// compile_l4.cc
std::shared_ptr<const Listeners> build_listener_match(const spec::Policy& policy, const Means& means, const IdOf& id_of,
                                                      Faults& faults);
// `before`, where given, lends its Maglev tables.
std::shared_ptr<const Services> build_services(const spec::Policy& policy, std::uint64_t generation, const IdOf& id_of,
                                               const Services* before, Faults& faults);

}  // namespace sluice::mgmt

// Tested in tests/unit/mgmt/publish_test.cc.
