//! What a call costs end to end: the binary between a load generator and an origin, all on this machine.
//!
//! Prints for each scenario the CPU time of the gate's process per request, the median latency and its ratio to the same
//! calls made directly. Fails when the audit rows are not exactly as many as the requests. A call is a POST of 1 KB. "new"
//! means a connection, CONNECT and full TLS handshake for each call, as Kibana's clients without keep-alive make them.
//!
//! `cargo bench --bench end_to_end -- [--durability fsync|write] [--requests N]`. Linux only: reads /proc.

#![expect(
    clippy::disallowed_methods,
    reason = "the load comes from outside the program: its clients open their own connections"
)]

#[path = "end_to_end/load.rs"]
mod load;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use load::{CLIENTS, Caller, HOST, client_tls, origin_tls, run, serve};

const GATE: &str = env!("CARGO_BIN_EXE_tollgate");
/// Calls of each client before the measurement: leaf certificates are made and upstream connections pooled.
const WARM_UP: usize = 20;
/// Ticks a second in /proc/PID/stat: USER_HZ, the same on every Linux.
const TICKS_PER_S: f64 = 100.0;

/// In order; a scenario is compared to the last direct one before it.
const SCENARIOS: [Scenario; 7] = [
    Scenario::new("direct https, new", Way::Direct, true, false),
    Scenario::new("tunnel, new", Way::Tunnel, true, false),
    Scenario::new("intercepted, new", Way::Gate, true, false),
    Scenario::new("direct https, keep-alive", Way::Direct, true, true),
    Scenario::new("intercepted, keep-alive", Way::Gate, true, true),
    Scenario::new("direct http, keep-alive", Way::Direct, false, true),
    Scenario::new("http, keep-alive", Way::Gate, false, true),
];

fn main() -> Result<()> {
    let bench = Bench::prepare()?;
    println!("{} requests, {CLIENTS} clients, {}\n", bench.requests, bench.durability);
    println!("scenario                    CPU us/req   median us    ratio     req/s    rows");
    let mut base = Duration::ZERO;
    for scenario in &SCENARIOS {
        let measured = bench.measure(scenario).context(scenario.name)?;
        if scenario.way == Way::Direct {
            base = measured.median;
        }
        println!("{}", measured.line(scenario.name, base));
    }
    Ok(())
}

/// How calls reach the origin.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Direct,
    /// Relayed by the gate, not intercepted.
    Tunnel,
    /// Intercepted where secure, absolute-form where not.
    Gate,
}

struct Scenario {
    name: &'static str,
    way: Way,
    secure: bool,
    keep_alive: bool,
}

impl Scenario {
    const fn new(name: &'static str, way: Way, secure: bool, keep_alive: bool) -> Self {
        Self { name, way, secure, keep_alive }
    }
}

/// What came of a scenario. CPU time and rows are the gate's.
struct Measured {
    median: Duration,
    requests_per_s: f64,
    gate: Option<(f64, usize)>,
}

impl Measured {
    fn line(&self, name: &str, base: Duration) -> String {
        let (median_us, ratio) = (self.median.as_micros(), self.median.as_secs_f64() / base.as_secs_f64());
        let (cpu, rows) = match self.gate {
            None => ("-".to_owned(), "-".to_owned()),
            Some((cpu_us, rows)) => (format!("{cpu_us:.0}"), rows.to_string()),
        };
        let rate = self.requests_per_s;
        format!("{name:<26}{cpu:>12}{median_us:>12}{ratio:>9.2}{rate:>10.0}{rows:>8}")
    }
}

/// The origins, what clients need to trust, and the flags.
struct Bench {
    durability: String,
    requests: u32,
    dir: tempfile::TempDir,
    secure_origin: SocketAddr,
    plain_origin: SocketAddr,
}

impl Bench {
    fn prepare() -> Result<Self> {
        let (mut durability, mut requests) = ("fsync".to_owned(), 4000);
        // Cargo adds --bench.
        let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
        while let Some(flag) = args.next() {
            let value = args.next().with_context(|| format!("{flag} needs a value"))?;
            match flag.as_str() {
                "--durability" => durability = value,
                "--requests" => requests = value.parse()?,
                _ => bail!("unknown flag {flag}; there are --durability and --requests"),
            }
        }
        let dir = tempfile::tempdir()?;
        let tls = origin_tls(&dir.path().join("origin.pem"))?;
        let (secure_origin, plain_origin) = (serve(Some(tls))?, serve(None)?);
        Ok(Self { durability, requests, dir, secure_origin, plain_origin })
    }

