#!/usr/bin/env python3
"""Verifies a Tollgate data directory, or a copy of one, without Tollgate: docs/manifest.md says what is checked here.

Needs pyarrow and cryptography. `python verify.py DIR [PUBLIC_KEY]`: 0 intact, 1 tampered, 2 incomplete.
"""

import hashlib
import json
import sys
from base64 import b64decode, b64encode
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow.parquet
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

TYPES = {pyarrow.timestamp("us", "UTC"): "timestamp(us, UTC)", pyarrow.bool_(): "boolean"}  # others print as documented


def sha256(data):
    return hashlib.sha256(data).digest()


def merkle_root(level):
    while len(level) > 1:
        pairs = [level[at : at + 2] for at in range(0, len(level), 2)]
        level = [sha256(b"\1" + b"".join(pair)) if len(pair) == 2 else pair[0] for pair in pairs]
    return (level[0] if level else sha256(b"")).hex()


def time_text(us):
    if not -62135596800 <= us // 1000000 < 253402300800: return str(us)
    return (datetime(1970, 1, 1) + timedelta(microseconds=us)).isoformat(timespec="microseconds") + "Z"


def need(holds, complaint):
    if not holds:
        raise ValueError(complaint)


def statement(path, data):
    """What the manifest of a file has to say, and its rows."""
    file = pyarrow.parquet.ParquetFile(path)
    schema = file.schema_arrow
    columns = (c.cast(pyarrow.int64()) if pyarrow.types.is_timestamp(c.type) else c for c in file.read().columns)
    rows = list(zip(*(column.to_pylist() for column in columns)))
    lines = (json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows)
    by_name = {field.name: [row[at] for row in rows] for at, field in enumerate(schema)}
    fields = "".join(f"{field.name} {TYPES.get(field.type, field.type)}\n" for field in schema)
    seqs, times = sorted(by_name["seq"]), sorted(by_name["event_time"])
    return by_name, {
        "epoch": int(file.metadata.metadata[b"tollgate.epoch"]), "bytes": len(data), "rows": len(rows),
        "first_seq": seqs[0], "first_event_time": time_text(times[0]),
        "last_seq": seqs[-1], "last_event_time": time_text(times[-1]),
        "merkle_root": merkle_root([sha256(b"\0" + line.encode()) for line in lines]),
        "schema_sha256": sha256(fields.encode()).hex(),
        "policy_hashes": sorted(set(by_name["policy_hash"]) - {None}),
    }


def main(root, key=None):
    tampered, lost, stated, seqs, previous = [], [], set(), defaultdict(list), None
    key = load_pem_public_key((key or root / "keys" / "manifest.pub").read_bytes())
    key_id = sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hex()
    manifests = sorted((len(path.name), path) for path in (root / "manifest").iterdir())
    for index, (_, path) in enumerate(manifests, 1):
        data = path.read_bytes()
        try:
            line, signature = data.split(b"\n")[0], b64decode(data.split(b"\n")[1][8:])
            need(data == line + b"\ned25519:" + b64encode(signature) + b"\n", "is not two lines as documented")
            key.verify(signature, line)
            manifest = json.loads(line)
            need([manifest[name] for name in ("format", "kind", "key_id")] == [1, "file", key_id], "is of another kind")
            need((path.name, manifest["index"]) == (f"{index:08}.json", index), "is not where it was in the chain")
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
    holed = [start for start, found in seqs.items() if sorted(found) != list(range(1, len(found) + 1))]
    tampered += [f"rows of {start}: the sequence has holes or repetitions" for start in holed]
    verdict = "tampered" if tampered else "incomplete" if lost else "intact"
    print(*tampered, *lost, f"{verdict}: {len(stated)} files, head {previous}", sep="\n")
    return 1 if tampered else 2 if lost else 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
