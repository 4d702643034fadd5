//! Rows of a segment as record batches, in memory that is used again from batch to batch.

use std::path::Path;

use arrow_array::RecordBatch;

use super::file::FileError;
use super::rows;
use crate::journal::segment::{Place, SegmentRows};

/// Rows decoded and encoded at a time: few enough that they stay in a core's cache while one column after the other is
/// made of them. Journal frames are at most 4 MiB, so a batch stays below Arrow's 2 GiB per text column.
const BATCH_ROWS: usize = 256;

/// Hands rows to `visit`, batch by batch, in the order of `places`. `path` is only for the error.
pub(super) fn for_each_batch(
    path: &Path,
    rows: &SegmentRows<'_>,
    places: &[&Place<'_>],
    mut visit: impl FnMut(&RecordBatch) -> Result<(), FileError>,
) -> Result<(), FileError> {
    let mut decoded = Vec::with_capacity(places.len().min(BATCH_ROWS));
    for chunk in places.chunks(BATCH_ROWS) {
        rows.decode(chunk, &mut decoded)?;
        let batch = rows::encode(&decoded.iter().collect::<Vec<_>>());
        visit(&batch.map_err(|source| FileError::Encode { path: path.to_owned(), source })?)?;
    }
    Ok(())
}
