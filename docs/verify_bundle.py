#!/usr/bin/env python3
"""Checks a bundle of `tollgate prove` without Tollgate: docs/manifest.md says what is checked here.

Needs cryptography. `python verify_bundle.py BUNDLE PUBLIC_KEY`: prints the row and exits 0 if it is the one that was signed.
"""

import json
import sys
from base64 import b64decode

from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key
from verify_chain import Keys, need, sha256


def signed(text, keys):
    """The statement of an entry or an anchor, if a believed key signed it."""
    line, signature = text.encode().split(b"\n")[:2]
    statement = json.loads(line)
    keys[statement["key_id"]].verify(b64decode(signature.removeprefix(b"ed25519:")), line)
    if statement.get("kind") == "key_rotation":
        new = load_der_public_key(b64decode(statement["new_key"]))
        need(Keys.id_of(new) == statement["new_key_id"], "hands over to another key than it names")
        keys[statement["new_key_id"]] = new
    return statement


def main(bundle_path, key_path):
    bundle, key = json.loads(open(bundle_path, "rb").read()), load_pem_public_key(open(key_path, "rb").read())
    keys = {Keys.id_of(key): key}
    for rotation in bundle["rotations"]:
        if json.loads(rotation.split("\n")[0])["key_id"] in keys:
            signed(rotation, keys)
    entry = signed(bundle["entry"], keys)
    file = entry if entry["kind"] == "file" else entry["output"]

    node, at, width, path = sha256(b"\0" + bundle["row"].encode()), bundle["leaf"], file["rows"], list(bundle["path"])
    need(bundle["format"] == 1 and 0 <= at < width, "is not a bundle of this form")
    while width > 1:
        if at ^ 1 < width:
            other = bytes.fromhex(path.pop(0))
            node = sha256(b"\1" + (other + node if at % 2 else node + other))
        at, width = at // 2, (width + 1) // 2
    need(node.hex() == file["merkle_root"] and not path, "the row is not the one that was signed")
    need(sha256(bundle["schema"].encode()).hex() == file["schema_sha256"], "the columns are not those that were signed")
    row = dict(zip((line.split(" ")[0] for line in bundle["schema"].splitlines()), json.loads(bundle["row"])))
    need(row["event_id"] == bundle["event_id"], "the row has another event id")

    index, head = entry["index"], sha256(bundle["entry"].encode()).hex()
    for text in bundle["after"]:
        after = signed(text, keys)
        need((after["index"], after["previous"]) == (index + 1, head), "an entry does not continue the one before it")
        index, head = after["index"], sha256(text.encode()).hex()
    anchor = signed(bundle["anchor"], keys) if bundle["anchor"] else None
    need(anchor is None or (anchor["index"], anchor["sha256"]) == (index, head), "does not lead to its anchor")
    print(json.dumps({"row": row, "sealed": entry["time"], "head": {"index": index, "sha256": head}, "anchor": anchor}, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
