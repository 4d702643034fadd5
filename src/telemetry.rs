//! Counters for operators, and the admin listener that serves them with health and readiness.
//!
//! Metrics carry no host, no id and no user agent: what identifies a call is in the evidence, under its own protection.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use crate::archive::maintenance::KeeperStatus;
use crate::archive::{SealingStatus, Status, Watch, Watched};
use crate::clock::now_us;
use crate::journal::Journal;
use crate::record::{Decision, Intent, Outcome};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ExchangeLabels {
    kind: &'static str,
    decision: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    reason: &'static str,
}

/// The connector is a type id of the catalogue or [`NOT_KNOWN`], so the catalogue bounds the number of series.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConnectorLabels {
    connector: String,
    decision: &'static str,
}

/// The connector of calls that the catalogue does not know.
const NOT_KNOWN: &str = "unknown";

/// What is counted.
#[derive(Default)]
pub struct Metrics {
    exchanges: Family<ExchangeLabels, Counter>,
    refusals: Family<RefusalLabels, Counter>,
    connector_exchanges: Family<ConnectorLabels, Counter>,
    request_bytes: Counter,
    response_bytes: Counter,
    audit_wait_us: Counter,
    unverified_exchanges: Counter,
    /// Client connections open now, tunnels included.
    pub connections: Gauge,
    journal_writable: Gauge,
    journal_frames: Gauge,
    journal_commits: Gauge,
    journal_failures: Gauge,
    journal_lost: Gauge,
    unrecorded_exchanges: Counter,
    evidence_disturbed: Counter,
    evidence_watch_full: Gauge,
    chain_head_index: Gauge,
    chain_entries: Gauge,
    chain_entry_age: Gauge,
    chain_statements_lost: Gauge,
    seal_failures: Gauge,
    seal_backlog: Gauge,
    anchor_failures: Gauge,
    rewrites: Gauge,
    rows_removed: Gauge,
    maintenance_failures: Gauge,
    unaccounted_files: Gauge,
}

impl Metrics {
    /// An exchange has its row.
    pub fn settled(&self, intent: &Intent, outcome: &Outcome) {
        let decision = intent.decision.map_or("none", Decision::code);
        let connector = intent.connector_type.as_deref().unwrap_or(NOT_KNOWN).to_owned();
        self.connector_exchanges.get_or_create(&ConnectorLabels { connector, decision }).inc();
        let labels = ExchangeLabels { kind: intent.kind.code(), decision, outcome: outcome.outcome.code() };
        self.exchanges.get_or_create(&labels).inc();
        if let (Some(Decision::Deny), Some(reason)) = (intent.decision, intent.deny_reason) {
            self.refusals.get_or_create(&RefusalLabels { reason: reason.code() }).inc();
        }
        self.request_bytes.inc_by(outcome.request_bytes.unsigned_abs());
        self.response_bytes.inc_by(outcome.response_bytes.unsigned_abs());
        self.audit_wait_us.inc_by(outcome.audit_wait_us.unwrap_or(0).unsigned_abs());
        if outcome.upstream_verified == Some(false) {
            self.unverified_exchanges.inc();
        }
    }

    /// The registry that renders these in the OpenMetrics text format.
    pub fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("tollgate");
        registry.register("exchanges", "Finished exchanges, one per audit row", self.exchanges.clone());
        registry.register("refusals", "Refused exchanges by deny_reason", self.refusals.clone());
        registry.register(
            "connector_exchanges",
            "Finished exchanges by connector type",
            self.connector_exchanges.clone(),
        );
        registry.register("request_bytes", "Request body bytes from clients", self.request_bytes.clone());
        registry.register("response_bytes", "Response body bytes to clients", self.response_bytes.clone());
        registry.register(
            "audit_wait_microseconds",
            "Time exchanges waited for their intent to be durable",
            self.audit_wait_us.clone(),
        );
        registry.register(
            "unverified_exchanges",
            "Finished exchanges whose upstream certificate was not verified (danger_skip_verify)",
            self.unverified_exchanges.clone(),
        );
        registry.register("connections", "Client connections open now", self.connections.clone());
        registry.register("journal_writable", "1 when evidence can be written, else 0", self.journal_writable.clone());
        registry.register("journal_frames", "Frames written since start", self.journal_frames.clone());
        registry.register("journal_commits", "Group commits since start", self.journal_commits.clone());
        registry.register("journal_failures", "Storage failures since start", self.journal_failures.clone());
        registry.register("journal_lost", "Records that could not be kept, since start", self.journal_lost.clone());
        registry.register(
            "unrecorded_exchanges",
            "Exchanges that went on without durable evidence (audit.on_failure: continue)",
            self.unrecorded_exchanges.clone(),
        );
        registry.register(
            "evidence_disturbed",
            "Sealed files, lists of their rows and files of the chain that somebody else removed or changed, since start",
            self.evidence_disturbed.clone(),
        );
        registry.register(
            "evidence_watch_full",
            "1 when there are more files than audit.watch_files_max, so that the oldest are not watched, else 0",
            self.evidence_watch_full.clone(),
        );
        self.register_archive(&mut registry);
        self.register_maintenance(&mut registry);
        registry
    }

    fn register_archive(&self, registry: &mut Registry) {
        let gauges = [
            ("chain_head_index", "Index of the last entry of the signed chain", &self.chain_head_index),
            ("chain_entries", "Entries added to the chain since start", &self.chain_entries),
            ("chain_entry_age_seconds", "Time since the last entry of the chain", &self.chain_entry_age),
            ("chain_statements_lost", "Statements missing from the chain, since start", &self.chain_statements_lost),
            ("seal_failures", "Failed attempts to seal or to write the chain, since start", &self.seal_failures),
            ("seal_backlog", "Journal segments waiting to be sealed", &self.seal_backlog),
            ("anchor_failures", "Failed deliveries of the chain's head, since start", &self.anchor_failures),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
    }

    fn observe_archive(&self, status: &Status, now_us: i64) {
        self.chain_head_index.set(status.head_index as i64);
        self.chain_entries.set(status.entries as i64);
        self.chain_entry_age.set(now_us.saturating_sub(status.last_entry_us).max(0) / 1_000_000);
        self.chain_statements_lost.set(status.notes_lost as i64);
        self.seal_failures.set(status.failures as i64);
        self.seal_backlog.set(status.backlog as i64);
        self.anchor_failures.set(status.anchor_failures as i64);
    }

    fn register_maintenance(&self, registry: &mut Registry) {
        registry.register("rewrites", "Rewrites of sealed files done since start", self.rewrites.clone());
        registry.register("rows_removed", "Rows removed by retention since start", self.rows_removed.clone());
        registry.register(
            "maintenance_failures",
            "Days that compaction or retention could not work on, since start",
            self.maintenance_failures.clone(),
        );
        registry.register(
            "unaccounted_files",
            "Files that no entry of the chain accounts for, as last found by maintenance; they are left alone",
            self.unaccounted_files.clone(),
        );
    }

    fn observe_maintenance(&self, status: KeeperStatus) {
        self.rewrites.set(status.rewrites as i64);
        self.rows_removed.set(status.rows_removed as i64);
        self.maintenance_failures.set(status.failures as i64);
        self.unaccounted_files.set(status.unknown as i64);
    }

    fn observe_watch(&self, watched: &Watched) {
        self.evidence_disturbed.inner().store(watched.disturbed, Ordering::Relaxed);
        self.evidence_watch_full.set(i64::from(watched.full));
    }

    fn observe_journal(&self, journal: &Journal) {
        let counters = journal.counters();
        self.journal_writable.set(i64::from(journal.is_writable()));
        self.journal_frames.set(counters.frames as i64);
        self.journal_commits.set(counters.commits as i64);
        self.journal_failures.set(counters.failures as i64);
        self.journal_lost.set(counters.lost as i64);
        self.unrecorded_exchanges.inner().store(counters.waived, Ordering::Relaxed);
    }
}

