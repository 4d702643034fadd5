#!/usr/bin/env python3
"""Checks that `tollgate verify` and docs/verify.py come to the same verdict, on a dataset and on changed copies of it.

    python tests/readers/agree.py target/debug/tollgate target/sample

Exits 1 when they differ, or when a change goes unnoticed.
"""

import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet

VERIFY = Path(__file__).resolve().parents[2] / "docs" / "verify.py"
FLIPS = 12


def verdict(tollgate, data_dir):
    """The exit code both agree on, and what they said."""
    runs = [
        subprocess.run([*command, data_dir], capture_output=True, text=True, check=False)
        for command in ([tollgate, "verify", "--copy"], [sys.executable, VERIFY])
    ]
    said = "\n".join(run.stdout + run.stderr for run in runs)
    codes = [run.returncode for run in runs]
    if codes[0] != codes[1]:
        sys.exit(f"{data_dir}: tollgate says {codes[0]}, docs/verify.py {codes[1]}\n{said}")
    return codes[0], said


def flip(path, _, chooser):
    data = bytearray(path.read_bytes())
    data[chooser.randrange(len(data))] ^= chooser.randrange(1, 256)
    path.write_bytes(data)


def swap(one, other, _):
    data, other_data = one.read_bytes(), other.read_bytes()
    one.write_bytes(other_data)
    other.write_bytes(data)


def duplicate(one, _, chooser):
    one.with_name(f"x-{chooser.randrange(10**6)}{one.suffix}").write_bytes(one.read_bytes())


def edit_row(one, _, chooser):
    """One value changed and the Parquet written again, as sound as before. What each verifier has to say of the row."""
    table = pyarrow.parquet.read_table(one)
    times, row = table["duration_us"].to_pylist(), chooser.randrange(table.num_rows)
    times[row] += 1
    column = pyarrow.array(times, table["duration_us"].type)
    at = table.schema.get_field_index("duration_us")
    pyarrow.parquet.write_table(table.set_column(at, table.schema.field(at), column), one)
    return [f"row {row}: changed, now seq {table['seq'][row]}, ", f"rows [{row}] are not among those signed, 1 of which are gone"]


def main(tollgate, data_dir):
    code, said = verdict(tollgate, data_dir)
    if code == 1:
        sys.exit(f"{data_dir} is not intact:\n{said}")
    chooser = random.Random(7)
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "copy"
        for part in ("audit", "manifest"):
            shutil.copytree(Path(data_dir) / part, copy / part)
        (copy / "keys").mkdir()
        shutil.copy(Path(data_dir) / "keys" / "manifest.pub", copy / "keys")
        files = sorted(path for part in ("audit", "manifest") for path in (copy / part).glob("**/*") if path.is_file())
        sealed = [path for path in files if path.suffix == ".parquet"]
        # The last entry of the chain may be cut off unseen: only an anchor shows it.
        droppable = [path for path in files if path != max(copy.glob("manifest/*.json*"))]
        changes = [lambda: (flip, chooser.choice(files))] * FLIPS + [
            lambda: (lambda one, *_: one.unlink(), chooser.choice(droppable)), lambda: (duplicate, chooser.choice(files))] * 3
        changes += [lambda: (edit_row, chooser.choice(sealed))] * 2 if sealed else []
        changes += [lambda: (swap, chooser.choice(sealed))] * 2 if len(sealed) > 1 else []
        for choose in changes:
            change, victim = choose()
            others = [path for path in (sealed if victim in sealed else files) if path != victim] or [victim]
            before = {path: path.read_bytes() for path in copy.glob("**/*") if path.is_file()}
            expected = change(victim, chooser.choice(others), chooser) or []
            code, said = verdict(tollgate, copy)
            if code != 1 or not all(words in said for words in expected):
                sys.exit(f"a change to {victim} went unnoticed, or was not said to be {expected}:\n{said}")
            for path in set(copy.glob("**/*")) - set(before):
                if path.is_file():
                    path.unlink()
            for path, data in before.items():
                path.write_bytes(data)
    print(f"tollgate verify and docs/verify.py agree, also after each of {len(changes)} changes")


if __name__ == "__main__":
    main(*sys.argv[1:])
