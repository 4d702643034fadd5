//! What `tollgate records` does: the newest rows that match, from the journal and the sealed files.
//!
//! Read-only, without the proxy and, except for URLs to look up, without keys, on a live data directory or a copy. The journal is read first: a
//! segment that is sealed meanwhile then shows up twice and is counted once, while the other order could miss it.
//! Damage is reported and does not keep the rest from being found.

use std::io;
use std::path::{Path, PathBuf};

use crate::archive::dataset::{self, EventDate};
use crate::archive::sealed::SealedError;
use crate::journal::segment::{self, Contents, Damage, ReadError};
use crate::record::Row;

mod newest;
pub mod print;
mod query;
mod removed;
mod scan;
pub mod sought;
pub mod time;

pub use query::{HostError, HostFilter, Query};

use newest::Newest;
pub use removed::Removed;

/// How often a day is read while its files are rewritten.
const ATTEMPTS_MAX: usize = 3;

/// Reads one segment: [`segment::read`], except in tests.
type ReadSegment = fn(&Path) -> Result<Contents, ReadError>;

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// Newest first, at most [`Query::limit`], each event once.
    pub rows: Vec<Row>,
    /// What could not be read. Rows may be missing from there.
    pub problems: Vec<Problem>,
    /// Rows of the asked time that retention removed, if a beginning was asked for.
    pub removed: Option<Removed>,
}

/// A file or directory that could not be read, or not entirely.
#[derive(Debug, thiserror::Error)]
#[error("{path} {fault}")]
pub struct Problem {
    pub path: PathBuf,
    pub fault: Fault,
}

/// What is wrong with a file or directory.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("cannot be listed: {0}")]
    List(io::Error),
    #[error("cannot be read: {0}")]
    Segment(ReadError),
    /// The rows before and after the damage were found.
    #[error("is damaged: {0} bytes of it cannot be read; restart Tollgate to repair it and record what is missing")]
    DamagedSegment(u64),
    #[error(transparent)]
    Sealed(#[from] SealedError),
}

/// Why a search could not begin.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    #[error("{path} is not a data directory (it has neither `audit` nor `journal`): name it with --data-dir")]
    NoDataDir { path: PathBuf },
    #[error("{path} cannot be listed: {source}; run as a user who may read the audit data")]
    List { path: PathBuf, source: io::Error },
}

/// Finds the newest rows of `data_dir` that match `query`.
///
/// Sealed files are read newest day first and only as far as [`Query::limit`] needs. Exchanges still in progress have
/// no row yet.
pub fn run(data_dir: &Path, query: &Query) -> Result<Found, SearchError> {
    run_reading(data_dir, query, segment::read)
}

fn run_reading(data_dir: &Path, query: &Query, read: ReadSegment) -> Result<Found, SearchError> {
    let (journal_dir, audit_dir) = (data_dir.join("journal"), data_dir.join("audit"));
    if !journal_dir.is_dir() && !audit_dir.is_dir() {
        return Err(SearchError::NoDataDir { path: data_dir.to_owned() });
    }
    let mut search = Search { query, newest: Newest::new(query.limit), problems: Vec::new() };
    if query.limit > 0 {
        search.journal(&journal_dir, read)?;
        search.sealed(&audit_dir)?;
    }
    let removed =
        query.since_us.and_then(|since_us| removed::find(&data_dir.join("manifest"), since_us, query.until_us));
    Ok(Found { rows: search.newest.into_rows(), problems: search.problems, removed })
}

struct Search<'a> {
    query: &'a Query,
    newest: Newest,
    problems: Vec<Problem>,
}

impl Search<'_> {
    fn journal(&mut self, dir: &Path, read: ReadSegment) -> Result<(), SearchError> {
        let segments = segments(dir).map_err(|source| SearchError::List { path: dir.to_owned(), source })?;
        for path in segments {
            let segment = match read(&path) {
                Ok(segment) => segment,
                // Sealed since it was listed: its rows are in the dataset, which is read next.
                Err(_) if matches!(path.try_exists(), Ok(false)) => continue,
                Err(error) => {
                    self.problems.push(Problem { path, fault: Fault::Segment(error) });
                    continue;
                }
            };
            for row in segment.rows.into_iter().filter(|row| self.query.matches(row)) {
                self.newest.offer(row);
            }
            // A torn end is what a segment being written looks like.
            let damaged = segment.damage.as_ref().map_or(0, Damage::corrupt_bytes);
            if damaged > 0 {
                let fault = Fault::DamagedSegment(damaged);
                self.problems.push(Problem { path, fault });
            }
        }
        Ok(())
    }

    fn sealed(&mut self, dir: &Path) -> Result<(), SearchError> {
        let partitions =
            dataset::partitions(dir).map_err(|source| SearchError::List { path: dir.to_owned(), source })?;
        for (date, path) in partitions.into_iter().rev().filter(|(date, _)| self.query.covers_day(*date)) {
            let settled = self.newest.floor_us().is_some_and(|floor_us| EventDate::of(floor_us) > date);
            if settled {
                break;
            }
            self.partition(&path);
        }
        Ok(())
    }

    /// Files that were rewritten since they were listed are looked for again, under their new names.
    fn partition(&mut self, dir: &Path) {
        for attempt in 1.. {
            let known = self.problems.len();
            self.partition_once(dir);
            let gone = |problem: &Problem| !problem.path.exists();
            if attempt == ATTEMPTS_MAX || !self.problems.iter().skip(known).any(gone) {
                return;
            }
            self.problems.truncate(known);
        }
    }

    fn partition_once(&mut self, dir: &Path) {
        let files = match dataset::files(dir) {
            Ok(files) => files,
            Err(error) => {
                self.problems.push(Problem { path: dir.to_owned(), fault: Fault::List(error) });
                return;
            }
        };
        let mut candidates = Vec::new();
        for (_, path) in files {
            match scan::event_times(&path) {
                Ok(times) => candidates.push((times, path)),
                Err(error) => self.problems.push(Problem { path, fault: error.into() }),
            }
        }
        candidates.sort_unstable_by_key(|((_, newest_us), _)| std::cmp::Reverse(*newest_us));
        for (times, path) in candidates {
            if !self.query.covers_times(times) || self.newest.is_settled_before(times.1) {
                continue;
            }
            if let Err(error) = scan::scan(&path, self.query, &mut self.newest) {
                self.problems.push(Problem { path, fault: error.into() });
            }
        }
    }
}

/// The journal's segments. A copied dataset may come without a journal.
fn segments(dir: &Path) -> io::Result<Vec<PathBuf>> {
    match segment::list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed,
    }
}

#[cfg(test)]
mod tests;
