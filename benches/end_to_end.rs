//! What a call costs end to end: the binary between a load generator and an origin, all on this machine.
//!
//! Prints for each scenario the CPU time of the gate's process per request, the median latency and its ratio to the same
//! calls made directly. Fails when the audit rows are not exactly as many as the requests. A call is a POST of 1 KB. "new"
//! means a connection, CONNECT and full TLS handshake for each call, as Kibana's clients without keep-alive make them.
//!
//! `cargo bench --bench end_to_end -- [--durability fsync|write] [--requests N] [--clients N]`. Linux only: reads /proc.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context as _, Result, bail, ensure};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustix::process::{Pid, Signal, kill_process};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

const HOST: &str = "origin.test";
const BODY_BYTES: usize = 1024;
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const GATE: &str = env!("CARGO_BIN_EXE_tollgate");
/// Calls of each client before the measurement: leaf certificates are made and upstream connections pooled.
const WARM_UP: usize = 20;
/// Ticks a second in /proc/PID/stat: USER_HZ, the same on every Linux.
const TICKS_PER_S: f64 = 100.0;

fn main() -> Result<()> {
    let settings = Settings::from_args()?;
    let bench = Bench::prepare(settings)?;
    println!(
        "{} requests a scenario by {} clients, durability {}\n",
        settings.requests, settings.clients, settings.durability
    );
    println!(
        "{:<40}{:>12}{:>12}{:>9}{:>10}{:>8}",
        "scenario", "CPU us/req", "median us", "ratio", "req/s", "rows"
    );
    for (secure, keep_alive) in [(true, false), (true, true), (false, true)] {
        let base = bench.measure(Way::Direct, secure, keep_alive, None)?;
        let gated: &[Way] = match (secure, keep_alive) {
            (true, false) => &[Way::Tunnel, Way::Gate],
            _ => &[Way::Gate],
        };
        for way in gated {
            bench.measure(*way, secure, keep_alive, Some(base))?;
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Settings {
    durability: &'static str,
    requests: usize,
    clients: usize,
}

impl Settings {
    fn from_args() -> Result<Self> {
        let mut settings = Self {
            durability: "fsync",
            requests: 4000,
            clients: 8,
        };
        // Cargo adds --bench.
        let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
        while let Some(flag) = args.next() {
            let value = args.next().with_context(|| format!("{flag} needs a value"))?;
            match flag.as_str() {
                "--durability" if value == "fsync" => settings.durability = "fsync",
                "--durability" if value == "write" => settings.durability = "write",
                "--requests" => settings.requests = value.parse()?,
                "--clients" => settings.clients = value.parse()?,
                _ => bail!("unknown: {flag} {value}"),
            }
        }
        ensure!(
            settings.clients > 0 && settings.requests >= settings.clients,
            "at least one request a client"
        );
        Ok(settings)
    }
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

fn title(way: Way, secure: bool, keep_alive: bool) -> String {
    let way = match (way, secure) {
        (Way::Direct, true) => "direct https",
        (Way::Direct, false) => "direct http",
        (Way::Tunnel, _) => "tunnel",
        (Way::Gate, true) => "intercepted",
        (Way::Gate, false) => "http",
    };
    format!(
        "{way}, {}",
        if keep_alive {
            "keep-alive"
        } else {
            "new connection each"
        }
    )
}

/// The origins, and what clients need to trust.
struct Bench {
    settings: Settings,
    dir: tempfile::TempDir,
    secure_origin: SocketAddr,
    plain_origin: SocketAddr,
}

impl Bench {
    fn prepare(settings: Settings) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let tls = origin_tls(&dir.path().join("origin-ca.pem"))?;
        let (secure_origin, plain_origin) = (serve(Some(tls))?, serve(None)?);
        Ok(Self {
            settings,
            dir,
            secure_origin,
            plain_origin,
        })
    }

    /// Runs one scenario and prints its line; returns the median latency of a call.
    fn measure(&self, way: Way, secure: bool, keep_alive: bool, base: Option<Duration>) -> Result<Duration> {
        let name = title(way, secure, keep_alive);
        let origin = if secure { self.secure_origin } else { self.plain_origin };
        let gate = match way {
            Way::Direct => None,
            Way::Tunnel | Way::Gate => Some(Gate::start(self, way, origin.port())?),
        };
        let mut cas = vec![self.dir.path().join("origin-ca.pem")];
        cas.extend(gate.as_ref().map(|gate| gate.dir.path().join("ca.pem")));
        let caller = Caller {
            proxy: gate.as_ref().map(|gate| gate.address),
            origin,
            tls: if secure { Some(client_tls(&cas)?) } else { None },
            keep_alive,
        };
        let clients = self.settings.clients;
        let each = self.settings.requests / clients;
        run(&caller, clients, WARM_UP).with_context(|| name.clone())?;
        let cpu_before = gate.as_ref().map(Gate::cpu_s).transpose()?.unwrap_or_default();
        let started = Instant::now();
        let mut latencies = run(&caller, clients, each).with_context(|| name.clone())?;
        let elapsed = started.elapsed();
        let cpu_after = gate.as_ref().map(Gate::cpu_s).transpose()?.unwrap_or_default();

        latencies.sort_unstable();
        let median = latencies.get(latencies.len() / 2).copied().unwrap_or_default();
        let requests = latencies.len();
        let ratio = base.map_or(1.0, |base| median.as_secs_f64() / base.as_secs_f64());
        let rate = requests as f64 / elapsed.as_secs_f64();
        print!("{name:<40}");
        match gate {
            None => println!(
                "{:>12}{:>12}{ratio:>9.2}{rate:>10.0}{:>8}",
                "-",
                median.as_micros(),
                "-"
            ),
            Some(gate) => {
                let cpu_us = (cpu_after - cpu_before) * 1e6 / requests as f64;
                let rows = gate.stop_and_count_rows()?;
                println!(
                    "{cpu_us:>12.0}{:>12}{ratio:>9.2}{rate:>10.0}{rows:>8}",
                    median.as_micros()
                );
                let expected = requests + clients * WARM_UP;
                ensure!(
                    rows == expected,
                    "{name}: {rows} rows of completed exchanges, but {expected} requests"
                );
            }
        }
        Ok(median)
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
        command.args(["--durability", bench.settings.durability]);
        command.arg("--upstream-ca").arg(bench.dir.path().join("origin-ca.pem"));
        command.arg("--data-dir").arg(path("data"));
        command
            .arg("--ca-cert")
            .arg(path("ca.pem"))
            .arg("--ca-key")
            .arg(path("ca.key"));
        if way == Way::Tunnel {
            command.args(["--tunnel-host", &format!("{HOST}:{origin_port}")]);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
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
        let ticks: u64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(str::parse::<u64>)
            .sum::<Result<_, _>>()?;
        Ok(ticks as f64 / TICKS_PER_S)
    }

    /// Stops the gate, which seals everything, and counts the rows of completed exchanges.
    fn stop_and_count_rows(mut self) -> Result<usize> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the gate ended with {status}");
        let data_dir = self.dir.path().join("data");
        let mut records = Command::new(GATE);
        records
            .args(["records", "--json", "--limit", "100000000", "--data-dir"])
            .arg(data_dir);
        let output = records.output()?;
        ensure!(
            output.status.success(),
            "records: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let rows = output
            .stdout
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        let rows: Vec<serde_json::Value> = rows.map(serde_json::from_slice).collect::<Result<_, _>>()?;
        ensure!(
            rows.iter().all(|row| row["outcome"] == "completed"),
            "not every exchange was completed"
        );
        Ok(rows.len())
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A CA written to `ca_pem`, and a certificate of the origin signed by it.
fn origin_tls(ca_pem: &Path) -> Result<Arc<ServerConfig>> {
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    fs::write(ca_pem, ca.self_signed(&ca_key)?.pem())?;
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new(vec![HOST.to_owned()])?.signed_by(&key, &Issuer::new(ca, ca_key))?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(
        config
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)?,
    ))
}

fn client_tls(cas: &[PathBuf]) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for ca in cas {
        roots.add(CertificateDer::from_pem_file(ca)?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Answers every request on every connection, a thread each.
fn serve(tls: Option<Arc<ServerConfig>>) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let tls = tls.clone();
            // How a connection ends is the client's business.
            thread::spawn(move || answer_all(stream, tls).ok());
        }
    });
    Ok(address)
}

fn answer_all(stream: TcpStream, tls: Option<Arc<ServerConfig>>) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut stream: Box<dyn Stream> = match tls {
        Some(config) => Box::new(StreamOwned::new(ServerConnection::new(config)?, stream)),
        None => Box::new(stream),
    };
    let mut buffered = Vec::new();
    loop {
        read_until(&mut stream, &mut buffered, |bytes| {
            let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
            (bytes.len() >= head + 4 + BODY_BYTES).then_some(())
        })?;
        buffered.clear();
        stream.write_all(RESPONSE)?;
    }
}

trait Stream: Read + Write {}
impl<IO: Read + Write> Stream for IO {}

/// Reads until `found` is content with what arrived.
fn read_until<T>(stream: &mut impl Read, buffered: &mut Vec<u8>, found: impl Fn(&[u8]) -> Option<T>) -> Result<T> {
    let mut chunk = [0; 4096];
    loop {
        let read = stream.read(&mut chunk)?;
        ensure!(read > 0, "closed after {:?}", String::from_utf8_lossy(buffered));
        buffered.extend_from_slice(chunk.get(..read).unwrap_or_default());
        if let Some(found) = found(buffered) {
            return Ok(found);
        }
    }
}

/// How one scenario's clients call.
struct Caller {
    proxy: Option<SocketAddr>,
    origin: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    keep_alive: bool,
}

impl Caller {
    fn open(&self) -> Result<Box<dyn Stream>> {
        let mut stream = TcpStream::connect(self.proxy.unwrap_or(self.origin))?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else {
            return Ok(Box::new(stream));
        };
        if self.proxy.is_some() {
            let authority = format!("{HOST}:{}", self.origin.port());
            stream.write_all(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n").as_bytes())?;
            expect(&mut stream, b"HTTP/1.1 200", b"\r\n\r\n")?;
        }
        let session = ClientConnection::new(Arc::clone(tls), ServerName::try_from(HOST)?)?;
        Ok(Box::new(StreamOwned::new(session, stream)))
    }

    fn request(&self) -> Vec<u8> {
        let authority = format!("{HOST}:{}", self.origin.port());
        let target = if self.tls.is_none() && self.proxy.is_some() {
            format!("http://{authority}")
        } else {
            String::new()
        };
        let head = format!(
            "POST {target}/api/events HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\n\
             User-Agent: bench/1.0 elastic (deployment:bench)\r\nContent-Length: {BODY_BYTES}\r\n\r\n"
        );
        [head.into_bytes(), vec![b'x'; BODY_BYTES]].concat()
    }

    /// Makes `count` calls one after the other; how long each took, connecting included.
    fn call(&self, count: usize) -> Result<Vec<Duration>> {
        let request = self.request();
        let mut kept = None;
        let mut latencies = Vec::with_capacity(count);
        for _ in 0..count {
            let started = Instant::now();
            let mut stream = match kept.take() {
                Some(stream) => stream,
                None => self.open()?,
            };
            stream.write_all(&request)?;
            expect(&mut stream, b"HTTP/1.1 200", b"\r\n\r\nok")?;
            latencies.push(started.elapsed());
            kept = self.keep_alive.then_some(stream);
        }
        Ok(latencies)
    }
}

fn expect(stream: &mut impl Read, start: &[u8], end: &[u8]) -> Result<()> {
    let mut answer = Vec::new();
    read_until(stream, &mut answer, |bytes| bytes.ends_with(end).then_some(()))?;
    ensure!(
        answer.starts_with(start),
        "answered {:?}",
        String::from_utf8_lossy(&answer)
    );
    Ok(())
}

/// All clients at once, `count` calls each.
fn run(caller: &Caller, clients: usize, count: usize) -> Result<Vec<Duration>> {
    thread::scope(|scope| {
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(|| caller.call(count))).collect();
        let mut all = Vec::new();
        for client in clients {
            all.extend(client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??);
        }
        Ok(all)
    })
}
