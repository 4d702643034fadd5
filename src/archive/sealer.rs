//! The thread that seals closed journal segments and owns the chain.
//!
//! One segment at a time; a segment file is deleted only when all its rows are in durable files of the dataset, and the
//! chain has a durable entry for each of them. A segment that fails stays where it is, is tried again with growing
//! waits, and does not hold up the ones behind it. Nothing here stops the proxy: evidence that cannot be sealed is
//! still evidence in the journal.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::anchor::Outbox;
use super::chain::{Chain, ChainError};
use super::file::FileError;
use super::manifest::Start;
use super::notes::{self, Notes};
use super::seal::{self, Sealed, Settings};
use super::signer::Signer;
use super::statement::{StartStatement, Statement, StopStatement};
use crate::clock::now_us;
use crate::journal::segment::SegmentBytes;

mod quiet;
pub(super) mod reader;
pub(super) mod segment;
mod statements;
mod status;

use quiet::{Observation, Quiet};
use reader::{ReadSegment, Reader};
use segment::SegmentError;
use statements::Statements;
use status::Shared;
pub use status::{SealingStatus, Status};

/// First wait after a failure; doubled up to [`Settings::retry_max`].
const RETRY_MIN: Duration = Duration::from_millis(100);
/// Shortest wait whatever the settings say, so that a failure never becomes a busy loop.
const RETRY_FLOOR: Duration = Duration::from_millis(1);
/// Longest sleep of the idle thread: how late it notices [`Sealer::finish`] while a channel end is still held.
const IDLE_MAX: Duration = Duration::from_secs(1);

/// Why the thread did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// What the chain says of this start before anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    pub start: Start,
    pub statement: StartStatement,
}

/// What was not sealed when [`Sealer::finish`] returned. The segments stay in the journal for the next start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsealed {
    pub segments: Vec<PathBuf>,
    /// Whether the thread was still sealing at the deadline; the list is then what was known before.
    pub deadline_passed: bool,
}

/// Handle of the sealing thread.
pub struct Sealer {
    shared: Arc<Shared>,
    thread: thread::JoinHandle<()>,
    done: Receiver<()>,
    notes: Notes,
}

impl Sealer {
    /// Prepares the directories, states the start in the chain, durably, and starts the thread, which seals every
    /// segment whose path arrives on `closed`. Nothing may be appended to those segments any more, and their open
    /// intents must be carried in another one. `signer` signs.
    pub fn start(
        settings: Settings,
        signer: Signer,
        opening: Opening,
        closed: Receiver<PathBuf>,
    ) -> Result<Self, StartError> {
        Self::start_reading(settings, signer, opening, SegmentBytes::read, closed)
    }

    fn start_reading(
        settings: Settings,
        signer: Signer,
        opening: Opening,
        read: ReadSegment,
        closed: Receiver<PathBuf>,
    ) -> Result<Self, StartError> {
        seal::prepare(&settings)?;
        let mut chain = Chain::open(settings.clone(), signer)?;
        let Opening { start, statement } = opening;
        chain.append(&start, now_us(), Statement::Start(statement))?;
        let shared = Arc::new(Shared::default());
        let (finished, done) = mpsc::sync_channel(1);
        let (notes, arriving) = notes::queue();
        let statements = Statements::new(chain, start, arriving, notes.loss());
        let queue = VecDeque::new();
        let quiet = Quiet::new(settings.heartbeat);
        let (connected, anchored) = (true, Anchored::default());
        let (reader, shared_work) = (Reader::new(read), Arc::clone(&shared));
        let mut work =
            Work { settings, statements, reader, closed, connected, queue, shared: shared_work, quiet, anchored };
        let body = move || {
            work.run();
            // Whoever is told that this is the end finds the channels closed.
            drop(work);
            // Nobody listens unless `finish` was called.
            let _ = finished.send(());
        };
        let thread = thread::Builder::new().name("sealer".to_owned()).spawn(body);
        let thread = thread.map_err(FileError::io("starting the sealing thread for", Path::new("audit")))?;
        Ok(Self { shared, thread, done, notes })
    }

