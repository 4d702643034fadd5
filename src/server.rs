//! From a checked configuration to a running proxy, and from a signal to a clean stop.
//!
//! [`run`] puts the stages together in the order evidence needs: recover the journal, seal what was left, open the journal,
//! then listen. Stopping goes the other way round.

mod accept;
mod listener;
mod signals;

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::archive::anchor;
use crate::archive::maintenance::Rules;
use crate::archive::maintenance::keeper::{Duties, Keeper};
use crate::archive::rotation::{self, RotationError};
use crate::archive::statement::{RecoverySummary, StartStatement, StopReason, StopStatement};
use crate::archive::{self, Opening, Sealer, Signer, Start, Watch};
use crate::clock::now_us;
use crate::config::{Config, ConfigError};
use crate::connectors::Catalogue;
use crate::gate::Gate;
use crate::installation::{Installation, InstallationError};
use crate::intercept::Interceptor;
use crate::intercept::authority::Authority;
use crate::journal::{self, Journal, JournalThread};
use crate::observe::Recorder;
use crate::policy::Policy;
use crate::telemetry::{Admin, Metrics, serve_admin};
use crate::upstream::{self, ResolverSettings, TlsConfigError, Upstream};

pub use listener::ListenError;
use signals::Signals;

/// How often idle upstream connections are looked over.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);
/// Most of `limits.close_timeout_s` that maintenance may take to stop: what it has begun is completed by the next start, and
/// sealing needs the rest.
const MAINTENANCE_WAIT_MAX: Duration = Duration::from_secs(5);

