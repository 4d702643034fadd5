//! The write-ahead journal: evidence is here before the first byte goes upstream.
//!
//! An exchange is journaled in two steps, [`Journal::intend`] before traffic and [`Journal::settle`] after, or in one,
//! [`Journal::record`], when nothing went upstream. One thread writes; everybody else queues. Segments are closed after
//! a while and their paths handed to whoever opened the journal, to be sealed elsewhere: this module knows nothing of
//! Parquet.
//!
//! Layers, one a file: `frame` (bytes), `segment` (one file), `queue` (what waits for the writer), `log` (the writer
//! thread), `waiters` (who is told when), `roll` (from one segment to the next), `failover` (the writer when storage fails), `watchdog` (storage that
//! does not answer), `recover` (start-up). Beside them: `gap` (rows for what was lost), `health` (what is told outside), `condense` (records too large for a
//! frame), `event_ids` (a map by them), `platform` (system calls tests replace), `settings`.
//!
//! The caller must keep a second process from using the directory, and give each start a new epoch.

mod condense;
mod event_ids;
mod failover;
mod frame;
mod gap;
mod health;
mod log;
mod pace;
mod platform;
mod queue;
mod recover;
mod roll;
pub mod segment;
mod settings;
mod waiters;
mod watchdog;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;
use uuid::Uuid;

use crate::record::{Intent, Outcome, Writer};
use frame::Payload;
use platform::{Kernel, Platform};
use queue::{Entry, Queue};

pub use frame::{EncodeError, HeaderFault};
pub use health::{Counters, Health};
pub use log::Failure;
pub use recover::{RecoverError, Recovery, Repair, recover};
pub use settings::{Durability, OnFailure, Settings, SettingsError};

/// How often a stop looks whether storage still answers. No setting: how long it waits for storage that does not is
/// `audit.wait_max_ms`, and this only says how exactly that is kept.
const CLOSE_LOOK_GAP: Duration = Duration::from_millis(20);

/// Why there is no durable evidence of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoEvidence {
    /// Storage failed; the journal retries by itself. See [`Journal::health`].
    #[error("the audit journal cannot be written")]
    Failed,
    /// The frame was not durable in time. It may become durable later.
    #[error("the audit journal did not answer in time")]
    TimedOut,
    /// As much as the settings allow waits to be written already.
    #[error("the audit journal's backlog is full")]
    BacklogFull,
    /// The record is larger than a frame may be.
    #[error("the record is larger than an audit journal frame may be")]
    TooLarge,
    /// There is no open intent with this event id, so an outcome for it would not make a row.
    #[error("the audit journal has no open intent for this outcome")]
    NoIntent,
    /// The journal is closed.
    #[error("the audit journal is closed")]
    Closed,
}

/// Why the journal could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("cannot use journal directory {}: {source}; check that it exists and is writable", dir.display())]
    Directory { dir: PathBuf, source: std::io::Error },
    #[error("journal directory {} already has segments of epoch {epoch}; every start needs a new epoch", dir.display())]
    EpochUsed { dir: PathBuf, epoch: u64 },
    #[error("cannot start the journal: {0}; check that its directory is writable and has space")]
    Storage(#[from] Failure),
    #[error("cannot start the journal's thread: {0}")]
    Thread(std::io::Error),
}

/// Why the journal could not be closed cleanly.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// Storage failed and did not come back. What was durable before is recovered at the next start.
    #[error("the audit journal could not be closed, {frames_lost} records were not written: {failure}")]
    Storage { failure: Failure, frames_lost: usize },
    /// Storage did not answer. What it has taken is recovered at the next start.
    #[error(
        "the audit journal could not be closed, its storage does not answer; {frames_lost} records were not written"
    )]
    Stalled { frames_lost: u64 },
    #[error("the audit journal's thread ended unexpectedly")]
    Thread,
}

/// A handle to the journal; cheap to clone.
#[derive(Clone, Debug)]
pub struct Journal {
    queue: Arc<Queue>,
    settings: Arc<Settings>,
}

/// The journal's thread. Dropping this leaves the thread running; [`JournalThread::close`] ends it.
#[derive(Debug)]
pub struct JournalThread {
    queue: Arc<Queue>,
    thread: JoinHandle<Result<(), CloseError>>,
    /// Disconnected when the thread is at its end.
    ended: mpsc::Receiver<()>,
}

/// Says that an exchange goes on without durable evidence. Only a journal whose settings say [`OnFailure::Continue`]
/// makes one, and only while storage fails.
#[derive(Debug)]
pub struct Waiver(());

