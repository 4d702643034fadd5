//! How late it is, as far as the chain bears it out: a clock that jumped must not make evidence look old. Pure.
//!
//! Entries are written while Tollgate runs, so their times show how the clock went. The clock is believed once entries
//! without a larger hole than [`TRUST_US`] span that long up to now. After a hole, of a stop or of a jump, time stands
//! still at its beginning until then.

/// Two days, in microseconds: a weekend's stop is nothing unusual, and an operator has the time to notice a wrong clock.
pub(super) const TRUST_US: i64 = 2 * 86_400_000_000;

/// What is known about now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Believed {
    /// Microseconds since the Unix epoch; never later than the wall clock.
    pub now_us: i64,
    /// Whether that is the wall clock.
    pub wall: bool,
}

/// The time that can be believed. `entries_us` are the times of the entries, from the last one back; only as many are
/// taken as are needed.
pub(super) fn believed(wall_us: i64, entries_us: impl Iterator<Item = i64>) -> Believed {
    // Entries of a jump that was undone are later than those after it, and are passed over.
    let mut earliest_us = wall_us;
    for time_us in entries_us {
        if earliest_us.saturating_sub(time_us) > TRUST_US {
            let now_us = time_us.min(wall_us);
            return Believed { now_us, wall: now_us == wall_us };
        }
        earliest_us = earliest_us.min(time_us);
        if wall_us.saturating_sub(earliest_us) >= TRUST_US {
            return Believed { now_us: wall_us, wall: true };
        }
    }
    // The chain began less than that ago: what is older than it cannot be known to be old.
    let now_us = earliest_us.min(wall_us);
    Believed { now_us, wall: now_us == wall_us }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_US: i64 = 3_600_000_000;
    const DAY_US: i64 = 24 * HOUR_US;
    const YEAR_US: i64 = 365 * DAY_US;
    const NOW_US: i64 = 1_795_305_600_000_000;

    /// Times of hourly entries, from the last one back.
    fn hourly(last_us: i64, hours: i64) -> impl Iterator<Item = i64> {
        (0..hours).map(move |hour| last_us - hour * HOUR_US)
    }

    #[test]
    fn a_clock_that_went_on_for_two_days_is_believed() {
        assert_eq!(believed(NOW_US, hourly(NOW_US, 100)), Believed { now_us: NOW_US, wall: true });
    }

    #[test]
    fn a_jump_does_not_move_time_however_often_it_starts_again() {
        let before = NOW_US - HOUR_US;
        let jumped = NOW_US + 10 * YEAR_US;
        let expected = Believed { now_us: before, wall: false };
        assert_eq!(believed(jumped, hourly(before, 1000)), expected);
        for starts in 1..20 {
            let entries = hourly(jumped, starts).chain(hourly(before, 1000));
            assert_eq!(believed(jumped, entries), expected, "{starts}");
        }
    }

    #[test]
    fn a_clock_set_back_after_a_jump_is_taken_as_it_is() {
        let entries = hourly(NOW_US, 3).chain(hourly(NOW_US + YEAR_US, 2)).chain(hourly(NOW_US - 3 * HOUR_US, 100));
        assert_eq!(believed(NOW_US, entries).now_us, NOW_US);
    }

    #[test]
    fn after_a_long_stop_the_clock_is_believed_in_two_days() {
        let stopped = NOW_US - 30 * DAY_US;
        let after = |hours: i64| believed(NOW_US, hourly(NOW_US, hours).chain(hourly(stopped, 100)));
        assert_eq!(after(10), Believed { now_us: stopped, wall: false });
        assert_eq!(after(49), Believed { now_us: NOW_US, wall: true });
    }

    #[test]
    fn without_entries_nothing_is_old() {
        assert_eq!(believed(NOW_US, std::iter::empty()), Believed { now_us: NOW_US, wall: true });
        assert_eq!(believed(NOW_US, hourly(NOW_US, 1)), Believed { now_us: NOW_US, wall: true });
    }
}
