//! The wall clock. Durations are measured with `Instant`, never with this.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::faults;

/// Microseconds since the Unix epoch; 0 for a clock set before 1970.
pub(crate) fn now_us() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX).saturating_add(faults::clock_offset_us())
}
