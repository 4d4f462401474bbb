// known.list.h - a table: the fields that code here or a policy is likely to ask for. X(enumerator, "lower-case name").
#pragma once

#define SLUICE_KNOWN_FIELDS(X)                                                                                         \
  X(host, "host")                                                                                                      \
  X(connection, "connection")                                                                                          \
  X(content_length, "content-length")                                                                                  \
  X(transfer_encoding, "transfer-encoding")                                                                            \
  X(te, "te")                                                                                                          \
  X(trailer, "trailer")                                                                                                \
  X(upgrade, "upgrade")                                                                                                \
  X(expect, "expect")                                                                                                  \
  X(keep_alive, "keep-alive")                                                                                          \
  X(proxy_connection, "proxy-connection")                                                                              \
  X(proxy_authorization, "proxy-authorization")                                                                        \
  X(authorization, "authorization")                                                                                    \
  X(accept, "accept")                                                                                                  \
  X(accept_encoding, "accept-encoding")                                                                                \
  X(accept_language, "accept-language")                                                                                \
  X(cache_control, "cache-control")                                                                                    \
  X(content_type, "content-type")                                                                                      \
  X(content_encoding, "content-encoding")                                                                              \
  X(cookie, "cookie")                                                                                                  \
  X(set_cookie, "set-cookie")                                                                                          \
  X(date, "date")                                                                                                      \
  X(server, "server")                                                                                                  \
  X(user_agent, "user-agent")                                                                                          \
  X(referer, "referer")                                                                                                \
  X(origin, "origin")                                                                                                  \
  X(location, "location")                                                                                              \
  X(etag, "etag")                                                                                                      \
  X(last_modified, "last-modified")                                                                                    \
  X(via, "via")                                                                                                        \
  X(forwarded, "forwarded")                                                                                            \
  X(x_forwarded_for, "x-forwarded-for")                                                                                \
  X(x_forwarded_proto, "x-forwarded-proto")                                                                            \
  X(x_forwarded_host, "x-forwarded-host")                                                                              \
  X(x_forwarded_client_cert, "x-forwarded-client-cert")                                                                \
  X(x_request_id, "x-request-id")                                                                                      \
  X(x_real_ip, "x-real-ip")                                                                                            \
  X(traceparent, "traceparent")                                                                                        \
  X(tracestate, "tracestate")                                                                                          \
  X(grpc_timeout, "grpc-timeout")                                                                                      \
  X(grpc_status, "grpc-status")                                                                                        \
  X(grpc_message, "grpc-message")                                                                                      \
  X(retry_after, "retry-after")                                                                                        \
  X(sec_websocket_key, "sec-websocket-key")                                                                            \
  X(early_data, "early-data")
