#!/bin/sh
# Puts an anchor of the chain into a bucket with Object Lock, where nobody can delete or replace it until it expires.
#
#   audit:
#     anchors:
#       - command: [/usr/share/tollgate/anchors/s3-object-lock.sh, s3-bucket, tollgate/anchors, "3650"]
#
# Reads the anchor from stdin. The bucket must have been made with Object Lock. The credentials need s3:PutObject and
# s3:PutObjectRetention, and nothing that reads or deletes. Prints what S3 answered as the receipt.
set -eu
umask 077

[ $# -eq 3 ] || { echo "usage: s3-object-lock.sh BUCKET PREFIX DAYS < anchor" >&2; exit 64; }
bucket=$1
prefix=$2
days=$3

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

cat > "$scratch/anchor"
index=$(sed -n 's/.*"index":\([0-9]*\).*/\1/p' "$scratch/anchor")
instance=$(sed -n 's/.*"instance_id":"\([A-Za-z0-9]*\)".*/\1/p' "$scratch/anchor")
[ -n "$index" ] && [ -n "$instance" ] || { echo "stdin is not an anchor" >&2; exit 65; }
until=$(date -u -d "+$days days" +%Y-%m-%dT%H:%M:%SZ 2> /dev/null || date -u -v "+${days}d" +%Y-%m-%dT%H:%M:%SZ)

aws s3api put-object --bucket "$bucket" --key "$prefix/$instance/$(printf %08d "$index")" --body "$scratch/anchor" \
  --object-lock-mode COMPLIANCE --object-lock-retain-until-date "$until" --checksum-algorithm SHA256
