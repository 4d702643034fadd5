//! Reads the text of a policy file from disk: the only part of `policy` that does I/O.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Why the text of a policy file could not be had.
#[derive(Debug, thiserror::Error)]
pub enum PolicyLoadError {
    #[error("cannot read the policy file {}: {source}", .path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("the policy file {} is larger than {max_bytes} bytes; name many hosts at once by suffixes such as `*.example.com`", .path.display())]
    TooLarge { path: PathBuf, max_bytes: u64 },
}

/// Reads a policy file of at most `max_bytes`, which is UTF-8.
pub fn read_text(path: &Path, max_bytes: u64) -> Result<String, PolicyLoadError> {
    let unreadable = |source| PolicyLoadError::Unreadable { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    // One byte more than allowed, so that a file that grows meanwhile is noticed too.
    file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > max_bytes {
        return Err(PolicyLoadError::TooLarge { path: path.to_owned(), max_bytes });
    }
    String::from_utf8(bytes).map_err(|error| unreadable(io::Error::new(io::ErrorKind::InvalidData, error)))
}
