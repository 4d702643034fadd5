//! What happens to one closed segment: its rows are sealed, signed for, and only then it is deleted.
//!
//! Done again after a crash or a failure at any step, it completes what is missing. When it is tried is for the thread to
//! decide.

use std::path::Path;

use crate::archive::chain::Chain;
use crate::archive::cover::{self, CoverError};
use crate::archive::file::{self, FileError};
use crate::archive::seal::{SealError, Sealed};
use crate::clock::now_us;
use crate::journal::segment::{ReadError, RowsError, SegmentRows};
use crate::storage::{self, Site};

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
