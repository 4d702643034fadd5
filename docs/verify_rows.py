"""What the rows of a sealed file come to by docs/manifest.md: what verify.py compares with the entry of the file."""

import json
from collections import Counter
from datetime import datetime, timedelta

import pyarrow.parquet
from verify_chain import merkle_root, sha256

TYPES = {pyarrow.timestamp("us", "UTC"): "timestamp(us, UTC)", pyarrow.bool_(): "boolean"}  # others print as documented


def time_text(us):
    if not -62135596800 <= us // 1000000 < 253402300800: return str(us)
    return (datetime(1970, 1, 1) + timedelta(microseconds=us)).isoformat(timespec="microseconds") + "Z"


def read(path):
    """The file, its rows, and the leaf hash of each."""
    file = pyarrow.parquet.ParquetFile(path)
    columns = (c.cast(pyarrow.int64()) if pyarrow.types.is_timestamp(c.type) else c for c in file.read().columns)
    rows = list(zip(*(column.to_pylist() for column in columns)))
    lines = (json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows)
    return file, rows, [sha256(b"\0" + line.encode()) for line in lines]


def changed(path, listed):
    """Which rows, from 0, are not among those that were signed, by the list of them, and how many of these are gone."""
    signed = Counter(listed[at : at + 8] for at in range(0, len(listed), 8))
    other = []
    for row, leaf in enumerate(read(path)[2]):
        if signed[leaf[:8]] > 0:
            signed[leaf[:8]] -= 1
        else:
            other.append(row)
    return f"rows {other} are not among those signed, {sum(signed.values())} of which are gone"


def statement(path, data):
    """The rows of a sealed file by column, and what its entry has to say."""
    file, rows, leaves = read(path)
    schema = file.schema_arrow
    by_name = {field.name: [row[at] for row in rows] for at, field in enumerate(schema)}
    fields = "".join(f"{field.name} {TYPES.get(field.type, field.type)}\n" for field in schema)
    seqs, times = sorted(by_name["seq"]), sorted(by_name["event_time"])
    return by_name, {
        "epoch": int(file.metadata.metadata[b"tollgate.epoch"]), "rows": len(rows), "bytes": len(data),
        "first_seq": seqs[0], "first_event_time": time_text(times[0]),
        "last_seq": seqs[-1], "last_event_time": time_text(times[-1]),
        "merkle_root": merkle_root(leaves),
        "leaves_sha256": sha256(b"".join(leaf[:8] for leaf in leaves)).hex(),
        "schema_sha256": sha256(fields.encode()).hex(),
        "policy_hashes": sorted(set(by_name["policy_hash"]) - {None}),
    }
