#!/usr/bin/env python3
"""Opens audit datasets the way their users do, with DuckDB, pyarrow, Polars, ClickHouse and Spark.

    pip install -r tests/readers/requirements.txt
    cargo run --example sample_dataset -- target/sample
    python tests/readers/check.py target/sample/audit

With `--tollgate target/debug/tollgate` also the dataset of a gate that runs meanwhile. The expected columns are those of
docs/schema.md, and all engines must see the same rows. Exits 1 when one sees something else.
"""

import argparse
import shutil
import sys
from pathlib import Path

import duckdb
import polars
import pyarrow
import pyarrow.compute
import pyarrow.dataset
import pyarrow.parquet

import clickhouse
import running
import spark
from expected import PARTITION, Seen, documented_columns, expect

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
    seen = Seen(*connection.execute(
        f"SELECT count(*), count(DISTINCT event_id), count_if(decision = 'deny'), "
        f"epoch_us(min(event_time)), epoch_us(max(event_time)) FROM {source}"
    ).fetchone())
    print(f"DuckDB {duckdb.__version__}: {seen.rows} rows")
    for day, decision, count in connection.execute(
        f"SELECT {PARTITION}, decision, count(*) FROM {source} GROUP BY ALL ORDER BY ALL"
    ).fetchall():
        print(f"  {day}  {decision or '-':<10}  {count}")
    return seen


def check_pyarrow(root, columns):
    dataset = pyarrow.dataset.dataset(root, format="parquet", partitioning="hive")
    wanted = [(name, ARROW_TYPES[kind]) for name, kind, _ in columns]
    found = [(field.name, field.type) for field in dataset.schema if field.name != PARTITION]
    expect("pyarrow columns", found, wanted)
    for path in dataset.files:
        check_file(path, columns)
    table = dataset.to_table(columns=["event_id", "event_time"])
    denied = dataset.count_rows(filter=pyarrow.dataset.field("decision") == "deny")
    times = pyarrow.compute.min_max(table["event_time"].cast(pyarrow.int64())).as_py()
    distinct = pyarrow.compute.count_distinct(table["event_id"]).as_py()
    print(f"pyarrow {pyarrow.__version__}: {table.num_rows} rows in {len(dataset.files)} files")
    return Seen(table.num_rows, distinct, denied, times["min"], times["max"])


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
    time = polars.col("event_time").dt.epoch("us")
    totals = frame.select(
        polars.len(),
        polars.col("event_id").n_unique().alias("ids"),
        (polars.col("decision") == "deny").sum().alias("denied"),
        time.min().alias("first"),
        time.max().alias("last"),
    )
    seen = Seen(*totals.collect().row(0))
    print(f"Polars {polars.__version__}: {seen.rows} rows")
    return seen


def engines():
    """Every engine as a function of the dataset and its columns."""
    checks = [check_duckdb, check_pyarrow, check_polars, clickhouse.check]
    if shutil.which("java"):
        session = spark.session()
        checks.append(lambda root, columns: spark.check(session, root, columns))
    else:
        print("Spark: NOT CHECKED, java is missing (Debian: apt install openjdk-17-jre-headless)", file=sys.stderr)
    return checks


def check_stopped(checks, root, columns):
    """Nothing changes meanwhile: all engines see the same."""
    seen = {check(root, columns) for check in checks}
    expect("what the engines see of the same rows", len(seen), 1)
    (only,) = seen
    expect("distinct event ids", only.distinct_ids, only.rows)
    if only.rows == 0:
        sys.exit("the dataset has no rows")


def main():
    parser = argparse.ArgumentParser(description="Checks what query engines see of audit datasets.")
    parser.add_argument("--tollgate", type=Path, help="a debug build of tollgate: also checks a dataset while it runs")
    parser.add_argument("datasets", nargs="*", metavar="DATASET_DIR", help=f"holds {PARTITION}=... directories")
    arguments = parser.parse_args()
    columns = documented_columns()
    print("columns: " + ", ".join(f"{name} {kind}" for name, kind, _ in columns))
    checks = engines()
    for root in arguments.datasets:
        print(f"== {root}")
        check_stopped(checks, str(Path(root).resolve(strict=True)), columns)
    if arguments.tollgate:
        print("== a running gate")
        running.check(arguments.tollgate.resolve(strict=True), checks, columns)


if __name__ == "__main__":
    main()
