#!/usr/bin/env python3
"""Searches the sealed files of a dataset for secrets, with pyarrow, which shares no code with the gate.

    python tests/readers/search_secrets.py target/interop/connectors/data/audit target/interop/connectors/secrets.json

The second file is what tests/interop/connectors.test.mjs writes: every secret it sent, and one that is stored on purpose.
Exits 1 when one of the secrets is found, or the planted one is not.
"""

import base64
import json
import sys
from pathlib import Path
from urllib.parse import quote

import pyarrow.parquet

# Enough of a form to know it by; every form is longer.
STEM = 12


def forms(secret):
    """How a secret may be spelled: as it is, percent-encoded, in Base64 wherever it begins, in hexadecimal."""
    raw = secret.encode()
    found = {secret, quote(secret, safe=""), raw.hex(), raw.hex().upper()}
    for offset in range(3):
        text = base64.b64encode(b"\0" * offset + raw).decode()
        # Only the characters that depend on nothing but the secret.
        sure = text[-(-offset * 8 // 6) : (offset + len(raw)) * 8 // 6]
        found |= {sure, sure.replace("+", "-").replace("/", "_")}
    return found


def texts(path):
    """Every string in a file: the values of all columns, decompressed, and the metadata of its footer."""
    file = pyarrow.parquet.ParquetFile(path)
    for key, value in (file.metadata.metadata or {}).items():
        yield from (key.decode("latin-1"), value.decode("latin-1"))
    for batch in file.iter_batches():
        for row in batch.to_pylist():
            yield from (str(value) for value in row.values() if value is not None)


def search(secrets, files):
    """The secrets that occur in these files, each with the file it was found in first."""
    stems = {}
    for secret in secrets:
        for form in forms(secret):
            stems.setdefault(form[:STEM], []).append((form, secret))
    found = {}
    for path in files:
        for text in texts(path):
            for at in range(len(text) - STEM + 1):
                for form, secret in stems.get(text[at : at + STEM], ()):
                    if text.startswith(form, at):
                        found.setdefault(secret, path)
    return found


def main():
    if len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} DATASET_DIR SECRETS_JSON")
    files = sorted(Path(sys.argv[1]).glob("*/*.parquet"))
    sent = json.loads(Path(sys.argv[2]).read_text("utf-8"))
    found = search([sent["planted"], *sent["secrets"]], files)
    if found.pop(sent["planted"], None) is None:
        sys.exit(f"the secret stored on purpose was not found in {len(files)} files: this search finds nothing")
    for secret, path in found.items():
        print(f"{path}: {secret}", file=sys.stderr)
    passed = len(sent["secrets"]) - len(found)
    print(f"{passed} passed, {len(found)} failed")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
