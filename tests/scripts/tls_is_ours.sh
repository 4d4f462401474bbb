#!/usr/bin/env bash
# Records of established TLS connections are opened and sealed by crypto/tls/record.cc alone: sluiced asks OpenSSL for no
# SSL_read and no SSL_write at all, and has IPsec-MB for the records.
set -uo pipefail
sluiced=$SLUICE_BUILD/mgmt/sluiced failed=0
check() {
  if "${@:2}"; then echo "ok $1"; else failed=1 && echo "not ok $1"; fi
}
symbols=$(nm -D --undefined-only "$sluiced") || symbols=""
check "sluiced links OpenSSL at run time" grep -q ' SSL_do_handshake\b' <<<"$symbols"
check "it has no SSL_read" test "$(grep -c ' SSL_read' <<<"$symbols")" = 0
check "it has no SSL_write" test "$(grep -c ' SSL_write' <<<"$symbols")" = 0
exit $failed
