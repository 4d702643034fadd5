//! The proxies that are compared: where each is found, what it can do, and how it is started.
//!
//! Every peer gets a plain configuration in the spirit of its documentation: access log on, one host allowed, as many
//! worker threads as it has CPUs. A module a proxy; nothing here measures.

mod authority;
mod g3proxy;
mod haproxy;
mod mitmproxy;
mod privoxy;
mod smokescreen;
mod squid;
mod tinyproxy;
mod tollgate;
mod trafficserver;
mod unprivileged;

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::machine::pinned;
use crate::process::{Tree, version};
use crate::scenario::Handling;

pub(crate) use tollgate::{KIND as WARM, Rules, WITHOUT_EVIDENCE, WITHOUT_REUSE, WITHOUT_SYNC, count_rows, verify};

/// Reading a policy of a million hosts takes a while.
const START_WAIT: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(20);

/// A proxy this bench knows how to configure.
#[derive(Debug)]
pub(crate) struct Kind {
    /// On the command line and in results.
    pub(crate) name: &'static str,
    /// Looked for in PATH and the directories for system programs.
    program: &'static str,
    /// The environment variable that names another binary.
    pub(crate) variable: &'static str,
    version_flag: &'static str,
    /// How to get it.
    pub(crate) install: &'static str,
    /// What it can do.
    handles: &'static [Handling],
    launch: fn(&Setup) -> Result<Launch>,
}

/// In the order of tables.
pub(crate) const KINDS: [&Kind; 10] = [
    &tollgate::KIND,
    &tollgate::WITHOUT_REUSE,
    &haproxy::KIND,
    &g3proxy::KIND,
    &squid::KIND,
    &smokescreen::KIND,
    &tinyproxy::KIND,
    &privoxy::KIND,
    &trafficserver::KIND,
    &mitmproxy::KIND,
];

/// What one run asks of a proxy.
#[derive(Debug)]
pub(crate) struct Setup<'a> {
    pub(crate) program: &'a Path,
    /// Its own; empty at first.
    pub(crate) dir: &'a Path,
    /// Where it is to listen on 127.0.0.1.
    pub(crate) port: u16,
    pub(crate) handling: Handling,
    pub(crate) origin_port: u16,
    /// The CA of the origin's certificate, PEM.
    pub(crate) origin_ca: &'a Path,
    /// CPUs it has.
    pub(crate) threads: usize,
}

impl Setup<'_> {
    /// A file in its directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

/// How a configured proxy is started.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) command: Command,
    pub(crate) ready: Ready,
    /// The CA by which its clients trust it, when it intercepts.
    pub(crate) ca: Option<PathBuf>,
}

/// How to know that it accepts connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ready {
    /// Its port can be connected to.
    Connects,
    /// It printed a line to standard output. Connecting would leave a row.
    Says(&'static str),
}

/// A proxy found on this machine.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) kind: &'static Kind,
    pub(crate) program: PathBuf,
    pub(crate) version: String,
}

/// A proxy that accepts connections. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) tree: Tree,
    pub(crate) address: SocketAddr,
    pub(crate) ca: Option<PathBuf>,
}

impl Kind {
    /// `None` when it is not installed; its environment variable, if set, must name a binary that runs.
    pub(crate) fn find(&'static self) -> Result<Option<Peer>> {
        let named = std::env::var_os(self.variable).map(PathBuf::from);
        let Some(program) = named.or_else(|| in_path(self.program)) else {
            return Ok(None);
        };
        let version = version(&program, self.version_flag)?;
        Ok(Some(Peer { kind: self, program, version }))
    }

    pub(crate) fn handles(&self, handling: Handling) -> bool {
        self.handles.contains(&handling)
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.name.starts_with(tollgate::KIND.name)
    }

    /// Of ours: whether each call leaves a row.
    pub(crate) fn keeps_evidence(&self) -> bool {
        self.name != tollgate::WITHOUT_EVIDENCE.name
    }
}

fn in_path(program: &str) -> Option<PathBuf> {
    if Path::new(program).is_absolute() {
        return Some(program.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// Below the ports that Linux gives to outgoing connections, so that none of those can take it before the proxy does.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A port that was free a moment ago, another each time.
pub(crate) fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = std::process::id() as u16;
    let tried = PORTS.len() as u16;
    let mut candidates = (0..tried).map(|_| {
        let number = first.wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        PORTS.start + number % tried
    });
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    candidates.find(free).with_context(|| format!("none of the ports {PORTS:?} is free"))
}

impl Peer {
    /// Of ours: the program that reads the rows it left.
    pub(crate) fn reader(&self) -> &Path {
        if self.kind.keeps_evidence() { &self.program } else { Path::new(tollgate::KIND.program) }
    }

    /// Configures and starts it on these CPUs, and waits until it accepts connections.
    pub(crate) fn start(&self, setup: &Setup, cpus: &[usize]) -> Result<Running> {
        let launch = (self.kind.launch)(setup)?;
        start(launch, setup, cpus).with_context(|| format!("starting {}", self.kind.name))
    }
}

/// Starts Tollgate with other rules than the comparison's.
pub(crate) fn start_with(setup: &Setup, rules: &Rules, cpus: &[usize]) -> Result<Running> {
    start(tollgate::launch(setup, rules)?, setup, cpus)
}

/// Starts a configured proxy; what it prints goes to `output.log` in its directory.
fn start(mut launch: Launch, setup: &Setup, cpus: &[usize]) -> Result<Running> {
    let log = setup.path("output.log");
    let output = File::create(&log)?;
    launch.command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).current_dir(setup.dir);
    let mut tree = Tree::new(pinned(cpus, || Ok(launch.command.spawn()?))?);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, setup.port));
    let deadline = Instant::now() + START_WAIT;
    while !is_ready(launch.ready, address, &log) {
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        if let Some(status) = tree.ended()? {
            bail!("it ended with {status}:\n{}", said());
        }
        if Instant::now() > deadline {
            bail!("it does not accept connections after {START_WAIT:?}:\n{}", said());
        }
        thread::sleep(POLL);
    }
    Ok(Running { tree, address, ca: launch.ca })
}

#[expect(clippy::disallowed_methods, reason = "asks whether a peer listens; not part of the program")]
fn is_ready(ready: Ready, address: SocketAddr, log: &Path) -> bool {
    match ready {
        Ready::Connects => TcpStream::connect(address).is_ok(),
        Ready::Says(text) => std::fs::read_to_string(log).is_ok_and(|said| said.contains(text)),
    }
}
