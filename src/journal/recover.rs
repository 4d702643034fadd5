//! Start-up recovery: makes every segment of earlier runs closed, undamaged and ready to be sealed.
//!
//! Each segment is replaced whole by an atomic rename or not at all, so a kill at any point leaves a directory that
//! recovery can start over on, and running it on a recovered directory changes nothing. It must not run while a
//! journal is open on the directory. It does not seal.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use super::frame::HeaderFault;
use super::gap;
use super::segment::{self, Contents, Damage, Ending, Orphan, ReadError, SegmentError, SegmentId, TEMPORARY_EXTENSION};
use crate::archive::statement::RecoverySummary;
use crate::record::{Intent, Outcome, OutcomeKind, Row};
use crate::storage::{self, Site};

/// Subdirectory that keeps the damaged originals of repaired segments.
const QUARANTINE: &str = "quarantine";

/// Extension given to a quarantined segment of which nothing could be read.
const UNREADABLE_EXTENSION: &str = "unreadable";

/// What recovery left and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Segments to seal, oldest first; all closed, all with rows.
    pub segments: Vec<PathBuf>,
    /// Rows in those segments.
    pub rows: u64,
    /// In the order done.
    pub repairs: Vec<Repair>,
}

impl Recovery {
    /// What of it the chain says.
    #[must_use]
    pub fn summary(&self) -> RecoverySummary {
        let mut summary = RecoverySummary { rows: self.rows, ..RecoverySummary::default() };
        for repair in &self.repairs {
            match repair {
                Repair::Interrupted { rows, .. } => summary.interrupted += rows,
                Repair::Unreadable { .. } | Repair::LeftOutDamage { .. } => summary.quarantined += 1,
                Repair::CutTail { .. } | Repair::RemovedIncomplete { .. } => summary.torn += 1,
                Repair::RemovedEmpty { .. } => {}
            }
        }
        summary
    }
}

/// One thing recovery did to one segment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Repair {
    /// The file ended inside its header, so nothing can have been journaled in it.
    #[error("removed {}, which ended inside its header", path.display())]
    RemovedIncomplete { path: PathBuf },
    /// The segment had no rows and no open intents.
    #[error("removed {}, which held no records", path.display())]
    RemovedEmpty { path: PathBuf },
    /// The header is damaged, so nothing of the segment can be read.
    #[error("moved {} to {}: {fault}; the records in it are missing", path.display(), to.display())]
    Unreadable { path: PathBuf, to: PathBuf, fault: HeaderFault },
    /// An append had not finished when the process stopped. Zeros at the end are not counted, nor told of alone.
    #[error("cut {bytes} bytes of an unfinished append from {}", path.display())]
    CutTail { path: PathBuf, bytes: u64 },
    /// Bytes before the end had changed. Records that were in them are gap rows now.
    #[error(
        "left {bytes} damaged bytes out of {}, which cost {rows_lost} records; the original is {}",
        path.display(),
        copy.display()
    )]
    LeftOutDamage { path: PathBuf, copy: PathBuf, bytes: u64, rows_lost: u64 },
    /// Exchanges that were in progress when the process stopped are `interrupted` rows now.
    #[error("recorded {rows} interrupted exchanges in {}", path.display())]
    Interrupted { path: PathBuf, rows: u64 },
}

/// Why recovery stopped. Nothing is lost: it can be run again.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error(transparent)]
    Read(ReadError),
    #[error(
        "{} was written by another version of this program (journal format {found}); run that version once to seal it",
        path.display()
    )]
    Version { path: PathBuf, found: u32 },
    #[error("cannot rewrite a journal segment: {0}")]
    Rewrite(#[from] SegmentError),
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RecoverError {
    move |source| RecoverError::Io { action, path: path.to_owned(), source }
}

/// Recovers the journal in `dir`; a directory that does not exist has nothing to recover. `now_us`, microseconds since
/// the Unix epoch, becomes the end of interrupted exchanges.
pub fn recover(dir: &Path, now_us: i64) -> Result<Recovery, RecoverError> {
    if !fs::exists(dir).map_err(io_error("inspect", dir))? {
        return Ok(Recovery::default());
    }
    remove_temporaries(dir)?;
    let mut run = Run { dir, now_us, recovery: Recovery::default() };
    let paths = segment::list(dir).map_err(io_error("list", dir))?;
    for epoch in paths.chunk_by(|a, b| epoch_of(a) == epoch_of(b)) {
        run.recover_epoch(epoch)?;
    }
    segment::sync_dir(dir)?;
    Ok(run.recovery)
}

fn epoch_of(path: &Path) -> Option<u64> {
    SegmentId::from_path(path).map(|id| id.epoch)
}

/// Removes segments that never got their final name.
fn remove_temporaries(dir: &Path) -> Result<(), RecoverError> {
    for entry in fs::read_dir(dir).map_err(io_error("list", dir))? {
        let path = entry.map_err(io_error("list", dir))?.path();
        let is_temporary = path.extension().is_some_and(|extension| extension == TEMPORARY_EXTENSION)
            && SegmentId::from_path(&path.with_extension("")).is_some();
        if is_temporary {
            storage::remove(Site::SegmentRemove, &path).map_err(io_error("remove", &path))?;
        }
    }
    Ok(())
}

struct Run<'a> {
    dir: &'a Path,
    now_us: i64,
    recovery: Recovery,
}