    fn measure(&self, scenario: &Scenario) -> Result<Measured> {
        let origin = if scenario.secure { self.secure_origin } else { self.plain_origin };
        let gate = match scenario.way {
            Way::Direct => None,
            Way::Tunnel | Way::Gate => Some(Gate::start(self, scenario.way, origin.port())?),
        };
        let mut cas = vec![self.dir.path().join("origin.pem")];
        cas.extend(gate.as_ref().map(|gate| gate.dir.path().join("ca.pem")));
        let caller = Caller {
            proxy: gate.as_ref().map(|gate| gate.address),
            origin,
            tls: if scenario.secure { Some(client_tls(&cas)?) } else { None },
            keep_alive: scenario.keep_alive,
        };
        let spent = || gate.as_ref().map_or(Ok(0.0), Gate::cpu_s);
        run(&caller, WARM_UP)?;
        let (started, cpu_before) = (Instant::now(), spent()?);
        let mut latencies = run(&caller, self.requests as usize / CLIENTS)?;
        let (elapsed, cpu) = (started.elapsed(), spent()? - cpu_before);

        latencies.sort_unstable();
        let requests = u32::try_from(latencies.len())?;
        let cpu_us = cpu * 1e6 / f64::from(requests);
        let rows = gate.map(|gate| gate.stop_and_count(latencies.len())).transpose()?;
        Ok(Measured {
            median: *latencies.get(latencies.len() / 2).context("too few requests")?,
            requests_per_s: f64::from(requests) / elapsed.as_secs_f64(),
            gate: rows.map(|rows| (cpu_us, rows)),
        })
    }
}

/// The binary under test. Killed when dropped before its end.
struct Gate {
    dir: tempfile::TempDir,
    address: SocketAddr,
    child: Child,
}

impl Gate {
    fn start(bench: &Bench, way: Way, origin_port: u16) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let path = |name: &str| dir.path().join(name);
        let mut command = Command::new(GATE);
        command.args(["run", "--listen", "127.0.0.1:0", "--allow-address", "127.0.0.0/8"]);
        command.args(["--resolve", &format!("{HOST}=127.0.0.1"), "--allow-host", HOST]);
        command.args(["--durability", &bench.durability]);
        command.arg("--upstream-ca").arg(bench.dir.path().join("origin.pem"));
        command.arg("--data-dir").arg(path("data"));
        command.arg("--ca-cert").arg(path("ca.pem"));
        command.arg("--ca-key").arg(path("ca.key"));
        if way == Way::Tunnel {
            command.args(["--tunnel-host", &format!("{HOST}:{origin_port}")]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let mut banner = BufReader::new(child.stdout.take().context("no stdout")?).lines();
        let line = banner.next().context("the gate did not start")??;
        let address = line.rsplit_once("://").context("no address in the banner")?.1.parse()?;
        thread::spawn(move || banner.for_each(drop));
        Ok(Self { dir, address, child })
    }

    /// User and system time of all threads so far, in seconds.
    fn cpu_s(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields = stat.rsplit_once(')').context("no command name")?.1;
        // Fields 14 and 15, counted from the third behind the command name (proc_pid_stat(5)).
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
        Ok(f64::from(ticks.sum::<Result<u32, _>>()?) / TICKS_PER_S)
    }

    /// Stops the gate, which seals everything, and counts its rows; each of the requests must have left one.
    fn stop_and_count(mut self, requests: usize) -> Result<usize> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the gate ended with {status}");
        let mut records = Command::new(GATE);
        records.args(["records", "--json", "--limit", "100000000", "--data-dir"]);
        let output = records.arg(self.dir.path().join("data")).output()?;
        let text = String::from_utf8(output.stdout)?;
        let (rows, expected) = (text.lines().count(), requests + CLIENTS * WARM_UP);
        let completed = text.lines().filter(|line| line.contains(r#""outcome":"completed""#)).count();
        ensure!(rows == expected, "{rows} rows, but {expected} requests");
        ensure!(completed == rows, "{completed} of {rows} rows are of completed exchanges");
        Ok(rows)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
