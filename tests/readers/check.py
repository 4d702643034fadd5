#!/usr/bin/env python3
"""Opens an audit dataset the way its users do, with DuckDB, pyarrow and Polars, and checks its schema.

    pip install -r tests/readers/requirements.txt
    cargo run --example sample_dataset -- target/sample
    python tests/readers/check.py target/sample/audit

The expected columns are those of docs/schema.md. Exits 1 when an engine sees something else.
"""

import re
import sys
from pathlib import Path

import duckdb
import polars
import pyarrow
import pyarrow.dataset
import pyarrow.parquet

SCHEMA_DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "schema.md"
PARTITION = "event_date"

# The documented types as each engine names them.
DUCKDB_TYPES = {
    "string": "VARCHAR",
    "int64": "BIGINT",
    "int32": "INTEGER",
    "boolean": "BOOLEAN",
    "timestamp(us, UTC)": "TIMESTAMP WITH TIME ZONE",
}
ARROW_TYPES = {
    "string": pyarrow.string(),
    "int64": pyarrow.int64(),
    "int32": pyarrow.int32(),
    "boolean": pyarrow.bool_(),
    "timestamp(us, UTC)": pyarrow.timestamp("us", tz="UTC"),
}
POLARS_TYPES = {
    "string": polars.String,
    "int64": polars.Int64,
    "int32": polars.Int32,
    "boolean": polars.Boolean,
    "timestamp(us, UTC)": polars.Datetime("us", "UTC"),
}


def documented_columns():
    """(name, type, required) of each row of the table in docs/schema.md."""
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|.*\| ([^|]+) \|$", SCHEMA_DOCUMENT.read_text("utf-8"), re.MULTILINE)
    return [(name, kind.strip(), null_when.strip() == "never") for name, kind, null_when in rows]


def expect(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: found\n  {found}\nexpected\n  {wanted}")


def check_duckdb(root, columns):
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    source = f"read_parquet('{root}/*/*.parquet', hive_partitioning = true)"
    described = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
    wanted = [(name, DUCKDB_TYPES[kind]) for name, kind, _ in columns] + [(PARTITION, "DATE")]
    expect("DuckDB columns", [(row[0], row[1]) for row in described], wanted)
    stray = connection.execute(
        f"SELECT count(*) FROM {source} WHERE event_time::DATE <> {PARTITION}"
    ).fetchone()[0]
    expect("DuckDB rows outside the day of their file", stray, 0)
    (total,) = connection.execute(f"SELECT count(*) FROM {source}").fetchone()
    (ids,) = connection.execute(f"SELECT count(DISTINCT event_id) FROM {source}").fetchone()
    expect("DuckDB distinct event ids", ids, total)
    print(f"DuckDB {duckdb.__version__}: {total} rows")
    for day, decision, count in connection.execute(
        f"SELECT {PARTITION}, decision, count(*) FROM {source} GROUP BY ALL ORDER BY ALL"
    ).fetchall():
        print(f"  {day}  {decision or '-':<10}  {count}")
    return total


def check_pyarrow(root, columns):
    dataset = pyarrow.dataset.dataset(root, format="parquet", partitioning="hive")
    wanted = [(name, ARROW_TYPES[kind]) for name, kind, _ in columns]
    found = [(field.name, field.type) for field in dataset.schema if field.name != PARTITION]
    expect("pyarrow columns", found, wanted)
    for path in dataset.files:
        check_file(path, columns)
    total = dataset.count_rows()
    print(f"pyarrow {pyarrow.__version__}: {total} rows in {len(dataset.files)} files")
    return total


def check_file(path, columns):
    """What engines prune with, and what a table format needs, in one file."""
    file = pyarrow.parquet.ParquetFile(path)
    fields = list(file.schema_arrow)
    ids = [int(field.metadata[b"PARQUET:field_id"]) for field in fields]
    expect(f"{path}: field ids", ids, list(range(1, len(columns) + 1)))
    required = [not field.nullable for field in fields]
    expect(f"{path}: required columns", required, [column[2] for column in columns])
    by_name = {field.name: position for position, field in enumerate(fields)}
    for index in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(index)
        expect(f"{path}: sort order", [c.column_index for c in group.sorting_columns], [by_name["event_time"]])
        for column in range(group.num_columns):
            chunk = group.column(column)
            expect(f"{path}: {chunk.path_in_schema} compression", chunk.compression, "ZSTD")
            expect(f"{path}: {chunk.path_in_schema} page index", chunk.has_column_index, True)
    times = file.read(["event_time"])["event_time"].to_pylist()
    expect(f"{path}: order of event_time", times, sorted(times))


def check_polars(root, columns):
    frame = polars.scan_parquet(f"{root}/*/*.parquet", hive_partitioning=True)
    wanted = [(name, POLARS_TYPES[kind]) for name, kind, _ in columns] + [(PARTITION, polars.Date)]
    expect("Polars columns", list(frame.collect_schema().items()), wanted)
    total = frame.select(polars.len()).collect().item()
    print(f"Polars {polars.__version__}: {total} rows")
    return total


def main():
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit(f"usage: {sys.argv[0]} DATASET_DIR (the directory that holds {PARTITION}=... directories)")
    root = sys.argv[1].rstrip("/")
    columns = documented_columns()
    print("columns: " + ", ".join(f"{name} {kind}" for name, kind, _ in columns))
    totals = {check(root, columns) for check in (check_duckdb, check_pyarrow, check_polars)}
    expect("row counts of the engines", len(totals), 1)
    if totals == {0}:
        sys.exit("the dataset has no rows")


if __name__ == "__main__":
    main()
