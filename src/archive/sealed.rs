//! Opening a sealed file: its footer, what the footer promises, and reading rows back.
//!
//! Nothing in a file on disk is trusted: a footer that is not ours or a value that does not decode is an error.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_schema::ArrowError;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, RowGroupMetaData};
use parquet::file::statistics::Statistics;
use uuid::Uuid;

use super::canonical::ForeignColumn;
use super::properties::{EPOCH_KEY, event_time_ascending};
use super::rows::DecodeError;

/// Why a file below the dataset could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SealedError {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Torn, altered, or never a Parquet file.
    #[error("is damaged or not a Parquet file: {0}")]
    Parquet(#[from] ParquetError),
    /// A page failed while being decoded.
    #[error("is damaged: {0}")]
    Arrow(#[from] ArrowError),
    #[error("does not hold audit rows this version can read: {0}")]
    Decode(#[from] DecodeError),
    /// The footer lacks what every sealed file has.
    #[error("was not sealed by Tollgate: its metadata has no usable `{EPOCH_KEY}`")]
    NoEpoch,
    /// The footer does not declare the sort order of sealed files.
    #[error("was not sealed by Tollgate: it does not declare to be sorted by `event_time`")]
    NotSorted,
    #[error("does not hold audit rows: {0}")]
    ForeignColumn(#[from] ForeignColumn),
    /// The Parquet decoder failed an assertion on the file's content.
    #[error("is damaged: the Parquet decoder gave up on its content")]
    DecoderPanic,
}

/// A sealed file with its footer read and checked.
#[derive(Debug)]
pub struct SealedFile {
    file: File,
    footer: ArrowReaderMetadata,
    epoch: u64,
}

impl SealedFile {
    /// Opens a file and reads its footer, not its page index.
    pub fn open(path: &Path) -> Result<Self, SealedError> {
        let file = File::open(path)?;
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Skip);
        let footer = ArrowReaderMetadata::load(&file, options)?;
        let epoch = epoch_of(footer.metadata()).ok_or(SealedError::NoEpoch)?;
        if !footer.metadata().row_groups().iter().all(is_sorted) {
            return Err(SealedError::NotSorted);
        }
        Ok(Self { file, footer, epoch })
    }

    /// The writer epoch of every row in the file.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The footer.
    pub fn metadata(&self) -> &ParquetMetaData {
        self.footer.metadata()
    }

    /// Smallest and largest `event_time` by the statistics, or `None` if the file lacks them.
    pub fn event_times(&self) -> Option<(i64, i64)> {
        let ranges = self.metadata().row_groups().iter().map(event_times);
        ranges.reduce(|all, group| all.zip(group).map(|((a, b), (c, d))| (a.min(c), b.max(d)))).flatten()
    }

    /// A reader over the file. With `page_index`, the page index is read too, so that rows can be skipped by page.
    pub fn reader(&self, page_index: bool) -> Result<ParquetRecordBatchReaderBuilder<File>, SealedError> {
        let file = self.file.try_clone()?;
        if page_index {
            let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
            return Ok(ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)?);
        }
        Ok(ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.footer.clone()))
    }

    fn event_ids(&self) -> Result<HashSet<Uuid>, SealedError> {
        let builder = self.reader(false)?;
        let mask = ProjectionMask::columns(builder.parquet_schema(), ["event_id"]);
        let mut ids = HashSet::new();
        for batch in builder.with_projection(mask).build()? {
            let batch = batch?;
            let column = batch.column_by_name("event_id").ok_or(DecodeError::MissingColumn("event_id"))?;
            let column = column.as_string_opt::<i32>().ok_or(DecodeError::WrongType("event_id"))?;
            for (row, id) in column.iter().enumerate() {
                let id = id.and_then(|text| Uuid::try_parse(text).ok());
                ids.insert(id.ok_or(DecodeError::UnreadableValue { column: "event_id", row })?);
            }
        }
        Ok(ids)
    }
}

/// Reads a sealed file with panics turned into [`SealedError::DecoderPanic`]: the Parquet decoder is not written for
/// files that were tampered with.
pub fn guarded<T>(read: impl FnOnce() -> Result<T, SealedError>) -> Result<T, SealedError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or(Err(SealedError::DecoderPanic))
}

/// The ids of all rows in a file.
pub(super) fn event_ids(path: &Path) -> Result<HashSet<Uuid>, SealedError> {
    guarded(|| SealedFile::open(path)?.event_ids())
}

/// Smallest and largest `event_time` of a row group.
pub fn event_times(group: &RowGroupMetaData) -> Option<(i64, i64)> {
    let column = usize::try_from(event_time_ascending().column_idx).ok()?;
    match group.columns().get(column)?.statistics()? {
        Statistics::Int64(values) => Some((*values.min_opt()?, *values.max_opt()?)),
        _ => None,
    }
}

fn is_sorted(group: &RowGroupMetaData) -> bool {
    group.sorting_columns().is_some_and(|columns| columns.first() == Some(&event_time_ascending()))
}

fn epoch_of(metadata: &ParquetMetaData) -> Option<u64> {
    let pairs = metadata.file_metadata().key_value_metadata()?;
    pairs.iter().find(|pair| pair.key == EPOCH_KEY)?.value.as_ref()?.parse().ok()
}