/// What the admin listener tells about.
pub struct Admin {
    pub metrics: Arc<Metrics>,
    pub registry: Registry,
    pub journal: Journal,
    pub watch: Watch,
    pub sealing: SealingStatus,
    pub maintenance: Arc<Mutex<KeeperStatus>>,
    pub stopping: tokio::sync::watch::Receiver<bool>,
}

/// Serves `/metrics`, `/healthz` (the process runs) and `/readyz` (it can take traffic) until the task is dropped.
pub async fn serve_admin(listener: TcpListener, admin: Arc<Admin>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => drop(tokio::spawn(serve_connection(stream, peer, Arc::clone(&admin)))),
            Err(error) => {
                tracing::warn!(%error, "the admin listener could not accept");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve_connection(stream: tokio::net::TcpStream, peer: SocketAddr, admin: Arc<Admin>) {
    let service = service_fn(|request: Request<Incoming>| {
        let response = admin.respond(request.uri().path());
        async move { Ok::<_, Infallible>(response) }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(std::time::Duration::from_secs(10));
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, %peer, "an admin connection ended");
    }
}

impl Admin {
    fn respond(&self, path: &str) -> Response<Full<Bytes>> {
        match path {
            "/metrics" => {
                self.metrics.observe_journal(&self.journal);
                self.metrics.observe_watch(&self.watch.watched());
                self.metrics.observe_maintenance(*self.maintenance.lock().unwrap_or_else(PoisonError::into_inner));
                self.metrics.observe_archive(&self.sealing.now(), now_us());
                let mut text = String::new();
                match encode(&mut text, &self.registry) {
                    Ok(()) => plain(StatusCode::OK, text),
                    Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "metrics could not be rendered\n".to_owned()),
                }
            }
            "/healthz" => self.health(),
            "/readyz" => self.readiness(),
            _ => plain(StatusCode::NOT_FOUND, "here are /metrics, /healthz and /readyz\n".to_owned()),
        }
    }

    /// That the process runs, and what is wrong with evidence, as JSON.
    fn health(&self) -> Response<Full<Bytes>> {
        let Watched { files, full, disturbed, last } = self.watch.watched();
        let health = serde_json::json!({
            "status": "running",
            "journal": { "trouble": self.journal.health().trouble() },
            "evidence": {
                "files_watched": files,
                "watch_full": full,
                "disturbed": disturbed,
                "last_disturbance": last.map(|disturbance| disturbance.to_string()),
            },
        });
        let mut response = plain(StatusCode::OK, format!("{health}\n"));
        let kind = http::HeaderValue::from_static("application/json");
        response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
        response
    }

    fn readiness(&self) -> Response<Full<Bytes>> {
        if *self.stopping.borrow() {
            return plain(StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned());
        }
        match (self.journal.health().trouble(), self.journal.admits()) {
            (None, _) => plain(StatusCode::OK, "ready\n".to_owned()),
            (Some(trouble), Ok(())) => plain(StatusCode::OK, format!("ready, WITHOUT evidence: {trouble}\n")),
            (Some(trouble), Err(_)) => {
                plain(StatusCode::SERVICE_UNAVAILABLE, format!("the journal cannot be written: {trouble}\n"))
            }
        }
    }
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let kind = http::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    response
}
