//! What every exchange needs to leave a row: the journal, and what its columns are made with. It fills in no row itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::config::{Audit, Excerpts};
use crate::connectors::Catalogue;
use crate::journal::{Commit, Journal, NoEvidence};
use crate::telemetry::Metrics;

use super::redact::FingerprintKey;

/// How often a wait for a row looks whether storage has failed meanwhile.
const HEALTH_INTERVAL: Duration = Duration::from_millis(20);

/// Leaves the rows of all connections, which share it.
pub struct Recorder {
    pub(super) journal: Journal,
    pub(super) fingerprint: FingerprintKey,
    pub(super) excerpts: Excerpts,
    pub(super) connectors: ArcSwap<Catalogue>,
    pub(super) metrics: Arc<Metrics>,
    /// Longest wait for a row to be durable.
    wait_max: Duration,
    cut_off: AtomicBool,
}

impl Recorder {
    pub fn new(
        journal: Journal,
        fingerprint: FingerprintKey,
        connectors: Arc<Catalogue>,
        metrics: Arc<Metrics>,
        audit: &Audit,
    ) -> Self {
        let connectors = ArcSwap::new(connectors);
        let (wait_max, excerpts) = (audit.journal.wait_max, audit.excerpts);
        Self { journal, fingerprint, excerpts, connectors, metrics, wait_max, cut_off: AtomicBool::new(false) }
    }

    /// From now on calls are named by this catalogue.
    pub fn replace_connectors(&self, connectors: Arc<Catalogue>) {
        self.connectors.store(connectors);
    }

    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Waits until a row is durable, but not while storage fails: the row is kept in memory then, and waiting would only
    /// keep its caller from an answer.
    pub(super) async fn until_durable(&self, commit: Commit) -> Result<(), NoEvidence> {
        let deadline = Instant::now() + self.wait_max;
        let mut durable = std::pin::pin!(commit.durable());
        loop {
            if !self.journal.is_writable() {
                return Err(NoEvidence::Failed);
            }
            match tokio::time::timeout(HEALTH_INTERVAL, durable.as_mut()).await {
                Ok(result) => return result,
                Err(_) if Instant::now() >= deadline => return Err(NoEvidence::TimedOut),
                Err(_) => {}
            }
        }
    }

    /// Whether an unsettled exchange was ended by this process.
    pub(super) fn is_cut_off(&self) -> bool {
        self.cut_off.load(Ordering::Acquire)
    }

    /// From now on an unsettled exchange was ended by this process, not by its client.
    pub fn cut_off(&self) {
        self.cut_off.store(true, Ordering::Release);
    }
}