    /// Where other threads hand over what the chain is to say.
    #[must_use]
    pub fn notes(&self) -> Notes {
        self.notes.clone()
    }

    /// From now on the chain says when there was no row for [`Settings::heartbeat`]. `last_seq` tells the largest durable
    /// `seq` of this start, 0 before the first. To be called once.
    pub fn begin_heartbeats(&self, last_seq: impl Fn() -> u64 + Send + Sync + 'static) {
        let _ = self.shared.last_seq.set(Box::new(last_seq));
    }

    /// From now on the head of the chain is handed to `outbox`, at most once in [`Settings::anchor_every`], and once
    /// more when the sealer finishes. To be called once.
    pub fn begin_anchoring(&self, outbox: Outbox) {
        let _ = self.shared.outbox.set(outbox);
    }

    /// Counters since the start.
    pub fn status(&self) -> Status {
        Status { running: !self.thread.is_finished(), ..self.sealing_status().now() }
    }

    /// To be held by whoever else changes the dataset; nothing is sealed meanwhile.
    #[must_use]
    pub fn dataset_lock(&self) -> Arc<Mutex<()>> {
        Arc::clone(&self.shared.dataset)
    }

    /// For those who want to know the status as long as the sealer runs; cheap to clone.
    #[must_use]
    pub fn sealing_status(&self) -> SealingStatus {
        SealingStatus { shared: Arc::clone(&self.shared), notes: self.notes.clone() }
    }

    /// Seals what has arrived, trying each segment once more, states the stop, and reports what is left at the deadline
    /// at the latest. Call it after the journal is closed; segments sent later may be missed and are sealed at the next
    /// start.
    pub fn finish(self, deadline: Instant, stop: StopStatement) -> Unsealed {
        *self.shared.stop.lock().unwrap_or_else(PoisonError::into_inner) = Some(stop);
        self.shared.finishing.store(true, Ordering::Release);
        self.thread.thread().unpark();
        let waited = self.done.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        let segments = self.shared.update(|progress| progress.pending.clone());
        Unsealed { segments, deadline_passed: waited == Err(RecvTimeoutError::Timeout) }
    }
}

/// A segment waiting to be sealed.
struct Pending {
    segment: PathBuf,
    due: Instant,
    wait: Duration,
}

/// The state of the thread.
struct Work {
    settings: Settings,
    statements: Statements,
    reader: Reader,
    closed: Receiver<PathBuf>,
    connected: bool,
    queue: VecDeque<Pending>,
    shared: Arc<Shared>,
    quiet: Quiet,
    anchored: Anchored,
}

/// What was last handed over to be anchored.
#[derive(Default)]
struct Anchored {
    index: Option<u64>,
    when: Option<Instant>,
}

impl Work {
    fn run(&mut self) {
        self.shared.update(|progress| progress.status.running = true);
        self.seal_until_finished();
        self.publish_chain();
        self.shared.update(|progress| progress.status.running = false);
    }

    fn seal_until_finished(&mut self) {
        loop {
            let finishing = self.shared.finishing.load(Ordering::Acquire);
            // Before the files: what was in force is stated before the rows it applied to.
            if let Err(error) = self.statements.write_arrived() {
                self.fail(format!("the chain: {error}"));
            }
            self.take_arrived();
            self.seal_due(finishing);
            if finishing {
                self.statements.write_stop(self.shared.take_stop());
                return self.anchor(true);
            }
            if !self.connected && self.queue.is_empty() && !self.statements.expected() {
                return;
            }
            self.reader.release_idle(Instant::now());
            self.state_quiet();
            self.anchor(false);
            self.publish_chain();
            self.wait();
        }
    }

    fn anchor(&mut self, last: bool) {
        let due = self.anchored.when.is_none_or(|when| when.elapsed() >= self.settings.anchor_every);
        if let Some(outbox) = self.shared.outbox.get().filter(|_| due || last) {
            self.anchored.index = self.statements.anchor(outbox, self.anchored.index);
            self.anchored.when = Some(Instant::now());
        }
    }

