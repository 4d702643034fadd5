//! One sealed file, or a small one beside it: written in staging, made durable, checked, and only then renamed into the dataset.
//!
//! A reader that globs the dataset can never see a file that is not finished. This module does not decide which rows
//! belong together; see `seal`.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use arrow_schema::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::batches::for_each_batch;
use super::content::{Content, Fingerprint, Hashed};
use super::properties::{Identity, SEALING_LEVEL, writer_properties};
use super::schema::arrow_schema;
use super::sealed::SealedError;
use crate::journal::segment::{Place, RowsError, SegmentRows};
use crate::storage::{self, Site};

/// Of directories, before the umask.
const DIR_MODE: u32 = 0o777;

/// Why a file could not be sealed. The journal keeps the rows in every case.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system refused something; the remedy is at the path.
    #[error("{action} {path}: {source}")]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// A row is in the segment, but cannot be decoded.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// The rows could not be put into the columns of the schema.
    #[error("encoding rows for {path}: {source}")]
    Encode { path: PathBuf, source: ArrowError },
    /// What the rows say could not be told from their columns.
    #[error("reading the rows for {path}: {source}")]
    Content { path: PathBuf, source: SealedError },
    /// The Parquet writer or reader failed.
    #[error("writing {path}: {source}")]
    Parquet { path: PathBuf, source: ParquetError },
    /// The finished file does not hold what was written to it.
    #[error("{path} holds {found} rows after writing {expected}: check the disk below it")]
    RowCount { path: PathBuf, found: i64, expected: usize },
    /// An intact file with other rows already has this name.
    #[error("{0} already holds other rows: move it out of the dataset and keep it as evidence")]
    NameTaken(PathBuf),
}

impl FileError {
    pub(super) fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    pub(super) fn parquet(path: &Path) -> impl FnOnce(ParquetError) -> Self + '_ {
        move |source| Self::Parquet { path: path.to_owned(), source }
    }
}

/// A file that is written and durable, and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Staged {
    /// Of the bytes as they were written.
    pub(super) fingerprint: Fingerprint,
    /// Of the rows as they were given to the Parquet writer.
    pub(super) content: Content,
}

/// Writes those of `rows` that are at `sorted`, in order of `event_time`, to `staged`, makes them durable and checks the
/// file by opening it again. A file already at `staged` is replaced; after an error there is none.
pub(super) fn stage(
    staged: &Path,
    rows: &SegmentRows<'_>,
    sorted: &[&Place<'_>],
    row_group_rows: usize,
) -> Result<Staged, FileError> {
    let written = write(staged, rows, sorted, row_group_rows);
    let written = written.and_then(|written| check(staged, sorted.len()).map(|()| written));
    if written.is_err() {
        // On a full disk the half-written file would take the room that the journal needs.
        let _ = storage::remove(Site::StaleRemove, staged);
    }
    written
}

/// Renames a staged file to its place in the dataset, durably. `audit_dir` must exist.
pub(super) fn publish(staged: &Path, audit_dir: &Path, partition: &str, name: &str) -> Result<PathBuf, FileError> {
    let partition_dir = audit_dir.join(partition);
    // Not what is above it: a dataset that vanished is probably a file system that was unmounted.
    ensure_dir(&partition_dir)?;
    let path = partition_dir.join(name);
    storage::rename(Site::ParquetRename, staged, &path).map_err(FileError::io("renaming into the dataset", &path))?;
    sync_dir(&partition_dir)?;
    Ok(path)
}

/// The calls by which a small file gets to its place.
pub(super) struct Steps {
    pub(super) write: Site,
    pub(super) sync: Site,
    pub(super) rename: Site,
}

/// Writes a file at `staged`, makes it durable and renames it to `path`, durably. What was there is replaced.
pub(super) fn place(staged: &Path, path: &Path, bytes: &[u8], steps: &Steps) -> Result<(), FileError> {
    let written = storage::write(steps.write, staged, bytes);
    let synced = written.and_then(|file| storage::sync(steps.sync, &file, staged));
    synced.map_err(FileError::io("writing", staged))?;
    storage::rename(steps.rename, staged, path).map_err(FileError::io("renaming into place", path))?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Makes sure that a directory is there, durably. What is above it must exist.
pub(super) fn ensure_dir(dir: &Path) -> Result<(), FileError> {
    storage::ensure_dir(Site::EvidenceDir, dir, DIR_MODE).map_err(FileError::io("creating directory", dir))
}

/// Makes the entries of a directory durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), FileError> {
    storage::sync_dir(Site::ArchiveDirSync, dir).map_err(FileError::io("syncing directory", dir))
}

fn write(
    path: &Path,
    rows: &SegmentRows<'_>,
    sorted: &[&Place<'_>],
    row_group_rows: usize,
) -> Result<Staged, FileError> {
    let created = storage::create(Site::ParquetWrite, path);
    let file = Hashed::new(created.map_err(FileError::io("creating", path))?);
    let properties =
        writer_properties(sorted.len(), row_group_rows, SEALING_LEVEL).map_err(FileError::parquet(path))?;
    // The Parquet schema says all that the Arrow schema does; a second copy would outweigh the rows of a small file.
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut writer =
        ArrowWriter::try_new_with_options(file, arrow_schema(), options).map_err(FileError::parquet(path))?;
    let foreign = |source| FileError::Content { path: path.to_owned(), source };
    let content = Content::empty(rows.writer().epoch, &arrow_schema());
    let mut content = content.map_err(SealedError::from).map_err(foreign)?;
    for_each_batch(path, rows, sorted, |batch| {
        content.add(batch).map_err(foreign)?;
        writer.write(batch).map_err(FileError::parquet(path))
    })?;
    for pair in identity(rows, sorted).iter().flat_map(Identity::metadata) {
        writer.append_key_value_metadata(pair);
    }
    let (file, fingerprint) = writer.into_inner().map_err(FileError::parquet(path))?.finish();
    storage::sync(Site::ParquetSync, &file, path).map_err(FileError::io("syncing", path))?;
    Ok(Staged { fingerprint, content: content.complete() })
}

fn identity(rows: &SegmentRows<'_>, places: &[&Place<'_>]) -> Option<Identity> {
    let (first, rest) = places.split_first()?;
    let mut identity = Identity::of(rows.writer(), first.seq);
    for place in rest {
        identity.and(place.seq);
    }
    Some(identity)
}

fn check(path: &Path, expected: usize) -> Result<(), FileError> {
    let file = File::open(path).map_err(FileError::io("opening", path))?;
    let found = read_footer(&file).map_err(FileError::parquet(path))?.file_metadata().num_rows();
    if usize::try_from(found) == Ok(expected) {
        Ok(())
    } else {
        Err(FileError::RowCount { path: path.to_owned(), found, expected })
    }
}

fn read_footer(file: &File) -> Result<ParquetMetaData, ParquetError> {
    ParquetMetaDataReader::new().parse_and_finish(file)
}
