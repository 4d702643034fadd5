//! Failures that tests order: a call that fails, hangs, or ends the process, and a clock that is wrong.
//!
//! Only builds with debug assertions have them; in a release build everything here is empty. The environment variable
//! `TOLLGATE_FAULTS` names a file with one order a line, read again at every point, so that a test can change it
//! while the process runs:
//!
//! ```text
//! journal.append.before kill 3    the process is killed when it is there for the third time
//! journal.sync.before error 28    the call fails with this errno
//! journal.sync.before block       the call does not return while this line is there
//! clock 86400000000               the wall clock is this many microseconds fast
//! ```

#[cfg(debug_assertions)]
mod orders;

#[cfg(debug_assertions)]
pub(crate) use orders::{clock_offset_us, reach};
#[cfg(not(debug_assertions))]
pub(crate) use without::{clock_offset_us, reach};

/// On which side of a call a point is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Before,
    After,
}

#[cfg(not(debug_assertions))]
mod without {
    use std::io;

    use super::Moment;
    use crate::storage::Site;

    #[inline]
    #[expect(clippy::unnecessary_wraps, reason = "debug builds can fail here")]
    pub(crate) const fn reach(_: Site, _: Moment) -> io::Result<()> {
        Ok(())
    }

    pub(crate) const fn clock_offset_us() -> i64 {
        0
    }
}
