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
  /* crypto */                                                                                                         \
  X(tls_opened_bytes, "bytes", "Plaintext bytes opened by the IPsec-MB engine")                                        \
  X(tls_sealed_bytes, "bytes", "Plaintext bytes sealed by the IPsec-MB engine")                                        \
  /* l4 */                                                                                                             \
  X(tcp_accepted, "connections", "TCP connections accepted")                                                           \
  /* l7 */                                                                                                             \
  X(http_requests, "requests", "Requests whose header was read whole")
