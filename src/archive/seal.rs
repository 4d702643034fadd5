//! Rows of a segment to sealed files: split by day, without rows that are sealed already, sorted.
//!
//! Sealing the same rows again, after a crash or because the journal repeated them in a later segment, writes nothing.
//! Whether a row is sealed is read from the dataset itself, not remembered: sequence numbers in the file names say
//! which files could hold it, and normally none does.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use uuid::Uuid;

use super::content::{Content, Fingerprint};
use super::dataset::{self, EventDate, FileName};
use super::entries;
use super::file::{self, FileError, Staged};
use super::leaves;
use super::sealed;
use crate::journal::segment::{Place, SegmentRows};
use crate::record::Writer;
use crate::storage::{self, Site};

/// Where sealed files go and how hard to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Root of the dataset: what query engines glob. Holds finished files only.
    pub audit_dir: PathBuf,
    /// Files being written. On the same filesystem as `audit_dir`, and not below it.
    pub staging_dir: PathBuf,
    /// The chain of signed manifests, one for each sealed file, and the lists of their rows.
    pub manifest_dir: PathBuf,
    /// Longest wait before a failed segment is tried again.
    pub retry_max: Duration,
    /// Most rows in one row group.
    pub row_group_rows: usize,
    /// Without a row for so long, the chain says that there was none.
    pub heartbeat: Duration,
    /// The head of the chain is anchored at most once in this time, if it has moved.
    pub anchor_every: Duration,
}

impl Settings {
    /// The usual places below a data directory, and defaults for the rest.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        Self {
            audit_dir: data_dir.join("audit"),
            staging_dir: data_dir.join("staging"),
            manifest_dir: data_dir.join("manifest"),
            retry_max: Duration::from_secs(30),
            row_group_rows: 131_072,
            heartbeat: Duration::from_secs(3600),
            anchor_every: Duration::from_secs(300),
        }
    }
}

/// Why rows could not be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The instance id cannot be part of a file name.
    #[error("instance id {0:?} cannot be part of a file name: use letters, digits, `-`, `_` and `.`")]
    InstanceId(String),
    #[error(transparent)]
    File(#[from] FileError),
}

/// One file that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    pub path: PathBuf,
    /// Of the bytes as they were written; what is on disk now is for whoever reads it to compare.
    pub fingerprint: Fingerprint,
    /// Of the rows as they were given to the Parquet writer.
    pub content: Content,
}

impl Sealed {
    #[must_use]
    pub fn rows(&self) -> usize {
        self.content.leaves.len()
    }

    /// Size in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.fingerprint.bytes
    }
}

/// Creates the directories, durably, and removes what an earlier process left in staging.
pub fn prepare(settings: &Settings) -> Result<(), FileError> {
    let (staging, leaves_dir) = (&settings.staging_dir, leaves::directory(&settings.manifest_dir));
    for dir in [&settings.audit_dir, staging, &settings.manifest_dir, &leaves_dir] {
        file::ensure_dir(dir)?;
    }
    let files = dataset::files(staging).map_err(FileError::io("listing", staging))?;
    let entries = entries::list(staging).map_err(FileError::io("listing", staging))?;
    let lists = leaves::list(staging).map_err(FileError::io("listing", staging))?;
    let entries = entries.pieces.into_iter().chain(entries.doubled).map(|piece| piece.path);
    for path in files.into_iter().map(|(_, path)| path).chain(entries).chain(lists.named.into_values()) {
        storage::remove(Site::StaleRemove, &path).map_err(FileError::io("removing stale", &path))?;
    }
    Ok(())
}

/// Seals the rows of a segment and returns the files written; none for rows that are all sealed already.
///
/// When it returns, every row is in a durable file of the dataset. When it fails, some files may have been written;
/// calling it again completes the rest. [`prepare`] must have run.
pub fn seal(settings: &Settings, rows: &SegmentRows<'_>) -> Result<Vec<Sealed>, SealError> {
    let mut written = Vec::new();
    for (date, places) in by_day(rows) {
        written.extend(seal_day(settings, date, rows, places)?);
    }
    Ok(written)
}

/// The rows of each UTC day, in the order they were journaled.
pub(super) fn by_day<'r, 'a>(rows: &'r SegmentRows<'a>) -> BTreeMap<EventDate, Vec<&'r Place<'a>>> {
    let mut days: BTreeMap<EventDate, Vec<&Place<'_>>> = BTreeMap::new();
    for place in rows.places() {
        days.entry(EventDate::of(place.event_time_us)).or_default().push(place);
    }
    days
}

/// The smallest and largest `seq`; `None` without rows.
pub(super) fn seq_range(places: &[&Place<'_>]) -> Option<(u64, u64)> {
    let seqs = || places.iter().map(|place| place.seq);
    seqs().min().zip(seqs().max())
}

/// Seals rows of one day.
fn seal_day(
    settings: &Settings,
    date: EventDate,
    rows: &SegmentRows<'_>,
    mut places: Vec<&Place<'_>>,
) -> Result<Option<Sealed>, SealError> {
    let partition = date.directory_name();
    let partition_dir = settings.audit_dir.join(&partition);
    let Some(range) = file_name(rows.writer(), &places)? else {
        return Ok(None);
    };
    let mut known = sealed_ids(&partition_dir, &range)?;
    places.retain(|place| known.insert(place.event_id));
    let Some(name) = file_name(rows.writer(), &places)? else {
        // Whoever renamed those files may have died before the renames were durable.
        file::sync_dir(&settings.audit_dir)?;
        file::sync_dir(&partition_dir)?;
        return Ok(None);
    };
    refuse_taken(&partition_dir.join(name.to_string()))?;

    places.sort_by_key(|place| (place.event_time_us, place.seq));
    let staged = settings.staging_dir.join(name.to_string());
    let Staged { fingerprint, content } = file::stage(&staged, rows, &places, settings.row_group_rows)?;
    let path = file::publish(&staged, &settings.audit_dir, &partition, &name.to_string())?;
    Ok(Some(Sealed { path, fingerprint, content }))
}

/// The name for these rows; `None` when there are none.
fn file_name(writer: &Writer, places: &[&Place<'_>]) -> Result<Option<FileName>, SealError> {
    let Some((first, last)) = seq_range(places) else {
        return Ok(None);
    };
    let name = FileName::new(writer, first, last);
    name.map(Some).ok_or_else(|| SealError::InstanceId(writer.instance_id.clone()))
}

/// Ids of the rows that files overlapping `range` hold. A file that cannot be read counts as holding none: a row that
/// is there twice does less harm than one that is lost.
fn sealed_ids(partition_dir: &Path, range: &FileName) -> Result<HashSet<Uuid>, FileError> {
    let mut ids = HashSet::new();
    for (name, path) in dataset::files(partition_dir).map_err(FileError::io("listing", partition_dir))? {
        if !name.overlaps(range) {
            continue;
        }
        match sealed::event_ids(&path) {
            Ok(found) => ids.extend(found),
            Err(error) => tracing::warn!(path = %path.display(), %error, "sealed file is not usable"),
        }
    }
    Ok(ids)
}

/// A damaged file of the same name is replaced, since its rows are at hand; an intact one is never overwritten.
fn refuse_taken(path: &Path) -> Result<(), FileError> {
    let intact = path.exists() && sealed::event_ids(path).is_ok();
    if intact { Err(FileError::NameTaken(path.to_owned())) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
