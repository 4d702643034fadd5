//! The load, a process of its own: clients that call at once, as told by a [`Job`], on CPUs the proxy does not use.
//!
//! A closed loop calls again as soon as it was answered, which shows what a proxy can do at most. With a rate the loop is
//! open: a call is due at its time whether or not earlier ones were answered, and its latency is counted from then.

mod caller;
mod job;
mod remote;

use std::io::{BufRead as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::{Barrier, Semaphore};
use tokio_rustls::TlsConnector;

use crate::machine::pin;
use crate::roles;
use crate::wire::bulk_block;
use caller::Caller;

pub(crate) use job::{Call, Flow, Job, Latencies, Report, Tls, Totals, Way};
pub(crate) use remote::Load;

/// Argument by which the bench runs itself as the load.
pub(crate) const ROLE: &str = "role:load";

const WARMING_MAX: usize = 64;

/// What all clients share.
struct Shared {
    job: Job,
    calls: AtomicU64,
    connections: AtomicU64,
    failures: AtomicU64,
    first_failure: Mutex<Option<String>>,
    /// Of the calls since the last window, in nanoseconds.
    window: Mutex<Vec<u64>>,
    /// All clients and the reporter: reached after the warm-up, and again when the measurement begins.
    phase: Barrier,
    /// Calls of the warm-up at once: thousands of idle connections come about one after the other.
    warming: Semaphore,
}

impl Shared {
    fn totals(&self) -> Totals {
        Totals {
            calls: self.calls.load(Ordering::Relaxed),
            connections: self.connections.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            first_failure: self.first_failure.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    fn failed(&self, error: &anyhow::Error) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let mut first = self.first_failure.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| format!("{error:#}"));
    }
}

/// Runs the role.
pub(crate) fn run(job: Job) -> Result<()> {
    pin(&job.cpus)?;
    roles::runtime(job.cpus.len())?.block_on(drive(job))
}

async fn drive(job: Job) -> Result<()> {
    let tls = TlsConnector::from(Arc::new(client_config(&job)?));
    let block: Arc<[u8]> = bulk_block().into();
    let clients = job.flows.iter().map(|flow| flow.clients).sum::<usize>();
    let shared = Arc::new(Shared {
        calls: AtomicU64::new(0),
        connections: AtomicU64::new(0),
        failures: AtomicU64::new(0),
        first_failure: Mutex::new(None),
        window: Mutex::new(Vec::new()),
        phase: Barrier::new(clients + 1),
        warming: Semaphore::new(WARMING_MAX),
        job,
    });
    let mut running = Vec::with_capacity(clients);
    for (index, flow) in shared.job.flows.iter().cloned().enumerate() {
        let (flow, due) = (Arc::new(flow), Arc::new(AtomicU64::new(0)));
        for _ in 0..flow.clients {
            let caller = Caller::new(Arc::clone(&flow), tls.clone(), Arc::clone(&block));
            let client = client(Arc::clone(&shared), caller, Arc::clone(&flow), Arc::clone(&due));
            running.push((index, tokio::spawn(client)));
        }
    }
    shared.phase.wait().await;
    print(&Report::Warm(shared.totals()))?;
    wait_for_line()?;
    shared.phase.wait().await;
    let started = Instant::now();
    let windows = tokio::spawn(report_windows(Arc::clone(&shared), started));
    let (mut latencies, mut kept) = (Vec::new(), Vec::new());
    let mut answered_by_flow = vec![0; shared.job.flows.len()];
    for (flow, client) in running {
        let (caller, all_ns) = client.await?;
        if let Some(answered) = answered_by_flow.get_mut(flow) {
            *answered += all_ns.len() as u64;
        }
        latencies.extend(all_ns);
        kept.push(caller);
    }
    windows.abort();
    let elapsed_s = started.elapsed().as_secs_f64();
    let (latencies, totals) = (Latencies::of(latencies), shared.totals());
    print(&Report::Done { elapsed_s, latencies, totals, answered_by_flow })?;
    if shared.job.hold { wait_for_line() } else { Ok(()) }
}

/// Trusts the job's CAs. Key exchanges and their order are those of Node.js 20 and 22.
fn client_config(job: &Job) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for file in &job.ca_files {
        roots.add(CertificateDer::from_pem_file(file).with_context(|| format!("no CA in {}", file.display()))?)?;
    }
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.kx_groups =
        vec![rustls::crypto::aws_lc_rs::kx_group::X25519, rustls::crypto::aws_lc_rs::kx_group::SECP256R1];
    let versions: &[_] = match job.tls_max {
        Tls::Tls12 => &[&rustls::version::TLS12],
        Tls::Tls13 => &[&rustls::version::TLS13, &rustls::version::TLS12],
    };
    let config = ClientConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(versions)?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    if !job.resume {
        config.resumption = Resumption::disabled();
    }
    Ok(config)
}