/// Why the proxy did not start, or did not stop cleanly.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Installation(#[from] InstallationError),
    #[error(transparent)]
    Recover(#[from] journal::RecoverError),
    #[error(transparent)]
    SigningKey(#[from] archive::KeyError),
    #[error(transparent)]
    Rotation(#[from] RotationError),
    #[error(transparent)]
    Archive(#[from] archive::StartError),
    #[error(transparent)]
    Journal(#[from] journal::OpenError),
    #[error("TLS could not be set up: {0}")]
    Tls(#[from] rustls::Error),
    #[error(transparent)]
    UpstreamTls(#[from] TlsConfigError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("the thread that watches the evidence could not be started: {0}")]
    Watch(std::io::Error),
    #[error("the maintenance thread could not be started: {0}")]
    Maintenance(std::io::Error),
    #[error("the runtime could not be started: {0}")]
    Runtime(std::io::Error),
    #[error(transparent)]
    Close(#[from] journal::CloseError),
    /// `audit.on_failure: shutdown`, and it did.
    #[error("stopped because evidence could not be written (audit.on_failure: shutdown): {0}")]
    EvidenceFailed(String),
    #[error("{0} journal segments could not be sealed before the deadline; they are sealed at the next start")]
    Unsealed(usize),
}

/// Where a running proxy listens: a configured port 0 has become a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listening {
    /// In the order of the configuration.
    pub listeners: Vec<SocketAddr>,
    pub admin: Option<SocketAddr>,
}

/// What is replaced, as a whole, while the proxy runs.
pub struct Reloaded {
    pub policy: Arc<Policy>,
    pub connectors: Arc<Catalogue>,
    /// How long rows are kept, and which are held.
    pub maintenance: Rules,
}

/// How they are loaded again when asked for, on a thread that serves no calls.
pub type Reload = Arc<dyn Fn() -> Result<Reloaded, ConfigError> + Send + Sync>;

/// Runs the proxy until SIGTERM or SIGINT. `started` is called once everything listens.
pub fn run(
    config: Config,
    authority: Authority,
    reload: Reload,
    started: impl FnOnce(&Listening),
) -> Result<(), RunError> {
    let evidence = Evidence::open(&config)?;
    let close_timeout = config.limits.close_timeout;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.threads.get())
        .enable_all()
        .build()
        .map_err(RunError::Runtime)?;
    let served = runtime.block_on(serve(config, authority, reload, &evidence, started));
    // Whatever still runs is cut here; its exchanges record themselves as interrupted while they are dropped.
    runtime.shutdown_timeout(Duration::from_secs(1));
    let closed =
        evidence.close(Instant::now() + close_timeout, served.as_ref().map_or(StopReason::Failed, StopCause::reason));
    match served? {
        StopCause::Signal(_) => closed,
        StopCause::EvidenceFailed(trouble) => {
            if let Err(error) = closed {
                tracing::error!(%error, "evidence was not closed cleanly; the next start recovers it");
            }
            Err(RunError::EvidenceFailed(trouble))
        }
    }
}

/// Why a running proxy stops.
#[derive(Debug)]
enum StopCause {
    Signal(StopReason),
    /// The journal's trouble, when `audit.on_failure` is `shutdown`.
    EvidenceFailed(String),
}

impl StopCause {
    /// As the chain says it.
    const fn reason(&self) -> StopReason {
        match self {
            Self::Signal(reason) => *reason,
            Self::EvidenceFailed(_) => StopReason::EvidenceFailed,
        }
    }
}

/// Journal, sealer and installation: open before traffic, closed after it.
struct Evidence {
    installation: Installation,
    journal: Journal,
    thread: JournalThread,
    sealer: Sealer,
    watch: Watch,
    anchors: Option<anchor::Sender>,
    keeper: Keeper,
    rules: Arc<ArcSwap<Rules>>,
}

impl Evidence {
    fn open(config: &Config) -> Result<Self, RunError> {
        let installation = Installation::open(&config.data_dir, &config.audit.url_fingerprint_key_file)?;
        let recovery = journal::recover(&config.data_dir.journal(), now_us())?;
        for repair in &recovery.repairs {
            tracing::warn!(%repair, "the journal of an earlier run was repaired");
        }
        let (closed, segments) = mpsc::channel();
        let recovered = recovery.summary();
        for segment in recovery.segments {
            let _ = closed.send(segment);
        }
        let mut archive_settings = archive::Settings::new(config.data_dir.root());
        archive_settings.heartbeat = config.audit.heartbeat;
        archive_settings.anchor_every = config.audit.anchor_every;
        rotation::finish(&archive_settings, &config.data_dir.keys(), now_us())?;
        let signer = Signer::load_or_create(&config.data_dir.keys())?;
        let opening = opening(config, &installation, recovered);
        let key = signer.public().clone();
        let sealer = Sealer::start(archive_settings.clone(), signer, opening, segments)?;
        let watch = Watch::start(&archive_settings, config.audit.watch, config.audit.watch_files_max)
            .map_err(RunError::Watch)?;
        let (journal, thread) = journal::open(config.audit.journal.clone(), installation.writer.clone(), closed)?;
        let counted = journal.clone();
        sealer.begin_heartbeats(move || counted.counters().last_seq);
        let anchors = start_anchoring(config, &sealer)?;
        let rules = Arc::new(ArcSwap::from_pointee(config.audit.maintenance.clone()));
        let duties = Duties {
            settings: archive_settings,
            journal_dir: config.data_dir.journal(),
            rules: Arc::clone(&rules),
            key,
            notes: sealer.notes(),
            lock: sealer.dataset_lock(),
            watch: watch.clone(),
        };
        let keeper = Keeper::start(duties).map_err(RunError::Maintenance)?;
        Ok(Self { installation, journal, thread, sealer, watch, anchors, keeper, rules })
    }

    fn close(self, deadline: Instant, reason: StopReason) -> Result<(), RunError> {
        self.keeper.finish(deadline.min(Instant::now() + MAINTENANCE_WAIT_MAX));
        let closed = self.thread.close();
        let stop = StopStatement { reason, last_seq: self.journal.counters().last_seq };
        let unsealed = self.sealer.finish(deadline, stop);
        if self.anchors.is_some_and(|anchors| !anchors.finish(deadline)) {
            tracing::warn!("the last head of the chain was not anchored everywhere before the deadline");
        }
        closed?;
        match unsealed.segments.len() {
            0 => Ok(()),
            left => Err(RunError::Unsealed(left)),
        }
    }
}

fn start_anchoring(config: &Config, sealer: &Sealer) -> Result<Option<anchor::Sender>, RunError> {
    if config.audit.anchors.is_empty() {
        return Ok(None);
    }
    let sender = anchor::Sender::start(config.audit.anchors.clone(), config.data_dir.anchors());
    let sender = sender.map_err(RunError::Runtime)?;
    sealer.begin_anchoring(sender.outbox());
    Ok(Some(sender))
}

/// What the chain says of this start before it accepts anything.
fn opening(config: &Config, installation: &Installation, recovery: RecoverySummary) -> Opening {
    let writer = &installation.writer;
    let statement = StartStatement {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        policy_hash: config.policy.hash().to_string(),
        config_sha256: config.file_sha256,
        catalogue_sha256: config.connectors.sha256(),
        durability: config.audit.journal.durability.code().to_owned(),
        on_failure: config.audit.journal.on_failure.code().to_owned(),
        recovery,
    };
    Opening { start: Start { instance_id: writer.instance_id.clone(), epoch: writer.epoch }, statement }
}

async fn serve(
    config: Config,
    authority: Authority,
    reload: Reload,
    evidence: &Evidence,
    started: impl FnOnce(&Listening),
) -> Result<StopCause, RunError> {
    evidence.journal.waiters_are_in(tokio::runtime::Handle::current());
    let mut signals = Signals::register().map_err(RunError::Runtime)?;
    let bound = listener::bind_all(&config.listeners).await?;
    let admin = match config.admin {
        Some(address) => Some(listener::bind(address).await?),
        None => None,
    };
    let admin_address = admin.as_ref().and_then(|listener| listener.local_addr().ok());
    let listeners: Vec<SocketAddr> = bound.iter().map(|listener| listener.address).collect();

    let metrics = Arc::new(Metrics::default());
    let (stop, stopping) = watch::channel(false);
    if let Some(listener) = admin {
        let admin = Admin {
            registry: metrics.registry(),
            metrics: Arc::clone(&metrics),
            journal: evidence.journal.clone(),
            watch: evidence.watch.clone(),
            sealing: evidence.sealer.sealing_status(),
            maintenance: evidence.keeper.status(),
            stopping: stopping.clone(),
        };
        tokio::spawn(serve_admin(listener, Arc::new(admin)));
    }
    let own = listeners.iter().copied().chain(admin_address).collect();
    let drain_timeout = config.limits.drain_timeout;
    let gate = Arc::new(open_gate(config, authority, evidence, Arc::clone(&metrics), own, stopping)?);
    let accepting = accept::Accepting::start(&gate, bound, metrics);
    started(&Listening { listeners, admin: admin_address });
    let sweeper = tokio::spawn(sweep(Arc::clone(&gate)));
    let notes = evidence.sealer.notes();
    let cause = tokio::select! {
        reason = signals.until_told_to_stop(&gate, &evidence.rules, &reload, &notes) => StopCause::Signal(reason),
        trouble = evidence.journal.gives_up() => StopCause::EvidenceFailed(trouble),
    };
    tracing::info!(drain_timeout_s = drain_timeout.as_secs(), "stopping: finishing what is under way");
    stop.send_replace(true);
    accepting.drain(drain_timeout).await;
    gate.recorder.cut_off();
    sweeper.abort();
    Ok(cause)
}

fn open_gate(
    config: Config,
    authority: Authority,
    evidence: &Evidence,
    metrics: Arc<Metrics>,
    own_listeners: Vec<SocketAddr>,
    stopping: watch::Receiver<bool>,
) -> Result<Gate, RunError> {
    let limits = config.limits;
    let outbound = config.upstream;
    let upstream = Upstream::new(upstream::Settings {
        resolver: ResolverSettings {
            pinned: outbound.resolve,
            timeout: limits.dns_timeout,
            cache_ttl: outbound.dns_cache_ttl,
            cache_entries: outbound.dns_cache_entries,
            in_flight_max: outbound.dns_in_flight_max,
        },
        tls: outbound.tls,
        allow_addresses: outbound.allow_addresses,
        own_listeners,
        dial_timeout: limits.dial_timeout,
        response_head_timeout: limits.response_head_timeout,
        upload_after_response: limits.keep_alive_timeout,
        header_fields_max: limits.header_fields_max,
        header_bytes_max: limits.header_bytes_max,
        pool_idle_timeout: outbound.pool_idle_timeout,
        pool_idle_per_destination_max: outbound.pool_idle_per_destination_max,
        pool_idle_max: outbound.pool_idle_max,
        pool_spare: outbound.pool_spare,
    })?;
    let fingerprint = evidence.installation.fingerprint_key.clone();
    let recorder = Recorder::new(evidence.journal.clone(), fingerprint, config.connectors, metrics, &config.audit);
    Ok(Gate {
        policy: ArcSwap::new(config.policy),
        tunnel_rules: config.tunnel,
        clients: config.clients,
        identity: config.identity,
        interceptor: Interceptor::new(authority, config.interception.leaf_cache_entries, limits.handshake_timeout)?,
        upstream,
        recorder: Arc::new(recorder),
        limits,
        stopping,
    })
}

async fn sweep(gate: Arc<Gate>) {
    let mut tick = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        tick.tick().await;
        gate.upstream.sweep();
    }
}

#[cfg(test)]
mod tests;
