//! The calls to the operating system whose answers tests decide: sync, free space and the clock.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

pub(super) trait Platform: Send + 'static {
    /// Makes what was written to the file durable.
    fn sync(&self, file: &File) -> io::Result<()>;

    /// Bytes an unprivileged process can still write to the file system of `dir`.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;

    /// Microseconds since the Unix epoch.
    fn now_us(&self) -> i64;
}

/// The real ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kernel;

impl Platform for Kernel {
    fn sync(&self, file: &File) -> io::Result<()> {
        Ok(rustix::fs::fdatasync(file)?)
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let statistics = rustix::fs::statvfs(dir)?;
        Ok(statistics.f_bavail.saturating_mul(statistics.f_frsize))
    }

    fn now_us(&self) -> i64 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX)
    }
}
