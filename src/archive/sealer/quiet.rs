//! Decides when the chain says that nothing happened. Pure: the times come from outside.

use std::time::Duration;

use crate::archive::manifest::time_text;
use crate::archive::statement::HeartbeatStatement;

/// How long there was no new row.
pub(super) struct Quiet {
    after_us: i64,
    since: Option<Since>,
}

#[derive(Clone, Copy)]
struct Since {
    time_us: i64,
    last_seq: u64,
}

/// The last `seq` that was durable, read between two looks at the clock, in microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Observation {
    pub(super) before_us: i64,
    pub(super) last_seq: u64,
    pub(super) after_us: i64,
}

impl Quiet {
    pub(super) fn new(after: Duration) -> Self {
        Self { after_us: i64::try_from(after.as_micros()).unwrap_or(i64::MAX), since: None }
    }

    /// The statement that is due, if there was no row for long enough; [`Quiet::said`] ends that.
    pub(super) fn observe(&mut self, seen: Observation) -> Option<HeartbeatStatement> {
        let quiet = self.since.filter(|since| since.last_seq == seen.last_seq && since.time_us <= seen.before_us);
        let Some(since) = quiet else {
            // A row, or a clock that was set back: counted from here on.
            self.since = Some(Since { time_us: seen.after_us, last_seq: seen.last_seq });
            return None;
        };
        let due = seen.before_us.saturating_sub(since.time_us) >= self.after_us;
        due.then(|| HeartbeatStatement {
            from: time_text(since.time_us),
            to: time_text(seen.before_us),
            last_seq: seen.last_seq,
        })
    }

    /// It is in the chain that there was nothing up to `seen`.
    pub(super) fn said(&mut self, seen: Observation) {
        self.since = Some(Since { time_us: seen.before_us, last_seq: seen.last_seq });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(second: i64, last_seq: u64) -> Observation {
        let before_us = second * 1_000_000;
        Observation { before_us, last_seq, after_us: before_us + 1 }
    }

    #[test]
    fn quiet_times_follow_each_other_without_a_hole() {
        let mut quiet = Quiet::new(Duration::from_secs(10));
        assert_eq!(quiet.observe(seen(100, 3)), None);
        assert_eq!(quiet.observe(seen(109, 3)), None);
        let said = |from: &str, to: &str| {
            let [from, to] = [from, to].map(|time| format!("1970-01-01T00:{time}Z"));
            Some(HeartbeatStatement { from, to, last_seq: 3 })
        };
        assert_eq!(quiet.observe(seen(111, 3)), said("01:40.000001", "01:51.000000"));
        // Until it was written, it is due again.
        assert_eq!(quiet.observe(seen(112, 3)), said("01:40.000001", "01:52.000000"));
        quiet.said(seen(112, 3));
        assert_eq!(quiet.observe(seen(121, 3)), None);
        assert_eq!(quiet.observe(seen(122, 3)), said("01:52.000000", "02:02.000000"));
    }

    #[test]
    fn a_row_or_a_clock_set_back_begins_anew() {
        let mut quiet = Quiet::new(Duration::from_secs(10));
        assert_eq!(quiet.observe(seen(100, 3)), None);
        assert_eq!(quiet.observe(seen(110, 4)), None);
        assert_eq!(quiet.observe(seen(115, 4)), None);
        assert_eq!(quiet.observe(seen(50, 4)), None);
        assert_eq!(quiet.observe(seen(59, 4)), None);
        assert!(quiet.observe(seen(61, 4)).is_some());
    }
}
