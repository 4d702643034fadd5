//! What the journal says of itself to those who ask: whether it can be written, and what it has done.

use std::time::Duration;

/// Whether the journal can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    Writable,
    /// It cannot, and intents are refused; it becomes writable again by itself unless it was closed.
    Failed {
        reason: String,
    },
    /// Storage has not answered the writer for this long, and intents are refused until it does.
    Stalled {
        silence: Duration,
    },
}

impl Health {
    /// Why intents are refused; `None` while they are not.
    pub fn trouble(&self) -> Option<String> {
        match self {
            Self::Writable => None,
            Self::Failed { reason } => Some(reason.clone()),
            Self::Stalled { silence } => {
                Some(format!("storage has not answered for {} ms (audit.wait_max_ms)", silence.as_millis()))
            }
        }
    }
}

/// Totals since the journal was opened, except `backlog_frames`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames made durable, carried ones not counted again.
    pub frames: u64,
    /// Commits, each one write and at most one sync.
    pub commits: u64,
    /// Bytes those commits wrote.
    pub bytes: u64,
    /// Times storage failed, attempts to come back not counted.
    pub failures: u64,
    /// Outcomes and rows that never reached storage; a `gap` row says so.
    pub lost: u64,
    /// Exchanges that went on without durable evidence.
    pub waived: u64,
    /// Outcomes refused because no intent with their event id is open.
    pub unmatched: u64,
    /// Frames waiting now.
    pub backlog_frames: u64,
    /// Largest `seq` made durable; 0 before the first row.
    pub last_seq: u64,
}
