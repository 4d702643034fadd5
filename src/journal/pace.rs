//! How far apart commits are: what a sync costs is shared by all that wait for it. Pure.

use std::time::{Duration, Instant};

/// From this many calls in one commit on, storage is what they wait for, and commits may be further apart.
const CROWD: usize = 8;
/// Under a crowd, one part in this many of the time is spent in storage at most ...
const STORAGE_SHARE: u32 = 4;
/// ... and commits are not further apart than this many times the configured gap.
const GAPS_MAX: u32 = 4;

/// When the next commit may begin.
#[derive(Debug)]
pub(super) struct Pace {
    gap: Duration,
    last: Option<Commit>,
}

#[derive(Debug)]
struct Commit {
    began: Instant,
    took: Duration,
    /// Intents it made durable.
    calls: usize,
}

impl Pace {
    /// `gap` is the least time between the beginnings of two commits.
    pub(super) const fn new(gap: Duration) -> Self {
        Self { gap, last: None }
    }

    /// How long a commit that is due `now` has yet to wait, so that more frames gather.
    pub(super) fn left(&self, now: Instant) -> Duration {
        let Some(last) = &self.last else { return Duration::ZERO };
        let gap = if last.calls < CROWD {
            self.gap
        } else {
            (last.took * STORAGE_SHARE).clamp(self.gap, self.gap * GAPS_MAX)
        };
        gap.saturating_sub(now.duration_since(last.began))
    }

    /// A commit has ended.
    pub(super) fn committed(&mut self, began: Instant, ended: Instant, calls: usize) {
        self.last = Some(Commit { began, took: ended.duration_since(began), calls });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: Duration = Duration::from_millis(1);

    /// How long the commit after one of `calls` that took `took` waits, if it is due at once.
    fn waits_after(took: Duration, calls: usize) -> Duration {
        let (mut pace, began) = (Pace::new(GAP), Instant::now());
        pace.committed(began, began + took, calls);
        took + pace.left(began + took)
    }

    #[test]
    fn an_idle_writer_commits_at_once() {
        let (mut pace, began) = (Pace::new(GAP), Instant::now());
        assert_eq!(pace.left(began), Duration::ZERO);
        pace.committed(began, began + GAP / 2, 1000);
        assert_eq!(pace.left(began + 4 * GAP), Duration::ZERO);
    }

    #[test]
    fn a_few_callers_wait_for_one_gap_however_slow_storage_is() {
        assert_eq!(waits_after(GAP / 10, CROWD - 1), GAP);
        assert_eq!(waits_after(GAP * 3 / 4, CROWD - 1), GAP);
        assert_eq!(waits_after(GAP * 3, CROWD - 1), GAP * 3, "it took longer than a gap, so the next follows at once");
    }

    #[test]
    fn a_crowd_leaves_slow_storage_more_time_and_fast_storage_none() {
        assert_eq!(waits_after(GAP / 10, CROWD), GAP);
        assert_eq!(waits_after(GAP / 2, CROWD), GAP * 2);
        assert_eq!(waits_after(GAP, CROWD), GAP * 4);
        assert_eq!(waits_after(GAP * 2, CROWD), GAP * 4, "never more than four gaps");
        assert_eq!(waits_after(GAP * 9, CROWD), GAP * 9);
    }

    #[test]
    fn without_a_gap_nothing_waits() {
        let (mut pace, began) = (Pace::new(Duration::ZERO), Instant::now());
        pace.committed(began, began + GAP, 1000);
        assert_eq!(pace.left(began + GAP), Duration::ZERO);
    }
}
