"""Opens a dataset with ClickHouse, which chdb runs inside this process."""

import contextlib
import json

import chdb

from expected import PARTITION, Seen, expect

TYPES = {
    "string": "String",
    "int64": "Int64",
    "int32": "Int32",
    "boolean": "Bool",
    "timestamp(us, UTC)": "DateTime64(6, 'UTC')",
}
SOURCE = "file('*/*.parquet', Parquet)"


def query(text):
    """Rows as lists."""
    return [json.loads(line) for line in str(chdb.query(text, "JSONCompactEachRow")).splitlines()]


def check(root, columns):
    # ClickHouse opens files below the working directory only.
    with contextlib.chdir(root):
        described = query(f"DESCRIBE {SOURCE}")
        wanted = [(name, TYPES[kind] if required else f"Nullable({TYPES[kind]})") for name, kind, required in columns]
        expect("ClickHouse columns", [(row[0], row[1]) for row in described], [*wanted, (PARTITION, "Date")])
        ((stray,),) = query(f"SELECT countIf(toDate(event_time) <> {PARTITION}) FROM {SOURCE}")
        expect("ClickHouse rows outside the day of their file", int(stray), 0)
        (totals,) = query(
            f"SELECT count(), uniqExact(event_id), countIf(decision = 'deny'), "
            f"toUnixTimestamp64Micro(min(event_time)), toUnixTimestamp64Micro(max(event_time)) FROM {SOURCE}"
        )
        ((version,),) = query("SELECT version()")
    print(f"ClickHouse {version}: {totals[0]} rows")
    return Seen(*map(int, totals))
