//! The calls to the operating system whose answers tests decide: sync, free space and the clock.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::clock;
use crate::storage::{self, Site};

pub(super) trait Platform: Send + 'static {
    /// Makes what was written to the file, the one at `path`, durable.
    fn sync(&self, file: &File, path: &Path) -> io::Result<()>;

    /// Bytes an unprivileged process can still write to the file system of `dir`.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;

    /// Microseconds since the Unix epoch.
    fn now_us(&self) -> i64;
}

/// The real ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kernel;

impl Platform for Kernel {
    fn sync(&self, file: &File, path: &Path) -> io::Result<()> {
        storage::sync(Site::JournalSync, file, path)
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let statistics = rustix::fs::statvfs(dir)?;
        Ok(statistics.f_bavail.saturating_mul(statistics.f_frsize))
    }

    fn now_us(&self) -> i64 {
        clock::now_us()
    }
}
