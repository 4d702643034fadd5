"""A gate that runs while its dataset is read: rows come, then days pass and are compacted.

Nobody tells the engines; they list and open files as at any other time. The clock of the gate is moved by the order file
that builds with debug assertions read (src/faults.rs).
"""

import contextlib
import http.client
import http.server
import os
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import duckdb

from expected import expect

DAY_S = 86_400
DAYS = 3
FILES_A_DAY = 3
DEADLINE_S = 60
CONFIG = """
listeners: [{ name: readers, address: '127.0.0.1:0' }]
upstream: { allow_addresses: [127.0.0.0/8], resolve: { hub.test: 127.0.0.1 } }
policy_file: policy.yml
audit: { seal_after_s: 1, maintenance_every_s: 1, compact_after_s: 60 }
"""
POLICY = "mode: enforce\ndefault: deny\nrules: [{ name: hub, hosts: [hub.test] }]\n"
# What a query says of a file that was listed and is gone: it is run again.
GONE = "No such file"


class Origin(http.server.BaseHTTPRequestHandler):
    """Answers everything with 200 and nothing else."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def origin():
    """The port of an origin."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


class Gate:
    """A running gate, the calls made through it, and the clock it believes."""

    def __init__(self, program, directory, origin_port):
        self.dataset = directory / "data" / "audit"
        self.orders = directory / "orders"
        self.log = directory / "log"
        self.origin_port = origin_port
        self.calls = 0
        # Noon of tomorrow: far from midnight, when a file more may come.
        self.noon_s = DAY_S + DAY_S // 2 - int(time.time()) % DAY_S
        self.pass_days(0)
        (directory / "policy.yml").write_text(POLICY)
        (directory / "tollgate.yml").write_text(CONFIG)
        command = [program, "run", "--config", "tollgate.yml", "--data-dir", "data"]
        environment = {**os.environ, "TOLLGATE_FAULTS": str(self.orders)}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=directory, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
            )
        said = self.process.stdout.readline()
        if "listening on http://" not in said:
            raise SystemExit(f"the gate did not start: {said}{self.log.read_text()}")
        self.port = int(said.rsplit(":", 1)[1])

    def call(self):
        """One call that is allowed and one that is refused: two rows."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        for host, status in [("hub.test", 200), ("other.test", 403)]:
            connection.request("POST", f"http://{host}:{self.origin_port}/alert", b"{}")
            answer = connection.getresponse()
            answer.read()
            expect(f"status of a call to {host}", answer.status, status)
            self.calls += 1
        connection.close()

    def files(self):
        return len(list(self.dataset.glob("*/*.parquet")))

    def fill_day(self):
        """Calls until the newest day has its files."""
        before = self.files()
        for sealed in range(1, FILES_A_DAY + 1):
            self.call()
            eventually("a call is sealed", lambda sealed=sealed: self.files() >= before + sealed)

    def pass_days(self, days):
        """It becomes noon, so many days after the first."""
        order = self.orders.with_suffix(".new")
        order.write_text(f"clock {(self.noon_s + days * DAY_S) * 1_000_000}\n")
        # An order that is half written would set the clock back.
        order.replace(self.orders)

    def stop(self):
        self.process.terminate()
        expect("exit status of the gate", self.process.wait(DEADLINE_S), 0)


def eventually(what, condition):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"after {DEADLINE_S} s it is still not so that {what}")
        time.sleep(0.02)


class Looker(threading.Thread):
    """Counts rows with DuckDB again and again; never may a row be doubled, or one that was seen be missing."""

    def __init__(self, dataset):
        super().__init__(daemon=True)
        self.source = f"read_parquet('{dataset}/*/*.parquet', hive_partitioning = true)"
        self.stopping = threading.Event()
        self.queries = self.repeated = self.rows = 0
        self.wrong = None

    def run(self):
        while not self.stopping.is_set() and self.wrong is None:
            try:
                self.look()
            except duckdb.IOException as error:
                if GONE not in str(error):
                    self.wrong = str(error)
                self.repeated += 1
            except Exception as error:  # Whatever it is, the main thread reports it.
                self.wrong = repr(error)

    def look(self):
        with duckdb.connect() as connection:
            query = f"SELECT count(*), count(DISTINCT event_id) FROM {self.source}"
            rows, distinct = connection.execute(query).fetchone()
        self.queries += 1
        if rows != distinct or rows < self.rows:
            self.wrong = f"{rows} rows, {distinct} of them distinct, after {self.rows} were seen"
        self.rows = rows

    def finish(self):
        self.stopping.set()
        self.join(DEADLINE_S)
        expect("what was wrong in a query while days were compacted", self.wrong, None)


def check_growing(gate, checks, columns):
    """Every engine opens what is there while more comes, and sees at least what the one before saw."""
    rows = 0
    for check in checks:
        gate.call()
        seen = check(str(gate.dataset), columns)
        expect("distinct event ids in a growing dataset", seen.distinct_ids, seen.rows)
        if seen.rows < max(rows, 1):
            raise SystemExit(f"{seen.rows} rows in a growing dataset, after {rows}")
        rows = seen.rows


def check_compacted(gate, checks, columns):
    """A day after the other is closed and becomes one file, under the eyes of DuckDB."""
    looker = Looker(gate.dataset)
    looker.start()
    for day in range(1, DAYS + 1):
        if day > 1:
            gate.fill_day()
        gate.pass_days(day)
        eventually(f"{day} closed days are a file each", lambda day=day: gate.files() == day or looker.wrong)
    before = looker.queries
    eventually("a query has seen the end", lambda: looker.queries > before + 1 or looker.wrong)
    looker.finish()
    expect("rows in the end", looker.rows, gate.calls)
    print(f"DuckDB counted {looker.queries} times meanwhile, and {looker.repeated} times again because a file was gone")
    seen = {check(str(gate.dataset), columns) for check in checks}
    expect("what the engines see of the same rows", len(seen), 1)
    expect("rows and distinct event ids", next(iter(seen))[:2], (gate.calls, gate.calls))


def check(program, checks, columns):
    """Starts a gate, and reads what it writes with every engine."""
    with tempfile.TemporaryDirectory() as scratch, origin() as origin_port:
        gate = Gate(program, Path(scratch), origin_port)
        try:
            gate.fill_day()
            check_growing(gate, checks, columns)
            check_compacted(gate, checks, columns)
            gate.stop()
        finally:
            gate.process.kill()
