//! Work in the background that leaves the machine to traffic: it rests as long as it worked, and ends when told to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::RewriteError;

/// Rows between two looks at the clock.
const ROWS: u32 = 4096;
/// Longest rest; longer ones are no better for traffic, and delay the end of the process.
const REST_MAX: Duration = Duration::from_millis(200);

/// How work goes on.
pub struct Pace<'a> {
    stop: Option<&'a AtomicBool>,
    rows: u32,
    since: Instant,
}

impl<'a> Pace<'a> {
    /// At most half the time, until `stop` is set.
    #[must_use]
    pub fn background(stop: &'a AtomicBool) -> Self {
        Self { stop: Some(stop), rows: 0, since: Instant::now() }
    }

    /// Without a rest: somebody waits for the end.
    #[must_use]
    pub fn foreground() -> Self {
        Self { stop: None, rows: 0, since: Instant::now() }
    }

    /// Called for each row, or entry of the chain.
    pub(super) fn breathe(&mut self) -> Result<(), RewriteError> {
        let Some(stop) = self.stop else { return Ok(()) };
        self.rows += 1;
        if self.rows < ROWS {
            return Ok(());
        }
        self.rows = 0;
        thread::sleep(self.since.elapsed().min(REST_MAX));
        self.since = Instant::now();
        if stop.load(Ordering::Acquire) { Err(RewriteError::Stopped) } else { Ok(()) }
    }
}
