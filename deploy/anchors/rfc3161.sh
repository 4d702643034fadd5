#!/bin/sh
# Has a time-stamping authority (RFC 3161) sign for an anchor of the chain.
#
#   audit:
#     anchors:
#       - command: [/usr/share/tollgate/anchors/rfc3161.sh, https://tsa.example/tsr, /etc/tollgate/tsa-ca.pem]
#
# Reads the anchor from stdin, prints the response (base64, after the anchor) as the receipt, and fails unless the
# response is one for this anchor by an authority that the CA file vouches for. To look at a receipt later:
#   sed -n '1,2p' RECEIPT > anchor; sed '1,2d' RECEIPT | openssl base64 -d > response
#   openssl ts -verify -data anchor -in response -CAfile tsa-ca.pem
set -eu
umask 077

[ $# -eq 2 ] || { echo "usage: rfc3161.sh URL CA_FILE < anchor" >&2; exit 64; }
url=$1
ca_file=$2

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

cat > "$scratch/anchor"
openssl ts -query -data "$scratch/anchor" -sha256 -cert -out "$scratch/query" 2> "$scratch/log" || { cat "$scratch/log" >&2; exit 1; }
curl --silent --show-error --fail --max-time 15 --max-filesize 65536 \
  --header 'Content-Type: application/timestamp-query' --data-binary "@$scratch/query" \
  --output "$scratch/response" "$url"
openssl ts -verify -queryfile "$scratch/query" -in "$scratch/response" -CAfile "$ca_file" > "$scratch/log" 2>&1 ||
  { cat "$scratch/log" >&2; exit 1; }
cat "$scratch/anchor"
openssl base64 -in "$scratch/response"
