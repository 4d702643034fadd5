//! Reads the text of an operator's catalogue from disk: the only part of `connectors` that does I/O.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// Why the text of an operator's catalogue could not be had.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    #[error("cannot be read: {0}; name an existing, readable file")]
    Unreadable(#[from] io::Error),
    #[error("larger than {bytes_max} bytes; split off what no connector uses")]
    TooLarge { bytes_max: u64 },
}

/// Reads the file at `path`, of at most `bytes_max`, which is UTF-8.
///
/// # Errors
/// It cannot be read, or is too large.
pub fn read_text(path: &Path, bytes_max: u64) -> Result<String, CatalogueError> {
    let mut bytes = Vec::new();
    // One byte more than allowed, so that a file that grows meanwhile is noticed too.
    File::open(path)?.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(CatalogueError::TooLarge { bytes_max });
    }
    Ok(String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?)
}