impl Run<'_> {
    /// Recovers the segments of one epoch, oldest first. At most two are in memory at once.
    fn recover_epoch(&mut self, paths: &[PathBuf]) -> Result<(), RecoverError> {
        let mut readable = Vec::new();
        for path in paths {
            if let Some(contents) = self.read(path)? {
                readable.push((path, contents.first_seq));
            }
        }
        let interrupted = self.interrupted(&readable)?;
        let mut following = readable.iter().map(|(_, first_seq)| *first_seq).skip(1);
        for (path, _) in &readable {
            let next_first_seq = following.next();
            let interrupted = if next_first_seq.is_none() { interrupted.as_slice() } else { &[] };
            self.recover_segment(path, next_first_seq, interrupted)?;
        }
        Ok(())
    }

    /// Reads a segment, or puts it away if nothing of it can be read.
    fn read(&mut self, path: &Path) -> Result<Option<Contents>, RecoverError> {
        let fault = match segment::read(path) {
            Ok(contents) => return Ok(Some(contents)),
            Err(ReadError::Header { fault, .. }) => fault,
            Err(error @ (ReadError::Io { .. } | ReadError::TooLarge { .. })) => return Err(RecoverError::Read(error)),
        };
        match fault {
            HeaderFault::Incomplete => {
                storage::remove(Site::SegmentRemove, path).map_err(io_error("remove", path))?;
                self.recovery.repairs.push(Repair::RemovedIncomplete { path: path.to_owned() });
            }
            HeaderFault::Version { found } => {
                return Err(RecoverError::Version { path: path.to_owned(), found });
            }
            HeaderFault::Magic
            | HeaderFault::TooLarge(_)
            | HeaderFault::Checksum
            | HeaderFault::FirstSeq(_)
            | HeaderFault::Body(_) => {
                let to = self.quarantine()?.join(unreadable_name(path));
                storage::rename(Site::QuarantineRename, path, &to).map_err(io_error("move to quarantine", path))?;
                // Before the directory it came from is: otherwise a loss of power could leave it in neither.
                segment::sync_dir(&self.dir.join(QUARANTINE))?;
                // After a loss of power that left it in both, renaming does nothing.
                if fs::exists(path).map_err(io_error("inspect", path))? {
                    storage::remove(Site::SegmentRemove, path).map_err(io_error("remove", path))?;
                }
                self.recovery.repairs.push(Repair::Unreadable { path: path.to_owned(), to, fault });
            }
        }
        Ok(None)
    }

    /// The intents that nothing settles. Every segment but the last has its open intents carried in the next one, so
    /// only those of the last can be. A closed one is the last when later ones were sealed and removed before it; its
    /// intents count only if the next segment was lost.
    fn interrupted(&self, readable: &[(&PathBuf, u64)]) -> Result<Vec<Intent>, RecoverError> {
        let Some(((last, _), earlier)) = readable.split_last() else {
            return Ok(Vec::new());
        };
        let contents = segment::read(last).map_err(RecoverError::Read)?;
        if contents.open.is_empty() || (contents.closed && !self.next_was_lost(last)?) {
            return Ok(Vec::new());
        }
        let mut settled = HashSet::new();
        let ids: HashSet<Uuid> = contents.open.iter().map(|intent| intent.event_id).collect();
        for (path, _) in earlier {
            let rows = segment::read(path).map_err(RecoverError::Read)?.rows;
            settled.extend(rows.iter().map(|row| row.intent.event_id).filter(|event_id| ids.contains(event_id)));
        }
        Ok(contents.open.into_iter().filter(|intent| !settled.contains(&intent.event_id)).collect())
    }

    fn next_was_lost(&self, path: &Path) -> Result<bool, RecoverError> {
        let Some(id) = SegmentId::from_path(path) else {
            return Ok(false);
        };
        let next = SegmentId { number: id.number.saturating_add(1), ..id };
        let lost = self.dir.join(QUARANTINE).join(unreadable_name(Path::new(&next.file_name())));
        fs::exists(&lost).map_err(io_error("inspect", &lost))
    }

    fn recover_segment(
        &mut self,
        path: &Path,
        next_first_seq: Option<u64>,
        interrupted: &[Intent],
    ) -> Result<(), RecoverError> {
        let contents = segment::read(path).map_err(RecoverError::Read)?;
        if contents.closed && contents.damage.is_none() && interrupted.is_empty() {
            return self.keep_or_remove(path, contents.rows.len());
        }
        let rows = self.repaired_rows(path, &contents, next_first_seq, interrupted)?;
        if !rows.is_empty() {
            segment::replace(path, &contents, &rows, Ending::Close)?;
        }
        self.keep_or_remove(path, rows.len())
    }

    fn keep_or_remove(&mut self, path: &Path, rows: usize) -> Result<(), RecoverError> {
        if rows > 0 {
            self.recovery.segments.push(path.to_owned());
            self.recovery.rows += rows as u64;
            return Ok(());
        }
        storage::remove(Site::SegmentRemove, path).map_err(io_error("remove", path))?;
        self.recovery.repairs.push(Repair::RemovedEmpty { path: path.to_owned() });
        Ok(())
    }

    /// The rows the segment should have had, by `seq`.
    fn repaired_rows(
        &mut self,
        path: &Path,
        contents: &Contents,
        next_first_seq: Option<u64>,
        interrupted: &[Intent],
    ) -> Result<Vec<Row>, RecoverError> {
        let mut rows = contents.rows.clone();
        // A segment given up after a failure may end with rows that were not acknowledged; those are in the next one.
        rows.retain(|row| next_first_seq.is_none_or(|next| row.seq < next));
        let damage = contents.damage.clone().unwrap_or_default();
        if !damage.corrupt.is_empty() {
            let copy = self.copy_to_quarantine(path)?;
            let gaps = gap_rows(contents, next_first_seq, self.now_us);
            let (bytes, rows_lost) = (damage.corrupt_bytes(), gaps.len() as u64);
            self.recovery.repairs.push(Repair::LeftOutDamage { path: path.to_owned(), copy, bytes, rows_lost });
            rows.extend(gaps);
            rows.sort_by_key(|row| row.seq);
        }
        if let Some(torn) = damage.torn {
            let bytes = torn.end - torn.start;
            self.recovery.repairs.push(Repair::CutTail { path: path.to_owned(), bytes });
        }
        if !interrupted.is_empty() {
            let next_seq = rows.last().map_or(contents.first_seq, |row| row.seq + 1);
            rows.extend((next_seq..).zip(interrupted).map(|(seq, intent)| self.interrupted_row(contents, seq, intent)));
            let rows = interrupted.len() as u64;
            self.recovery.repairs.push(Repair::Interrupted { path: path.to_owned(), rows });
        }
        Ok(rows)
    }

    fn interrupted_row(&self, contents: &Contents, seq: u64, intent: &Intent) -> Row {
        let outcome = Outcome {
            error: Some("process stopped before the outcome was recorded".to_owned()),
            ..Outcome::new(self.now_us, OutcomeKind::Interrupted)
        };
        Row { seq, writer: Arc::clone(&contents.writer), intent: intent.clone(), outcome }
    }

    fn quarantine(&self) -> Result<PathBuf, RecoverError> {
        let quarantine = self.dir.join(QUARANTINE);
        storage::ensure_dir(Site::EvidenceDir, &quarantine, 0o750).map_err(io_error("create", &quarantine))?;
        Ok(quarantine)
    }

    fn copy_to_quarantine(&self, path: &Path) -> Result<PathBuf, RecoverError> {
        let name = path.file_name().unwrap_or_default();
        let copy = self.quarantine()?.join(name);
        let bytes = fs::read(path).map_err(io_error("read", path))?;
        segment::write_durable(&copy, &bytes)?;
        Ok(copy)
    }
}