/// One client's life: warm-up, then calls until time or requests are used up. Its latencies in nanoseconds.
async fn client(shared: Arc<Shared>, mut caller: Caller, flow: Arc<Flow>, due: Arc<AtomicU64>) -> (Caller, Vec<u64>) {
    for _ in 0..shared.job.warm_up {
        // Never closed.
        let _permit = shared.warming.acquire().await;
        call(&shared, &mut caller).await;
    }
    shared.phase.wait().await;
    shared.phase.wait().await;
    let (begin, mut latencies) = (Instant::now(), Vec::new());
    let end = begin + Duration::from_secs_f64(shared.job.seconds);
    let last = shared.job.requests_max.saturating_add((shared.job.warm_up * total_clients(&shared.job)) as u64);
    while shared.calls.load(Ordering::Relaxed) < last {
        let started = next_start(&flow, &due, begin).await;
        if started >= end || Instant::now() >= end {
            break;
        }
        if call(&shared, &mut caller).await {
            let elapsed_ns = started.elapsed().as_nanos() as u64;
            latencies.push(elapsed_ns);
            if shared.job.window_s.is_some() {
                shared.window.lock().unwrap_or_else(PoisonError::into_inner).push(elapsed_ns);
            }
        }
    }
    (caller, latencies)
}

fn total_clients(job: &Job) -> usize {
    job.flows.iter().map(|flow| flow.clients).sum()
}

/// When the next call begins, or should have begun: a client that is late counts the delay, a timer that is late does not.
async fn next_start(flow: &Flow, due: &AtomicU64, begin: Instant) -> Instant {
    let Some(rate) = flow.rate else {
        return Instant::now();
    };
    let at = begin + Duration::from_secs_f64(due.fetch_add(1, Ordering::Relaxed) as f64 / rate);
    if Instant::now() >= at {
        return at;
    }
    tokio::time::sleep_until(at.into()).await;
    Instant::now()
}

/// Makes one call; whether it was answered as it should be.
async fn call(shared: &Shared, caller: &mut Caller) -> bool {
    let before = caller.connections;
    let number = shared.calls.fetch_add(1, Ordering::Relaxed);
    let result = caller.call(number).await;
    shared.connections.fetch_add(caller.connections - before, Ordering::Relaxed);
    result.inspect_err(|error| shared.failed(error)).is_ok()
}

async fn report_windows(shared: Arc<Shared>, started: Instant) {
    let Some(window_s) = shared.job.window_s else {
        return;
    };
    while started.elapsed().as_secs_f64() + window_s <= shared.job.seconds {
        tokio::time::sleep(Duration::from_secs_f64(window_s)).await;
        let all_ns = std::mem::take(&mut *shared.window.lock().unwrap_or_else(PoisonError::into_inner));
        let at_s = started.elapsed().as_secs_f64();
        if print(&Report::Window { at_s, latencies: Latencies::of(all_ns) }).is_err() {
            return;
        }
    }
}

fn print(report: &Report) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", serde_json::to_string(report)?)?;
    Ok(stdout.flush()?)
}

/// Blocks the whole process: nothing is to run between the phases.
fn wait_for_line() -> Result<()> {
    std::io::stdin().lock().read_line(&mut String::new())?;
    Ok(())
}
