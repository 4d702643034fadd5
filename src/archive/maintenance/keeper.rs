//! The thread that looks after sealed files while the proxy runs: one round at the start, then one every
//! `audit.maintenance_every_s`, and one when files that were replaced can go.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::pace::Pace;
use super::plan::Rules;
use super::round::{Round, RoundReport, Settled};
use crate::archive::notes::Notes;
use crate::archive::seal::Settings;
use crate::archive::signer::PublicKey;
use crate::archive::watch::Watch;
use crate::clock::now_us;

/// How long a rewrite waits to be stated. The sealing thread looks for statements once a second when it is idle, and may
/// be sealing a segment.
pub(super) const STATEMENT_WAIT_MAX: Duration = Duration::from_secs(60);

/// What was done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeeperStatus {
    pub rounds: u64,
    pub rewrites: u64,
    pub rows_removed: u64,
    /// Days that could not be worked on.
    pub failures: u64,
    /// Files without an account in the last round that found any.
    pub unknown: u64,
}

/// What the thread works with.
pub struct Duties {
    pub settings: Settings,
    pub journal_dir: PathBuf,
    pub rules: Arc<ArcSwap<Rules>>,
    pub key: PublicKey,
    pub notes: Notes,
    /// Held by whoever adds files to the dataset.
    pub lock: Arc<Mutex<()>>,
    pub watch: Watch,
}

/// Handle of the thread.
pub struct Keeper {
    stop: Arc<AtomicBool>,
    status: Arc<Mutex<KeeperStatus>>,
    /// Its end wakes the thread.
    wake: Sender<()>,
    done: Receiver<()>,
}

impl Keeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(duties: Duties) -> io::Result<Self> {
        let (stop, status) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(KeeperStatus::default())));
        let (wake, woken) = mpsc::channel();
        let (finished, done) = mpsc::sync_channel(1);
        let (stopping, counting) = (Arc::clone(&stop), Arc::clone(&status));
        let body = move || {
            work(&duties, &stopping, &counting, &woken);
            // Nobody listens unless `finish` was called.
            let _ = finished.send(());
        };
        thread::Builder::new().name("maintenance".to_owned()).spawn(body)?;
        Ok(Self { stop, status, wake, done })
    }

    /// Where to see what was done.
    #[must_use]
    pub fn status(&self) -> Arc<Mutex<KeeperStatus>> {
        Arc::clone(&self.status)
    }

    /// Ends the thread, by the deadline or later: a rewrite under way is completed at the next start if it has to be.
    pub fn finish(self, deadline: Instant) {
        self.stop.store(true, Ordering::Release);
        drop(self.wake);
        if self.done.recv_timeout(deadline.saturating_duration_since(Instant::now())) == Err(RecvTimeoutError::Timeout)
        {
            tracing::warn!("maintenance is still under way; the next start completes it");
        }
    }
}

fn work(duties: &Duties, stop: &AtomicBool, status: &Mutex<KeeperStatus>, woken: &Receiver<()>) {
    let mut settled = Settled::default();
    loop {
        let rules = duties.rules.load_full();
        let expect = |path: &Path| duties.watch.expect_change(path);
        let round = Round {
            settings: &duties.settings,
            journal_dir: &duties.journal_dir,
            rules: &rules,
            key: &duties.key,
            lock: &duties.lock,
            expect: &expect,
            progress: &|_, _| {},
            trust_clock: false,
        };
        let report = round.run(now_us(), &mut duties.notes.clone(), &mut Pace::background(stop), &mut settled);
        tell(&report);
        count(&mut status.lock().unwrap_or_else(PoisonError::into_inner), &report);
        let again = report.again.map(|again| again.saturating_duration_since(Instant::now()));
        let wait = again.map_or(rules.every, |again| again.min(rules.every));
        if stop.load(Ordering::Acquire) || woken.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

fn count(status: &mut KeeperStatus, report: &RoundReport) {
    status.rounds += 1;
    status.rewrites += report.rewrites;
    status.rows_removed += report.rows_removed;
    status.failures += report.problems.len() as u64;
    if !report.unknown.is_empty() {
        status.unknown = report.unknown.len() as u64;
    }
}

fn tell(report: &RoundReport) {
    let RoundReport { rewrites, rows_removed, files_gone, .. } = report;
    if *rewrites > 0 {
        tracing::info!(rewrites, files_gone, rows_removed, "sealed files were rewritten, as the chain states");
    }
    for path in &report.unknown {
        tracing::error!(path = %path.display(), "no entry of the chain accounts for this file; it is left where it is");
    }
    for problem in &report.problems {
        tracing::error!(%problem, "a day of the dataset stays as it is");
    }
    if let Some(believed) = report.believed.filter(|believed| !believed.wall) {
        let taken_for = crate::archive::manifest::time_text(believed.now_us);
        tracing::warn!(
            taken_for,
            "the clock is ahead of what the chain bears out: nothing is removed that is not old by then; see \
             `tollgate retention plan`"
        );
    }
}