    fn state_quiet(&mut self) {
        let Some(last_seq) = self.shared.last_seq.get() else { return };
        let seen = Observation { before_us: now_us(), last_seq: last_seq(), after_us: now_us() };
        let Some(heartbeat) = self.quiet.observe(seen) else { return };
        match self.statements.write_heartbeat(heartbeat) {
            Ok(()) => self.quiet.said(seen),
            Err(error) => self.fail(format!("the chain: {error}")),
        }
    }

    /// Takes over all segments that have arrived, without waiting.
    fn take_arrived(&mut self) {
        while let Ok(segment) = self.closed.try_recv() {
            self.enqueue(segment);
        }
        self.publish_queue();
    }

    fn enqueue(&mut self, segment: PathBuf) {
        self.queue.push_back(Pending { segment, due: Instant::now(), wait: RETRY_MIN });
    }

    /// Tries each queued segment that is due, or every one when `all`, once.
    fn seal_due(&mut self, all: bool) {
        for _ in 0..self.queue.len() {
            let Some(pending) = self.queue.pop_front() else { break };
            if !all && pending.due > Instant::now() {
                self.queue.push_back(pending);
                continue;
            }
            match self.seal_segment(&pending.segment) {
                Ok(()) => tracing::debug!(segment = %pending.segment.display(), "sealed"),
                Err(error) => self.postpone(pending, &error),
            }
            self.shared.update(|progress| progress.set_backlog(self.queue.len()));
        }
        self.publish_queue();
    }

    fn seal_segment(&mut self, segment: &Path) -> Result<(), SegmentError> {
        let Some(bytes) = self.reader.read(segment)? else { return Ok(()) };
        let sealed = self.seal_bytes(segment, &bytes);
        self.reader.reuse(bytes, Instant::now());
        sealed
    }

    fn seal_bytes(&mut self, segment: &Path, bytes: &SegmentBytes) -> Result<(), SegmentError> {
        let rows = bytes.rows()?;
        let dataset = Arc::clone(&self.shared.dataset);
        let _held = dataset.lock().unwrap_or_else(PoisonError::into_inner);
        let written = seal::seal(&self.settings, &rows)?;
        self.count(&written);
        segment::settle(&mut self.statements.chain, segment, &rows, &written)
    }

    fn count(&self, sealed: &[Sealed]) {
        self.shared.update(|progress| {
            for file in sealed {
                progress.status.files += 1;
                progress.status.rows += file.rows() as u64;
                progress.status.bytes += file.bytes();
            }
        });
    }

    fn postpone(&mut self, failed: Pending, error: &SegmentError) {
        let Pending { segment, wait, .. } = failed;
        let wait = wait.min(self.settings.retry_max).max(RETRY_FLOOR);
        tracing::error!(segment = %segment.display(), %error, retry_in = ?wait, "segment not sealed; it is kept");
        self.fail(format!("{}: {error}", segment.display()));
        self.queue.push_back(Pending { segment, due: Instant::now() + wait, wait: wait.saturating_mul(2) });
    }

    fn fail(&self, what: String) {
        self.shared.update(|progress| {
            progress.status.failures += 1;
            progress.status.last_error = Some(what);
        });
    }

    fn publish_chain(&self) {
        let (head_index, added, last_entry_us) = self.statements.written();
        self.shared.update(|progress| {
            progress.status.head_index = head_index;
            progress.status.entries = added;
            progress.status.last_entry_us = last_entry_us;
        });
    }

    fn publish_queue(&self) {
        self.shared.update(|progress| {
            progress.pending = self.queue.iter().map(|pending| pending.segment.clone()).collect();
            progress.set_backlog(self.queue.len());
        });
    }

    /// Sleeps until a segment arrives, one is due, or [`Sealer::finish`] is called.
    fn wait(&mut self) {
        let due = self.queue.iter().map(|pending| pending.due.saturating_duration_since(Instant::now())).min();
        let wait = due.map_or(IDLE_MAX, |due| due.min(IDLE_MAX));
        if !self.connected {
            thread::park_timeout(wait);
            return;
        }
        match self.closed.recv_timeout(wait) {
            Ok(segment) => self.enqueue(segment),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.connected = false,
        }
    }
}

#[cfg(test)]
mod tests;
