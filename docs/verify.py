#!/usr/bin/env python3
"""Verifies a Tollgate data directory, or a copy of one, without Tollgate: docs/manifest.md says what is checked here.

    python verify.py DIR [PUBLIC_KEY]        exit code 0 intact, 1 tampered, 2 incomplete
Needs the packages pyarrow and cryptography. Takes no time range, and does not read the journal.
"""

import hashlib
import json
import sys
from base64 import b64decode
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pyarrow
import pyarrow.parquet
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
TYPES = {pyarrow.timestamp("us", "UTC"): "timestamp(us, UTC)", pyarrow.bool_(): "boolean"}  # others print as documented


def sha256(data):
    return hashlib.sha256(data).digest()


def merkle_root(level):
    while len(level) > 1:
        pairs = [level[at : at + 2] for at in range(0, len(level), 2)]
        level = [sha256(b"\1" + pair[0] + pair[1]) if len(pair) == 2 else pair[0] for pair in pairs]
    return (level[0] if level else sha256(b"")).hex()


def time_text(us):
    if not -62135596800_000000 <= us < 253402300800_000000:  # beyond the years 1 to 9999
        return str(us)
    return (EPOCH + timedelta(microseconds=us)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def need(holds, complaint):
    if not holds:
        raise ValueError(complaint)


def statement(path, data):
    """What the manifest of a file has to say, and its rows."""
    file = pyarrow.parquet.ParquetFile(path)
    schema = file.schema_arrow
    columns = [c.cast(pyarrow.int64()) if pyarrow.types.is_timestamp(c.type) else c for c in file.read().columns]
    rows = list(zip(*(column.to_pylist() for column in columns)))
    lines = [json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() for row in rows]
    by_name = {field.name: [row[at] for row in rows] for at, field in enumerate(schema)}
    fields = "".join(f"{field.name} {TYPES.get(field.type, field.type)}\n" for field in schema)
    seqs, times = sorted(by_name["seq"]), sorted(by_name["event_time"])
    return by_name, {
        "epoch": int(file.metadata.metadata[b"tollgate.epoch"]), "bytes": len(data), "rows": len(rows),
        "first_seq": seqs[0], "last_seq": seqs[-1],
        "first_event_time": time_text(times[0]), "last_event_time": time_text(times[-1]),
        "merkle_root": merkle_root([sha256(b"\0" + line) for line in lines]),
        "schema_sha256": sha256(fields.encode()).hex(),
        "policy_hashes": sorted(set(by_name["policy_hash"]) - {None}),
    }


def main(root, key_file):
    tampered, lost, stated, seqs, previous = [], [], set(), defaultdict(list), None
    key = load_pem_public_key(key_file.read_bytes())
    key_id = sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hex()
    manifests = sorted((root / "manifest").iterdir(), key=lambda path: (len(path.name), path.name))
    for index, path in enumerate(manifests, 1):
        data = path.read_bytes()
        try:
            line, signature, end = data.split(b"\n")
            need(signature[:8] == b"ed25519:" and end == b"", "is not two lines")
            key.verify(b64decode(signature[8:], validate=True), line)
            manifest = json.loads(line)
            kind = (manifest["format"], manifest["kind"], manifest["key_id"])
            need(kind == (1, "file", key_id), "is of another kind or key")
            need(path.name == f"{index:08}.json" and manifest["index"] == index, "is not where it was in the chain")
            need(manifest["previous"] == previous, "does not continue the chain")
            need(manifest["path"] not in stated, "states a file that was stated before")
            stated.add(manifest["path"])
            file, content = root / "audit" / manifest["path"], (root / "audit" / manifest["path"]).read_bytes()
            need(sha256(content).hex() == manifest["sha256"], f"{file.name} was modified")
            rows, found = statement(file, content)
            wrong = [name for name in found if manifest[name] != found[name]]
            need(not wrong, f"{file.name}: {wrong} not as stated")
            seqs[manifest["instance_id"], manifest["epoch"]] += rows["seq"]
            lost += [f"{file.name}: {error}" for o, error in zip(rows["outcome"], rows["error"]) if o == "gap"]
        except Exception as error:  # whatever a forged file makes a library raise
            tampered.append(f"manifest/{path.name}: {error or type(error).__name__}")
        previous = sha256(data).hex()
    present = {path.relative_to(root / "audit").as_posix() for path in root.glob("audit/**/*") if not path.is_dir()}
    tampered += [f"audit/{path}: not signed" for path in sorted(present - stated)]
    for start, found in seqs.items():
        if sorted(found) != list(range(1, len(found) + 1)):
            tampered.append(f"rows of {start}: sequence has holes or repetitions")
    print(*tampered, *lost, sep="\n", end="\n" if tampered or lost else "")
    print(f"{'tampered' if tampered else 'incomplete' if lost else 'intact'}: {len(stated)} files, head {previous}")
    return 1 if tampered else 2 if lost else 0


if __name__ == "__main__":
    ROOT, *KEY = map(Path, sys.argv[1:])
    sys.exit(main(ROOT, KEY[0] if KEY else ROOT / "keys" / "manifest.pub"))
