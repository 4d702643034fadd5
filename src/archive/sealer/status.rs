//! What the sealing thread and its handle share: how far it is, and what it is asked to do.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::archive::anchor::Outbox;
use crate::archive::notes::Notes;
use crate::archive::statement::StopStatement;

/// What the sealer has done since it started, for metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Files written.
    pub files: u64,
    /// Rows in those files.
    pub rows: u64,
    /// Bytes of those files.
    pub bytes: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// The latest failure; `None` once everything is sealed.
    pub last_error: Option<String>,
    /// Segments taken over and not sealed yet.
    pub backlog: usize,
    /// Whether the thread is running.
    pub running: bool,
    /// Entries this start added to the chain.
    pub entries: u64,
    /// Index of the last entry of the chain.
    pub head_index: u64,
    /// When the last entry was written, microseconds since the Unix epoch.
    pub last_entry_us: i64,
    /// Statements that are missing from the chain.
    pub notes_lost: u64,
    /// Deliveries of anchors that failed.
    pub anchor_failures: u64,
}

#[derive(Default)]
pub(super) struct Shared {
    progress: Mutex<Progress>,
    pub(super) finishing: AtomicBool,
    /// What the chain says last.
    pub(super) stop: Mutex<Option<StopStatement>>,
    /// Tells the largest durable `seq` of this start.
    pub(super) last_seq: OnceLock<LastSeq>,
    /// Where the head of the chain is anchored.
    pub(super) outbox: OnceLock<Outbox>,
    /// Held while one or the other changes the dataset.
    pub(super) dataset: Arc<Mutex<()>>,
}

pub(super) type LastSeq = Box<dyn Fn() -> u64 + Send + Sync>;

#[derive(Default)]
pub(super) struct Progress {
    pub(super) status: Status,
    pub(super) pending: Vec<PathBuf>,
}

impl Progress {
    /// With nothing left to seal, the latest failure is over.
    pub(super) fn set_backlog(&mut self, backlog: usize) {
        self.status.backlog = backlog;
        if backlog == 0 {
            self.status.last_error = None;
        }
    }
}

impl Shared {
    pub(super) fn take_stop(&self) -> Option<StopStatement> {
        self.stop.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn update<T>(&self, change: impl FnOnce(&mut Progress) -> T) -> T {
        change(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Tells the status of the sealing thread.
#[derive(Clone)]
pub struct SealingStatus {
    pub(super) shared: Arc<Shared>,
    pub(super) notes: Notes,
}

impl SealingStatus {
    /// Counters since the start.
    #[must_use]
    pub fn now(&self) -> Status {
        Status {
            notes_lost: self.notes.lost(),
            anchor_failures: self.shared.outbox.get().map_or(0, Outbox::failures),
            ..self.shared.update(|progress| progress.status.clone())
        }
    }
}
