"""What every engine must find: the columns of docs/schema.md, and the same rows. Reads no Parquet itself."""

import re
import sys
from pathlib import Path
from typing import NamedTuple

SCHEMA_DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "schema.md"
PARTITION = "event_date"


class Seen(NamedTuple):
    """What an engine saw of a dataset. Times are microseconds since the Unix epoch."""

    rows: int
    distinct_ids: int
    denied: int
    first_us: int
    last_us: int


def documented_columns():
    """(name, type, required) of each row of the table in docs/schema.md."""
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|.*\| ([^|]+) \|$", SCHEMA_DOCUMENT.read_text("utf-8"), re.MULTILINE)
    return [(name, kind.strip(), null_when.strip() == "never") for name, kind, null_when in rows]


def expect(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: found\n  {found}\nexpected\n  {wanted}")
