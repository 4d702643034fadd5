//! What happens to sealed files later: closed days are compacted, old ones removed, legal holds kept.
//!
//! In data-flow order: [`plan`] says what is due, `stock` what the chain says of the files, `merge` and `stage` make a
//! rewrite ready, an entry of the chain states it, `swap` does it. `round` goes over the days, [`keeper`] is the thread that
//! does so now and then. `lists` takes away lists of rows that nothing needs any more. `clock` says how far the wall clock is
//! believed, [`holds`] what is held.
//!
//! A file is deleted only if its bytes are those that an entry states as rewritten. Done again after a crash at any step,
//! it completes what was begun. See `docs/decisions/0015-retention-and-compaction.md`.

use std::path::PathBuf;

use super::chain::{Chain, ChainError};
use super::file::FileError;
use super::manifest::Start;
use super::notes::{Notes, NotesError};
use super::sealed::SealedError;
use super::statement::Statement;
use crate::clock::now_us;
use crate::journal::segment::ReadError;

mod clock;
mod day;
pub mod holds;
pub mod keeper;
mod lists;
mod merge;
mod pace;
mod pack;
pub mod plan;
mod round;
mod stage;
pub mod stock;
mod survey;
mod swap;

pub use clock::Believed;
pub use holds::{HoldSubject, LegalHold};
pub use keeper::{Keeper, KeeperStatus};
pub use pace::Pace;
pub use plan::Rules;
pub use round::{Problem, Round, RoundReport, Settled};
pub use survey::{DayPlan, Due, survey};

/// Why a day stays as it is. Nothing is lost in any case.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{} was modified since it was signed for: it is left as it is; run `tollgate verify`", .0.display())]
    Modified(PathBuf),
    #[error("{} {source}", path.display())]
    Unreadable { path: PathBuf, source: SealedError },
    #[error("{} has rows that are not those signed for: it is left as it is; run `tollgate verify`", .0.display())]
    OtherRows(PathBuf),
    #[error("{} is not sorted by event_time and seq: it is left as it is", .0.display())]
    NotSorted(PathBuf),
    #[error(
        "rows of another schema version are held and cannot be written as they were: their files are left as they are"
    )]
    OtherSchema,
    #[error("{}: more ranges of rows lie between held rows than one entry can name: hold more of them, or fewer", .0.display())]
    TooManyRanges(PathBuf),
    #[error("{} is not a file: move it out of the dataset", .0.display())]
    NotAFile(PathBuf),
    #[error("the journal cannot be read, and may have rows of the day: {0}")]
    Journal(#[from] ReadError),
    #[error("a journal segment is damaged and may have rows of the day; restart Tollgate to repair it")]
    JournalDamaged,
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error(transparent)]
    Notes(#[from] NotesError),
    /// The process is about to end.
    #[error("stopped before the end")]
    Stopped,
}

/// Where a rewrite is stated before it is done.
pub trait Ledger {
    /// Durable when it returns `Ok`. After an error it may be written all the same.
    fn state(&mut self, start: &Start, statement: Statement) -> Result<(), RewriteError>;
}

impl Ledger for Chain {
    fn state(&mut self, start: &Start, statement: Statement) -> Result<(), RewriteError> {
        self.append(start, now_us(), statement)?;
        Ok(())
    }
}

/// Through the thread that owns the chain.
impl Ledger for Notes {
    fn state(&mut self, start: &Start, statement: Statement) -> Result<(), RewriteError> {
        self.append(start.clone(), statement, keeper::STATEMENT_WAIT_MAX)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
