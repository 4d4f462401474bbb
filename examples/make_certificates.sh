#!/bin/sh
# Makes the self-signed certificates that examples/policy.json names, beside it or in the folder given. For trials only.
set -eu
folder=${1:-$(dirname "$0")/certificates}
mkdir -p "$folder"
for name in shop static; do
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=$name.example.com" \
    -addext "subjectAltName=DNS:$name.example.com,DNS:*.$name.example.com" \
    -keyout "$folder/$name.key" -out "$folder/$name.pem" 2>/dev/null
done
