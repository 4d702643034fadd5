//! Notices storage that neither works nor fails: a call of the writer thread that does not return.
//!
//! The writer says when it turns to storage; everybody else compares that with the clock. A thread of its own says so in the
//! log, because nobody may be asking. What a stall means for calls is for `queue` to say.

use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::queue::Queue;

/// Bounds of the time between two looks.
const LOOK_GAP: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

/// Since when the writer is at storage.
#[derive(Debug)]
pub(super) struct Pulse {
    base: Instant,
    /// Microseconds after `base`, plus one; 0 while the writer is not at storage.
    since: AtomicU64,
    /// Longer than this is a stall.
    silence_max: Duration,
}

/// The writer is at storage as long as this lives.
#[derive(Debug)]
pub(super) struct Beat<'a>(&'a Pulse);

impl Drop for Beat<'_> {
    fn drop(&mut self) {
        self.0.since.store(0, Ordering::Release);
    }
}

impl Pulse {
    pub(super) fn new(silence_max: Duration) -> Self {
        Self { base: Instant::now(), since: AtomicU64::new(0), silence_max }
    }

    /// The writer turns to storage.
    pub(super) fn begin(&self) -> Beat<'_> {
        self.since.store(self.now(), Ordering::Release);
        Beat(self)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.base.elapsed().as_micros()).unwrap_or(u64::MAX - 1) + 1
    }

    /// How long the writer has been waiting for storage.
    pub(super) fn silence(&self) -> Duration {
        match self.since.load(Ordering::Acquire) {
            0 => Duration::ZERO,
            since => Duration::from_micros(self.now().saturating_sub(since)),
        }
    }

    /// Whether storage has not answered for too long.
    pub(super) fn is_stalled(&self) -> bool {
        self.silence() > self.silence_max
    }

    /// After how long a stop gives storage up: as long again as a stall takes to be one.
    pub(super) fn is_given_up(&self) -> bool {
        self.silence() > self.silence_max.saturating_mul(2)
    }
}

/// Logs each stall when it begins and when it ends, until the journal is closed.
pub(super) fn watch(queue: &Weak<Queue>, silence_max: Duration) {
    let gap = (silence_max / 4).clamp(LOOK_GAP.0, LOOK_GAP.1);
    let mut stalled = false;
    loop {
        std::thread::sleep(gap);
        let Some(queue) = queue.upgrade().filter(|queue| !queue.has_ended()) else { return };
        if queue.is_stalled() != stalled {
            stalled = !stalled;
            if stalled {
                queue.stalled();
            } else {
                tracing::info!("the audit journal's storage answers again");
            }
        }
    }
}
