//! One journal segment: its file name, appending to it, and reading it back.

mod append;
mod contents;
mod identity;
mod open;
mod rows;

use std::io;
use std::path::{Path, PathBuf};

pub use append::SegmentError;
pub use contents::{Contents, Damage, Orphan, ReadError, SEGMENT_BYTES_CEILING, SegmentBytes, read};

pub use rows::{Place, RowsError, SegmentRows};

pub(super) use append::{Ending, Segment, create, replace, sync_dir, write_durable};
pub(super) use contents::parse;

/// Extension of segment files.
pub const EXTENSION: &str = "journal";

/// Extension of segments not yet under their final name; recovery removes them.
pub(super) const TEMPORARY_EXTENSION: &str = "tmp";

/// Epoch and number of a segment, as its file name spells them. Names sort as the pairs do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SegmentId {
    pub(super) epoch: u64,
    pub(super) number: u64,
}

impl SegmentId {
    pub(super) fn file_name(self) -> String {
        format!("{:08}-{:08}.{EXTENSION}", self.epoch, self.number)
    }

    /// The id a path spells, or `None` when it is not the name of a segment.
    pub(super) fn from_path(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let (epoch, number) = name.strip_suffix(EXTENSION)?.strip_suffix('.')?.split_once('-')?;
        let id = Self { epoch: epoch.parse().ok()?, number: number.parse().ok()? };
        (id.file_name() == name).then_some(id)
    }
}

/// The segments in a journal directory, oldest first. Other files are not listed.
pub fn list(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found: Vec<(SegmentId, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if let Some(id) = SegmentId::from_path(&path) {
            found.push((id, path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}