/// A frame on its way to storage. It gets there whether or not anybody waits.
#[derive(Debug)]
pub struct Commit {
    state: CommitState,
}

/// What the writer says of one frame; the sender is gone if the writer is.
type Answer = oneshot::Receiver<Result<(), NoEvidence>>;

#[derive(Debug)]
enum CommitState {
    Waiting {
        done: Answer,
        queue: Arc<Queue>,
    },
    Refused(NoEvidence),
    #[cfg(feature = "bench-without-evidence")]
    Discarded,
}

impl Commit {
    /// Waits until the frame is durable. There is no limit on the wait: after a storage failure it lasts until
    /// storage is back, so a caller that cannot wait sets its own.
    pub async fn durable(self) -> Result<(), NoEvidence> {
        match self.state {
            CommitState::Waiting { done, queue } => {
                queue.hurry();
                done.await.unwrap_or(Err(NoEvidence::Closed))
            }
            CommitState::Refused(reason) => Err(reason),
            #[cfg(feature = "bench-without-evidence")]
            CommitState::Discarded => Ok(()),
        }
    }
}

/// Creates the first segment and starts the writer thread. Run [`recover()`] first. Paths of closed segments that have
/// rows are sent to `closed`, each once, oldest first; nobody listening is not an error. Of such a segment only the
/// rows count; its open intents are in a later one.
pub fn open(
    settings: Settings,
    writer: Writer,
    closed: mpsc::Sender<PathBuf>,
) -> Result<(Journal, JournalThread), OpenError> {
    open_on(Kernel, settings, writer, closed)
}

fn open_on<P: Platform>(
    platform: P,
    settings: Settings,
    writer: Writer,
    closed: mpsc::Sender<PathBuf>,
) -> Result<(Journal, JournalThread), OpenError> {
    settings.check()?;
    let settings = Arc::new(settings);
    let queue = Arc::new(Queue::new(&settings));
    let log = log::Log::start(platform, Arc::clone(&settings), writer, Arc::clone(&queue), closed)?;
    let (running, ended) = mpsc::sync_channel(0);
    let write = move || {
        let _running: mpsc::SyncSender<()> = running;
        log.run()
    };
    let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(write).map_err(OpenError::Thread)?;
    let (watched, wait_max) = (Arc::downgrade(&queue), settings.wait_max);
    let watch = move || watchdog::watch(&watched, wait_max);
    std::thread::Builder::new().name("journal-watch".to_owned()).spawn(watch).map_err(OpenError::Thread)?;
    let journal = Journal { queue: Arc::clone(&queue), settings };
    Ok((journal, JournalThread { queue, thread, ended }))
}

impl Journal {
    /// From now on those who wait for a frame wait in this runtime; all of a commit are woken there at once. Without it they
    /// are woken one by one.
    pub fn waiters_are_in(&self, runtime: tokio::runtime::Handle) {
        self.queue.waiters().are_in(runtime);
    }

    /// Journals that an exchange is about to begin; durable when this returns `Ok`.
    ///
    /// Whoever gets `Ok` must [`settle`](Self::settle) the exchange. Whoever gets an error, or drops the future, must
    /// [`record`](Self::record) it instead: the intent may be in the journal all the same, and the row supersedes it.
    pub async fn intend(&self, intent: &Intent) -> Result<(), NoEvidence> {
        #[cfg(feature = "bench-without-evidence")]
        if self.settings.durability == Durability::Off {
            return Ok(());
        }
        let payload =
            Payload::intent(intent, self.settings.frame_bytes_max).map_err(|error| NoEvidence::from(&error))?;
        let (entry, done) = entry(intent.event_id, payload);
        self.queue.push_intent(entry)?;
        match tokio::time::timeout(self.settings.wait_max, done).await {
            Ok(answer) => answer.unwrap_or(Err(NoEvidence::Closed)),
            Err(_elapsed) => Err(NoEvidence::TimedOut),
        }
    }

    /// Journals how an exchange ended whose intent is durable. Never blocks, so it can be called from `Drop`.
    ///
    /// While storage fails the frame is kept in memory until storage is back or the backlog is full; what
    /// does not fit is counted and becomes a row of outcome `gap`.
    pub fn settle(&self, event_id: Uuid, outcome: &Outcome) -> Commit {
        #[cfg(feature = "bench-without-evidence")]
        if self.settings.durability == Durability::Off {
            return Commit { state: CommitState::Discarded };
        }
        let payload = condense::outcome(event_id, outcome, self.settings.frame_bytes_max);
        self.push_settled(event_id, payload, outcome.end_time_us)
    }

