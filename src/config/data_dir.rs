//! The layout of the data directory. Only names, no I/O.

use std::path::{Path, PathBuf};

/// Root of everything written at run time. Journal, staging and keys are siblings of `audit`, never inside it: readers
/// of the dataset open whatever ends in `.parquet` below their root, finished or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataDir(PathBuf);

impl DataDir {
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }

    pub fn root(&self) -> &Path {
        &self.0
    }

    /// Finished Parquet files, partitioned by `event_date`.
    pub fn audit(&self) -> PathBuf {
        self.0.join("audit")
    }

    /// Journal segments not yet sealed.
    pub fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }

    /// Parquet files being written.
    pub fn staging(&self) -> PathBuf {
        self.0.join("staging")
    }

    /// What commands that anchor the chain printed.
    pub fn anchors(&self) -> PathBuf {
        self.0.join("anchors")
    }

    /// Secret keys made by this installation.
    pub fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }
}
