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

VERIFY = Path(__file__).resolve().parents[2] / "docs" / "verify.py"
FLIPS = 20


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


def flip(path, chooser):
    data = bytearray(path.read_bytes())
    data[chooser.randrange(len(data))] ^= chooser.randrange(1, 256)
    path.write_bytes(data)


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
        files = sorted(path for part in ("audit", "manifest") for path in (copy / part).glob("**/*.*") if path.is_file())
        for number in range(FLIPS):
            victim = chooser.choice(files)
            original = victim.read_bytes()
            if number % 4:
                flip(victim, chooser)
            else:
                victim.unlink()
            code, said = verdict(tollgate, copy)
            if code != 1:
                sys.exit(f"a change to {victim} went unnoticed:\n{said}")
            victim.write_bytes(original)
    print(f"tollgate verify and docs/verify.py agree, also after each of {FLIPS} changes")


if __name__ == "__main__":
    main(*sys.argv[1:])