    /// Journals a whole exchange in one frame: one that was refused, or whose intent could not be made durable.
    /// Never blocks; kept while storage fails as with [`settle`](Self::settle).
    pub fn record(&self, intent: &Intent, outcome: &Outcome) -> Commit {
        #[cfg(feature = "bench-without-evidence")]
        if self.settings.durability == Durability::Off {
            return Commit { state: CommitState::Discarded };
        }
        let payload = condense::row(intent, outcome, self.settings.frame_bytes_max);
        self.push_settled(intent.event_id, payload, outcome.end_time_us)
    }

    fn push_settled(&self, event_id: Uuid, payload: Result<Payload, EncodeError>, time_us: i64) -> Commit {
        match payload {
            Ok(payload) => {
                let (entry, done) = entry(event_id, payload);
                self.queue.push_settled(entry, time_us);
                Commit { state: CommitState::Waiting { done, queue: Arc::clone(&self.queue) } }
            }
            Err(error) => {
                self.queue.count_lost(1, time_us);
                Commit { state: CommitState::Refused(NoEvidence::from(&error)) }
            }
        }
    }

    /// Lets an exchange go on for which there is no evidence for this reason, if that is what the settings say. It is
    /// counted, and [`record`](Self::record) keeps its row as it does any other while storage fails.
    ///
    /// # Errors
    /// The reason, when calls are to be refused, and when it is not that storage fails.
    pub fn waive(&self, reason: NoEvidence) -> Result<Waiver, NoEvidence> {
        match reason {
            NoEvidence::Failed | NoEvidence::TimedOut | NoEvidence::BacklogFull => {}
            NoEvidence::TooLarge | NoEvidence::NoIntent | NoEvidence::Closed => return Err(reason),
        }
        match self.settings.on_failure {
            OnFailure::Refuse | OnFailure::Shutdown => Err(reason),
            OnFailure::Continue => {
                self.queue.count_waived();
                Ok(Waiver(()))
            }
        }
    }

    /// Whether calls can be served now: there can be evidence of them, or they are served without.
    pub fn admits(&self) -> Result<(), NoEvidence> {
        if self.is_writable() || self.settings.on_failure == OnFailure::Continue {
            Ok(())
        } else {
            Err(NoEvidence::Failed)
        }
    }

    /// Resolves with the trouble once storage failed or stalled and the process is to stop for it
    /// ([`OnFailure::Shutdown`]); never otherwise.
    pub async fn gives_up(&self) -> String {
        match self.settings.on_failure {
            OnFailure::Shutdown => self.queue.trouble().await,
            OnFailure::Refuse | OnFailure::Continue => std::future::pending().await,
        }
        self.health().trouble().unwrap_or_else(|| "storage failed for a moment".to_owned())
    }

    /// Whether intents can be written now. Costs nothing.
    pub fn is_writable(&self) -> bool {
        self.queue.is_writable()
    }

    /// Whether intents can be written now, and if not, why.
    pub fn health(&self) -> Health {
        self.queue.health()
    }

    pub fn counters(&self) -> Counters {
        self.queue.counters()
    }
}

fn entry(event_id: Uuid, payload: Payload) -> (Entry, Answer) {
    let (done, answer) = oneshot::channel();
    (Entry { event_id, payload, done }, answer)
}

impl From<&EncodeError> for NoEvidence {
    fn from(error: &EncodeError) -> Self {
        match error {
            // Postcard has no other way to fail for the record types than running out of room.
            EncodeError::TooLarge { .. } | EncodeError::Postcard(_) => Self::TooLarge,
        }
    }
}

impl JournalThread {
    /// Writes what is queued, closes the segment, hands it over and ends the thread. Intents still open stay in a
    /// segment that is not closed; [`recover()`] settles them at the next start.
    /// Does not wait for storage that has stopped answering.
    pub fn close(self) -> Result<(), CloseError> {
        self.queue.stop();
        while self.ended.recv_timeout(CLOSE_LOOK_GAP) == Err(RecvTimeoutError::Timeout) {
            if self.queue.is_given_up() {
                return Err(CloseError::Stalled { frames_lost: self.queue.counters().backlog_frames });
            }
        }
        self.thread.join().unwrap_or(Err(CloseError::Thread))
    }
}

#[cfg(test)]
mod tests;
