//! What happens to one closed segment: its rows are sealed, signed for, and only then it is deleted.
//!
//! Done again after a crash or a failure at any step, it completes what is missing. When it is tried is for the thread to
//! decide.

use std::path::Path;

use super::memory::Memory;
use crate::archive::chain::Chain;
use crate::archive::cover::{self, CoverError};
use crate::archive::file::{self, FileError};
use crate::archive::seal::{SealError, Sealed};
use crate::clock::now_us;
use crate::journal::segment::{ReadError, RowsError, SegmentBytes, SegmentRows};
use crate::storage::{self, Site};

/// Reads one segment: [`SegmentBytes::read`], except in tests.
pub(in crate::archive) type ReadSegment = fn(&Path, Vec<u8>) -> Result<SegmentBytes, ReadError>;

/// Why one segment could not be sealed.
#[derive(Debug, thiserror::Error)]
pub(in crate::archive) enum SegmentError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Rows(#[from] RowsError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Cover(#[from] CoverError),
    #[error(transparent)]
    File(#[from] FileError),
}

/// The bytes of a segment, in `memory`; `None` if it was sealed before: recovery and the journal's writer may both have named it.
pub(in crate::archive) fn bytes(
    segment: &Path,
    read: ReadSegment,
    memory: &mut Memory,
) -> Result<Option<SegmentBytes>, SegmentError> {
    if !segment.try_exists().map_err(FileError::io("inspecting", segment))? {
        return Ok(None);
    }
    Ok(Some(read(segment, memory.take())?))
}

/// Signs for the files that hold the rows of a segment and deletes it, durably. `rows` are all of its rows, each of them in
/// the dataset; `written` are the files that were just written for them.
pub(in crate::archive) fn settle(
    chain: &mut Chain,
    segment: &Path,
    rows: &SegmentRows<'_>,
    written: &[Sealed],
) -> Result<(), SegmentError> {
    cover::cover(chain, rows, written, now_us())?;
    storage::remove(Site::SealedRemove, segment).map_err(FileError::io("removing", segment))?;
    Ok(segment.parent().map_or(Ok(()), file::sync_dir)?)
}