fn unreadable_name(path: &Path) -> PathBuf {
    let name = Path::new(path.file_name().unwrap_or_default());
    name.with_extension(format!("{}.{UNREADABLE_EXTENSION}", segment::EXTENSION))
}

/// A row for each `seq` whose record was in damaged bytes.
fn gap_rows(contents: &Contents, next_first_seq: Option<u64>, now_us: i64) -> Vec<Row> {
    let orphans: BTreeMap<u64, &Orphan> = contents.orphans.iter().map(|orphan| (orphan.seq, orphan)).collect();
    let seen: BTreeSet<u64> = contents.rows.iter().map(|row| row.seq).collect();
    let last_seen = seen.last().max(orphans.keys().next_back()).copied();
    let end = next_first_seq.or(last_seen.map(|seq| seq + 1)).unwrap_or(contents.first_seq);
    // Not more than fit in the damaged bytes: a record takes far more than one.
    let rows_max = contents.damage.as_ref().map_or(0, Damage::corrupt_bytes) as usize;
    let row = |seq, (intent, outcome)| Row { seq, writer: Arc::clone(&contents.writer), intent, outcome };
    let missing: Vec<Row> = (contents.first_seq..end)
        .filter(|seq| !seen.contains(seq))
        .take(rows_max)
        .map(|seq| {
            let lost = match orphans.get(&seq) {
                Some(orphan) => gap::damaged_intent(orphan),
                None => gap::damaged_record(Uuid::now_v7(), now_us),
            };
            row(seq, lost)
        })
        .collect();
    // No row is missing, so what was damaged was the intent of a call under way: in every other segment a later one has it.
    if missing.is_empty() && next_first_seq.is_none() && !contents.closed {
        return vec![row(end, gap::damaged_open_intent(Uuid::now_v7(), now_us))];
    }
    missing
}
