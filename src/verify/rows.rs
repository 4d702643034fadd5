//! Which rows of a modified file are not those that were signed, by the list that the file's entry names.
//!
//! Nothing in such a file can be believed, and whoever wrote it may have aimed at the decoder: it is decoded only when everything else
//! is verified and told, one file at a time, with panics caught and no more than a million rows beyond those signed.
//! What is said of a row is what the file says of it now.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array as _, RecordBatch};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use super::differences::{self, Difference};
use crate::archive::canonical;
use crate::archive::leaves::{self, ShortLeaf};
use crate::archive::sealed::{SealedError, guarded};

/// Rows that are named, in all files together.
pub const NAMED_MAX: usize = 10_000;
/// How many more rows than were signed a file may have to be compared.
const ROWS_MORE_MAX: u64 = 1_000_000;
/// Most characters of an `event_id` that are told.
const EVENT_ID_CHARS_MAX: usize = 64;

/// A file whose bytes are not those that were signed, and whose list of rows is as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modified {
    /// As problems name it.
    pub place: String,
    pub path: PathBuf,
    /// Rows that were signed.
    pub rows: u64,
    /// The list of them.
    pub list: PathBuf,
}

/// What became of the rows of a modified file.
#[derive(Debug)]
pub struct ChangedFile {
    /// As problems name it.
    pub place: String,
    pub rows: Result<ChangedRows, RowsError>,
}

/// Why the rows of a modified file cannot be told apart.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    #[error("the list of its rows cannot be read: {0}")]
    List(#[from] io::Error),
    #[error("it {0}")]
    File(#[from] SealedError),
    #[error("it has {found} rows, {signed} were signed: too many to compare")]
    TooMany { found: u64, signed: u64 },
}

/// How many rows are not as they were signed, and which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangedRows {
    pub changed: u64,
    pub added: u64,
    pub removed: u64,
    pub moved: u64,
    /// In the order of the file, the first of them.
    pub named: Vec<NamedRow>,
}

/// A row that is not as it was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedRow {
    pub difference: Difference,
    /// As the file says now; `None` for a row that is gone, and for one without.
    pub seq: Option<i64>,
    pub event_id: Option<String>,
}

impl ChangedRows {
    /// All of them, named or not.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.changed + self.added + self.removed + self.moved
    }
}

/// Compares the rows of modified files with their lists, in order.
pub fn compare(modified: &[Modified]) -> impl Iterator<Item = ChangedFile> + '_ {
    let mut left = NAMED_MAX;
    modified.iter().map(move |file| {
        let rows = compare_file(file, left);
        left -= rows.as_ref().map_or(0, |rows| rows.named.len());
        ChangedFile { place: file.place.clone(), rows }
    })
}

fn compare_file(file: &Modified, named_max: usize) -> Result<ChangedRows, RowsError> {
    let signed = leaves::read(&file.list, file.rows)?;
    let found = read_leaves(&file.path, file.rows)?;
    let differences = differences::between(&signed, &found);
    let mut rows = ChangedRows::default();
    for difference in &differences {
        *match difference {
            Difference::Changed { .. } => &mut rows.changed,
            Difference::Added { .. } => &mut rows.added,
            Difference::Removed { .. } => &mut rows.removed,
            Difference::Moved { .. } => &mut rows.moved,
        } += 1;
    }
    let named = differences.get(..named_max).unwrap_or(&differences);
    let mut ids: BTreeMap<usize, RowIds> =
        named.iter().filter_map(|difference| Some((difference.row()?, RowIds::default()))).collect();
    if !ids.is_empty() {
        read_ids(&file.path, &mut ids)?;
    }
    rows.named = named
        .iter()
        .map(|difference| {
            let RowIds { seq, event_id } = difference.row().and_then(|row| ids.remove(&row)).unwrap_or_default();
            NamedRow { difference: *difference, seq, event_id }
        })
        .collect();
    Ok(rows)
}

/// Types are those of the Parquet schema, whatever else the file says of itself: a tool that wrote it anew may have added its own.
fn open(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>, SealedError> {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    Ok(ParquetRecordBatchReaderBuilder::try_new_with_options(File::open(path)?, options)?)
}

fn read_leaves(path: &Path, signed: u64) -> Result<Vec<ShortLeaf>, RowsError> {
    let rows_max = signed.saturating_add(ROWS_MORE_MAX);
    let mut found = Vec::new();
    let mut read = || {
        for batch in open(path)?.build()? {
            found.extend(canonical::leaves(&batch?)?.iter().map(ShortLeaf::from));
            if found.len() as u64 > rows_max {
                break;
            }
        }
        Ok(())
    };
    guarded(&mut read)?;
    let rows = found.len() as u64;
    if rows > rows_max { Err(RowsError::TooMany { found: rows, signed }) } else { Ok(found) }
}

/// What a row says it is.
#[derive(Clone, Debug, Default)]
struct RowIds {
    seq: Option<i64>,
    event_id: Option<String>,
}

/// Fills in what the rows in `asked` say they are.
fn read_ids(path: &Path, asked: &mut BTreeMap<usize, RowIds>) -> Result<(), RowsError> {
    let mut read = || {
        let builder = open(path)?;
        let mask = ProjectionMask::columns(builder.parquet_schema(), ["seq", "event_id"]);
        let last = asked.last_key_value().map_or(0, |(row, _)| *row);
        let mut first = 0;
        for batch in builder.with_projection(mask).build()? {
            let batch = batch?;
            let until = first + batch.num_rows();
            for (row, ids) in asked.range_mut(first..until) {
                *ids = RowIds::of(&batch, row - first);
            }
            if until > last {
                break;
            }
            first = until;
        }
        Ok(())
    };
    Ok(guarded(&mut read)?)
}

impl RowIds {
    fn of(batch: &RecordBatch, row: usize) -> Self {
        let seqs = batch.column_by_name("seq").and_then(|column| column.as_primitive_opt::<Int64Type>());
        let ids = batch.column_by_name("event_id").and_then(|column| column.as_string_opt::<i32>());
        let id = ids.filter(|ids| ids.is_valid(row)).map(|ids| ids.value(row));
        Self {
            seq: seqs.filter(|seqs| seqs.is_valid(row)).map(|seqs| seqs.value(row)),
            event_id: id.map(|id| id.chars().take(EVENT_ID_CHARS_MAX).collect()),
        }
    }
}
