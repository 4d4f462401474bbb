// counters.list.h - the list behind counters.h. A table: add lines, one counter a line, in the section of its layer.
// Unit "gauge:<unit>" marks a value that also goes down.
#pragma once

#define SLUICE_COUNTERS(X)                                                                                             \
  /* dataplane */                                                                                                      \
  X(rx_packets, "packets", "Packets received from ports")                                                              \
  X(rx_bytes, "bytes", "Bytes received from ports")                                                                    \
  X(tx_packets, "packets", "Packets given to ports")                                                                   \
  X(tx_bytes, "bytes", "Bytes given to ports")                                                                         \
  X(turns, "turns", "Worker turns")                                                                                    \
  X(busy_turns, "turns", "Worker turns that found work")                                                               \
  X(busy_tsc, "tsc_cycles", "TSC cycles spent in busy turns")                                                          \
  X(payload_copied_bytes, "bytes", "Payload bytes copied from one packet buffer to another")                           \
  X(drop_no_buffer, "packets", "No packet buffer was free")                                                            \
  X(drop_malformed, "packets", "A header is truncated, inconsistent or out of its bounds")                             \
  X(drop_bad_checksum, "packets", "IPv4, TCP, UDP or ICMP checksum is wrong")                                          \
  X(drop_tx_full, "packets", "The port's transmit queue was full")                                                     \
  X(drop_handoff_full, "packets", "The ring to the worker that owns the flow was full")                                \
  X(handoff_sent, "packets", "Packets handed to the worker that owns their flow")                                      \
  X(drop_tx_oversize, "packets", "The frame must be copied into one buffer and does not fit")                          \
  X(drop_no_route, "packets", "No route leads to the destination")                                                     \
  X(drop_no_neighbour, "packets", "The next hop did not answer ARP or neighbour solicitation")                         \
  X(drop_neighbour_limit, "packets", "Too many next hops are unresolved, or resolved too fast")                        \
  X(drop_neighbour_queue, "packets", "Too many packets waited for one next hop")                                       \
  X(drop_not_our_mac, "packets", "The frame is for another station on the link")                                       \
  X(drop_no_interface, "packets", "The frame's port and VLAN are no interface of ours")                                \
  X(drop_no_exception_port, "packets", "Neither ours nor is there a kernel to hand it to")                             \
  X(drop_nd_invalid, "packets", "A neighbour discovery message fails the checks of RFC 4861")                          \
  X(drop_icmp_rate, "packets", "An ICMP echo or error over the rate limit")                                            \
  X(drop_unanswerable, "packets", "An ICMP error was due that RFC 1122 or RFC 4443 forbids")                           \
  X(arp_requests_sent, "packets", "ARP requests sent")                                                                 \
  X(nd_solicitations_sent, "packets", "Neighbour solicitations sent")                                                  \
  X(neighbours_resolved, "events", "Next hops that became reachable")                                                  \
  X(neighbours_failed, "events", "Next hops that did not answer")                                                      \
  X(neighbours_evicted, "events", "Stale next hops that made room for others")                                         \
  X(neighbour_news_lost, "events", "Neighbour news beyond what one turn hands to other workers")                       \
  X(icmp_echo_replies, "packets", "ICMP and ICMPv6 echo requests answered")                                            \
  X(icmp_errors_sent, "packets", "ICMP and ICMPv6 errors sent")                                                        \
  X(address_conflicts, "packets", "Another station spoke for an address of ours")                                      \
  X(exception_to_kernel, "packets", "Frames handed to the kernel")                                                     \
  X(exception_from_kernel, "packets", "Frames from the kernel put on the link")                                        \
  X(drop_not_addressed, "packets", "The frame's destination MAC is another station's")                                 \
  /* crypto */                                                                                                         \
  X(tls_opened_bytes, "bytes", "Plaintext bytes opened by the IPsec-MB engine")                                        \
  X(tls_sealed_bytes, "bytes", "Plaintext bytes sealed by the IPsec-MB engine")                                        \
  X(tls_ssl_objects, "gauge:objects", "OpenSSL SSL objects alive: handshakes under way, never established sessions")   \
  X(tls_sessions, "gauge:sessions", "TLS sessions, shaking hands or established")                                      \
  X(tls_sessions_refused, "connections", "Connections refused because the pool of TLS sessions was full")              \
  X(tls_handshakes, "handshakes", "TLS handshakes completed, resumptions among them")                                  \
  X(tls_resumptions, "handshakes", "TLS handshakes that resumed a session by a ticket")                                \
  X(tls_handshakes_failed, "handshakes", "TLS handshakes that failed, for any of the reasons that follow")             \
  X(tls_failed_protocol_version, "handshakes", "The client speaks no version of TLS that is allowed")                  \
  X(tls_failed_no_shared_offer, "handshakes", "No cipher suite, group or signature algorithm in common")               \
  X(tls_failed_unknown_name, "handshakes", "No certificate covers the name that the client asked for")                 \
  X(tls_failed_no_protocol, "handshakes", "No application protocol (ALPN) in common")                                  \
  X(tls_failed_malformed, "handshakes", "The client's bytes are no TLS handshake or break its rules")                  \
  X(tls_failed_refused, "handshakes", "The client ended the handshake by an alert")                                    \
  X(tls_failed_abandoned, "handshakes", "The handshake waited longer than a client's patience")                        \
  X(tls_failed_overloaded, "handshakes", "Too many handshakes were under way")                                         \
  X(tls_failed_internal, "handshakes", "The handshake failed by our own fault: memory or buffers")                     \
  X(tls_alerts_sent, "alerts", "Fatal alerts sent on established TLS sessions")                                        \
  X(tls_alerts_received, "alerts", "Fatal alerts received on established TLS sessions")                                \
  X(tls_bad_records, "records", "TLS records that did not authenticate")                                               \
  X(tls_key_updates_sent, "messages", "TLS KeyUpdate messages sent")                                                   \
  X(tls_key_updates_received, "messages", "TLS KeyUpdate messages received")                                           \
  /* l4 */                                                                                                             \
  X(drop_fragment, "packets", "A fragment of TCP or UDP, which nothing here reassembles")                              \
  X(drop_multicast, "packets", "Multicast or broadcast that nothing here takes, and there is no exception port")       \
  X(drop_not_ours, "packets", "Neither an address of ours nor one that a listener or service takes")                   \
  X(drop_unknown_protocol, "packets", "Neither ARP nor IP, and there is no exception port")                            \
  X(drop_no_flow, "packets", "For a port of the SNAT pool, or an ICMP error, without a flow that it belongs to")       \
  X(drop_flow_table_full, "packets", "A new flow of an L4 service when no flow was free")                              \
  X(drop_snat_exhausted, "packets", "A new flow of an L4 service when no SNAT port was free towards its backend")      \
  X(l4_packets, "packets", "Packets of L4 services that were rewritten and sent on")                                   \
  X(l4_flows, "gauge:flows", "Live flows of L4 services")                                                              \
  X(l4_flows_opened, "flows", "Flows of L4 services opened")                                                           \
  X(l4_flows_expired, "flows", "Flows of L4 services that ended by their idle timeout")                                \
  X(l4_flows_evicted, "flows", "Unanswered flows of L4 services that made room for new ones")                          \
  X(l4_flows_revoked, "flows", "Flows of L4 services that ended because service or backend is gone")                   \
  X(l4_no_backend, "packets", "New flows of L4 services refused because no backend takes new flows")                   \
  X(l4_no_flow, "packets", "TCP segments of L4 services without a flow, answered by a reset")                          \
  X(tcp_accepted, "connections", "TCP connections accepted")                                                           \
  X(tcp_connected, "connections", "TCP connections opened by us")                                                      \
  X(tcp_refused, "connections", "Active opens that the peer refused by RST")                                           \
  X(tcp_timed_out, "connections", "TCP connections ended by a connect, user or keepalive timeout")                     \
  X(tcp_resets_received, "segments", "RSTs that ended a TCP connection")                                               \
  X(tcp_resets_sent, "segments", "RSTs sent")                                                                          \
  X(tcp_resets_suppressed, "segments", "RSTs not sent because of their rate limit or a full reply queue")              \
  X(tcp_challenge_acks, "segments", "Challenge ACKs sent (RFC 5961)")                                                  \
  X(tcp_segments_in, "segments", "TCP segments received for connections, listeners or nobody")                         \
  X(tcp_segments_joined, "segments", "Of these, joined to the one before them in one burst of one connection")         \
  X(tcp_retransmitted_segments, "segments", "TCP segments sent again")                                                 \
  X(tcp_retransmission_timeouts, "timeouts", "TCP retransmission timeouts")                                            \
  X(tcp_tail_probes, "segments", "Tail loss probes sent (RFC 8985)")                                                   \
  X(tcp_tail_probe_recoveries, "events", "Losses that only a tail probe showed and repaired")                          \
  X(tcp_fast_recoveries, "events", "Losses found without a timeout")                                                   \
  X(tcp_spurious_recoveries, "events", "Reductions taken back: nothing had been lost (RFC 4015)")                      \
  X(tcp_spurious_timeouts, "timeouts", "Timeouts taken back: nothing had been lost (RFC 5682)")                        \
  X(tcp_dsacks_received, "segments", "Duplicates that the peer told of (RFC 2883)")                                    \
  X(tcp_ecn_connections, "connections", "Connections that agreed on ECN (RFC 3168)")                                   \
  X(tcp_ecn_marks_received, "segments", "Data that came with a congestion mark")                                       \
  X(tcp_ecn_echoes_received, "segments", "ACKs by which the peer told of congestion marks")                            \
  X(tcp_ecn_reductions, "events", "Reductions because of congestion marks")                                            \
  X(tcp_window_probes, "segments", "Zero-window probes sent")                                                          \
  X(tcp_keepalive_probes, "segments", "Keepalive probes sent")                                                         \
  X(tcp_no_records, "events", "Sending waited because no transmit record was free")                                    \
  X(tcp_no_transit, "segments", "A FIN out of order dropped, or a duplicate not told of: no transit was free")         \
  X(tcp_time_wait_recycled, "connections", "TIME-WAIT entries that ended early because the table was full")            \
  X(tcp_time_wait_reused, "connections", "TIME-WAIT entries that a new connection took over")                          \
  X(tcp_handshakes_evicted, "connections", "Half-open connections dropped because the SYN cache was full")             \
  X(tcp_handshakes_expired, "connections", "Half-open connections dropped because the peer did not answer")            \
  X(tcp_connections_full, "connections", "Opens refused because every connection or table slot was taken")             \
  X(tcp_syn_cookies_sent, "segments", "SYN-ACKs whose sequence number is a cookie: no half-open connection is kept")   \
  X(tcp_syn_cookies_accepted, "connections", "TCP connections made of the ACK of a SYN cookie")                        \
  X(tcp_syn_cookies_rejected, "segments", "ACKs that carry no cookie of ours, or an old one, while cookies are out")   \
  X(tcp_syn_cookie_spells, "events", "Times that SYN cookies were switched on, by backlog or by rate")                 \
  X(tcp_admission_refused, "segments", "SYNs not answered because packet buffers are nearly used up")                  \
  X(tcp_pressure_cut_idle, "connections", "Idle TCP connections reset because buffers were short")                     \
  X(tcp_pressure_cut_greedy, "connections", "TCP connections reset because they held most while buffers were short")   \
  X(tcp_icmp_errors, "packets", "ICMP errors that quote a segment in flight of a TCP connection")                      \
  X(tcp_pmtu_reduced, "events", "TCP connections whose path MTU an ICMP error lowered (RFC 1191, 8201)")               \
  X(tcp_black_holes, "events", "Full-size TCP segments vanished twice: smaller ones from then on (RFC 4821)")          \
  X(tcp_mtu_probes, "segments", "TCP segments larger than the path is known to take, to find out")                     \
  X(tcp_mtu_probes_answered, "segments", "Of these, acknowledged: the path takes that size")                           \
  X(drop_tcp_no_listener, "segments", "Nobody listens there, or the connection is gone")                               \
  X(drop_tcp_paws, "segments", "The timestamp is older than the last one (PAWS)")                                      \
  X(drop_tcp_no_timestamp, "segments", "The connection uses timestamps and the segment has none")                      \
  X(drop_tcp_out_of_window, "segments", "The sequence number is outside the receive window")                           \
  X(drop_tcp_unsent_ack, "segments", "It acknowledges what was never sent")                                            \
  X(drop_tcp_out_of_order, "segments", "No room for out-of-order data")                                                \
  X(drop_tcp_held, "segments", "Payload dropped: queues hold as many buffers as they may (held_max)")                  \
  X(drop_tcp_charge, "segments", "Payload dropped: the connection holds twice its receive limit")                      \
  X(drop_tcp_icmp, "packets", "An ICMP error that quotes no connection, or nothing in flight (RFC 5927)")              \
  X(drop_tcp_bad_source, "segments", "A source address or port that no peer can have")                                 \
  /* l7 */                                                                                                             \
  X(http_requests, "requests", "Requests whose header was read whole")                                                 \
  X(http_bad_requests, "requests", "Requests refused because they break HTTP or a limit")                              \
  X(http_bad_responses, "responses", "Upstream answers refused because they break HTTP or a limit")                    \
  X(http_client_connections, "gauge:connections", "Client connections open")                                           \
  X(http_upstream_connections, "gauge:connections", "Connections to upstream endpoints, idle ones among them")         \
  X(http_refused_no_listener, "connections", "Connections whose listener is gone, or that came while draining")        \
  X(http_refused_listener_limit, "connections", "Connections above their listener's max_connections")                  \
  X(http_refused_pool_full, "connections", "Connections or requests refused because a pool of the worker was full")    \
  X(http_connect_no_resource, "requests", "Requests for which no upstream connection could be opened here")            \
  X(http_upstream_failures, "requests", "Upstream connections that failed while a request was on them")                \
  X(http_upstream_cut, "requests", "Requests ended because buffers were short and their connection was cut")           \
  X(http_stale_resends, "requests", "Requests sent again because their pooled connection had been closed")             \
  X(http_timeouts, "requests", "Requests ended by a deadline")                                                         \
  X(tls_handshake_timeouts, "connections", "Connections whose TLS handshake took too long")                            \
  X(access_log_lost, "lines", "Access-log lines lost because the ring to management was full")
