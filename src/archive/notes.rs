//! What other threads have to say in the chain, on its way to the thread that owns it.
//!
//! The queue is bounded. A note that does not fit, or that cannot be written before the process ends, is counted and
//! logged: a chain without it is still whole, and says less.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::time::Duration;

use super::chain::Head;
use super::manifest::Start;
use super::statement::Statement;

/// Notes that wait at most. They are rare: reloads by hand, a rewrite at a time.
const NOTES_MAX: usize = 64;

/// Why a statement is not, or not known to be, in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotesError {
    #[error("too many statements wait for the chain already")]
    Full,
    #[error("the sealing thread has ended")]
    Closed,
    /// It may still be written.
    #[error("the statement was not written to the chain in time")]
    TimedOut,
}

/// One statement on its way.
#[derive(Debug)]
pub(super) struct Note {
    /// The start whose rows it is about; `None` for the one that runs.
    pub(super) start: Option<Start>,
    pub(super) statement: Statement,
    /// Who waits for it to be durable.
    pub(super) written: Option<SyncSender<Head>>,
}

impl Note {
    /// Tells whoever waits that the statement is durable.
    pub(super) fn answer(&self, head: Head) {
        if let Some(written) = &self.written {
            // Whoever asked may have stopped waiting, which is fine.
            let _ = written.try_send(head);
        }
    }
}

/// Counts statements that did not get into the chain.
#[derive(Clone, Debug, Default)]
pub(super) struct Loss(Arc<AtomicU64>);

impl Loss {
    pub(super) fn count(&self, kind: &'static str, error: &dyn std::error::Error) {
        self.0.fetch_add(1, Ordering::Relaxed);
        tracing::error!(kind, %error, "a statement is missing from the chain");
    }
}

/// The sending end; cheap to clone.
#[derive(Clone, Debug)]
pub struct Notes {
    sender: SyncSender<Note>,
    loss: Loss,
}

/// A queue of notes.
pub(super) fn queue() -> (Notes, Receiver<Note>) {
    let (sender, receiver) = mpsc::sync_channel(NOTES_MAX);
    (Notes { sender, loss: Loss::default() }, receiver)
}

impl Notes {
    /// Hands over a statement about the running start, without waiting. What cannot be taken is counted and logged.
    pub fn send(&self, statement: Statement) {
        let kind = statement.kind();
        if let Err(error) = self.push(Note { start: None, statement, written: None }) {
            self.loss.count(kind, &error);
        }
    }

    /// Hands over a statement about the rows of `start` and waits until it is durable in the chain. For work that may
    /// only be done once it has been stated.
    pub fn append(&self, start: Start, statement: Statement, wait_max: Duration) -> Result<Head, NotesError> {
        let (written, done) = mpsc::sync_channel(1);
        self.push(Note { start: Some(start), statement, written: Some(written) })?;
        done.recv_timeout(wait_max).map_err(|error| match error {
            RecvTimeoutError::Timeout => NotesError::TimedOut,
            RecvTimeoutError::Disconnected => NotesError::Closed,
        })
    }

    /// Statements that did not get into the chain, since the start.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.loss.0.load(Ordering::Relaxed)
    }

    pub(super) fn loss(&self) -> Loss {
        self.loss.clone()
    }

    fn push(&self, note: Note) -> Result<(), NotesError> {
        self.sender.try_send(note).map_err(|error| match error {
            TrySendError::Full(_) => NotesError::Full,
            TrySendError::Disconnected(_) => NotesError::Closed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::samples;

    fn refused(problems: u64) -> Statement {
        Statement::RefusedReload(samples::refused("p", problems))
    }

    #[test]
    fn what_does_not_fit_is_counted_and_the_rest_arrives_in_order() {
        let (notes, arriving) = queue();
        for problems in 0..NOTES_MAX as u64 + 3 {
            notes.send(refused(problems));
        }
        assert_eq!(notes.lost(), 3);
        let arrived: Vec<Statement> = arriving.try_iter().map(|note| note.statement).collect();
        assert_eq!(arrived, (0..NOTES_MAX as u64).map(refused).collect::<Vec<_>>());
        drop(arriving);
        notes.send(refused(0));
        assert_eq!(notes.lost(), 4);
    }

    #[test]
    fn whoever_waits_is_told_that_nobody_writes() {
        let (notes, arriving) = queue();
        let start = Start { instance_id: "a".to_owned(), epoch: 1 };
        let answer = notes.append(start.clone(), refused(1), Duration::from_millis(1));
        assert_eq!(answer, Err(NotesError::TimedOut));
        drop(arriving);
        assert_eq!(notes.append(start, refused(1), Duration::from_secs(60)), Err(NotesError::Closed));
    }
}
