#!/usr/bin/env python3
"""Checks that `tollgate verify` and docs/verify.py agree after each kind of maintenance, and while it is not done.

    python tests/readers/agree_maintained.py target/debug/tollgate

Records a few refused calls with a debug build of Tollgate, whose clock and whose end it orders as src/faults.rs says.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from agree import verdict

DAY_US = 86_400_000_000
DEADLINE_S = 60


class Site:
    """A data directory, its configuration, and the orders for processes that work on it."""

    def __init__(self, tollgate, root):
        self.tollgate, self.root, self.data = tollgate, root, root / "data"
        self.orders, self.config = root / "orders", root / "tollgate.yml"
        self.env = {**os.environ, "TOLLGATE_FAULTS": str(self.orders)}
        self.configure("seal_after_s: 1")

    def configure(self, audit):
        self.config.write_text(f"data_dir: data\naudit: {{ {audit} }}\n")

    def run(self, *args, orders="", ends=0):
        """What the command prints. It must end like that."""
        self.orders.write_text(orders)
        done = subprocess.run(
            [self.tollgate, *args, "--config", self.config], env=self.env, capture_output=True, text=True, check=False
        )
        if done.returncode != ends:
            sys.exit(f"tollgate {' '.join(args)} ended with {done.returncode}, not {ends}\n{done.stdout}{done.stderr}")
        return done.stdout

    def agree(self, state):
        code, said = verdict(self.tollgate, self.data)
        if code != 0:
            sys.exit(f"{state}: not intact but {code}\n{said}")

    def record(self, hosts):
        """A refused call to each host, each sealed in a file of its own."""
        self.orders.write_text("")
        command = [self.tollgate, "run", "--config", self.config, "--listen", "127.0.0.1:0", "--allow-host", "none.test"]
        certificates = ["--ca-cert", self.root / "ca.pem", "--ca-key", self.root / "ca.key"]
        process = subprocess.Popen([*command, *certificates], env=self.env, stdout=subprocess.PIPE, text=True)
        try:
            port = int(process.stdout.readline().rsplit(":", 1)[1])
            for sealed, host in enumerate(hosts, len(self.files()) + 1):
                with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as client:
                    client.sendall(f"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                    if not client.recv(1000).startswith(b"HTTP/1.1 403"):
                        sys.exit(f"the call to {host} was not refused")
                deadline = time.monotonic() + DEADLINE_S
                while len(self.files()) < sealed:
                    if time.monotonic() > deadline:
                        sys.exit(f"the call to {host} was not sealed")
                    time.sleep(0.01)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(DEADLINE_S)

    def files(self):
        return sorted(self.data.glob("audit/*/*.parquet"))

    def pack(self):
        """All entries but the last in one file, as docs/manifest.md says."""
        *singles, last = sorted(self.data.glob("manifest/*.json"))
        packed = self.data / "manifest" / f"00000001-{int(last.stem) - 1:08}.jsonl"
        packed.write_bytes(b"".join(single.read_bytes() for single in singles))
        self.agree("packed, and single entries are there too")
        for single in singles:
            single.unlink()


def main(tollgate):
    tollgate = Path(tollgate).resolve()
    with tempfile.TemporaryDirectory() as scratch:
        site = Site(tollgate, Path(scratch))
        site.record(["held.test", "gone.test", "also.test"])
        site.agree("recorded")

        later = f"clock {3 * DAY_US}\n"
        site.run("retention", "apply", orders=f"{later}rewrite.exchange.before kill\n", ends=-signal.SIGKILL)
        site.agree("compaction is stated and not done")
        # The output is lost, so that other rewrites of the same files are stated.
        undone = Path(scratch) / "undone"
        shutil.rmtree(site.data / "staging")
        site.agree("compaction is stated and cannot be done")
        shutil.copytree(site.data, undone)
        done = json.loads(site.run("retention", "apply", "--json", orders=later))
        if (done["rewrites"], done["files_gone"], len(site.files())) != (1, 2, 1):
            sys.exit(f"not compacted: {done}")
        site.agree("compacted")

        shutil.rmtree(site.data)
        undone.rename(site.data)
        site.configure("keep_days: 1, legal_holds: [{ name: case 7, host: held.test }]")
        done = json.loads(site.run("retention", "apply", "--yes", "--json", orders=f"clock {9 * DAY_US}\n"))
        if (done["rows_removed"], len(site.files())) != (2, 1):
            sys.exit(f"not removed but for what is held: {done}")
        site.agree("rows were removed, and a compaction of them was stated before and never done")

        site.run("manifest-key", "rotate")
        site.agree("rotated")
        site.configure("seal_after_s: 1")
        site.record(["again.test"])
        site.agree("recorded with the new key")
        site.pack()
        site.agree("packed")
        site.run("manifest-key", "rotate")
        site.record(["more.test"])
        site.agree("rotated again, the first rotation packed")
    print("tollgate verify and docs/verify.py agree after compaction, retention, packing and rotation")


if __name__ == "__main__":
    main(*sys.argv[1:])
