//! Rows that stand for records that were lost.
//!
//! Pure: the event id and the time are given.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use jiff::Timestamp;
use uuid::Uuid;

use super::queue::Lost;
use super::segment::Orphan;
use crate::record::{Intent, Kind, Outcome, OutcomeKind};

/// A row that is about no client in particular.
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// One row that says how many records never reached storage, and when.
pub(super) fn lost_records(event_id: Uuid, lost: Lost) -> (Intent, Outcome) {
    let error = format!(
        "{} records lost between {} and {}: the journal could not be written",
        lost.records,
        timestamp(lost.first_us),
        timestamp(lost.last_us)
    );
    let outcome = Outcome {
        duration_us: lost.last_us.saturating_sub(lost.first_us),
        error: Some(error),
        ..Outcome::new(lost.last_us, OutcomeKind::Gap)
    };
    (Intent::new(event_id, lost.first_us, Kind::Connect, NOBODY), outcome)
}

/// One row for one record that was in damaged bytes, found damaged at `now_us`.
pub(super) fn damaged_record(event_id: Uuid, now_us: i64) -> (Intent, Outcome) {
    let outcome = Outcome {
        error: Some("1 record lost to a damaged journal segment".to_owned()),
        ..Outcome::new(now_us, OutcomeKind::Gap)
    };
    (Intent::new(event_id, now_us, Kind::Connect, NOBODY), outcome)
}

/// One row for what was damaged beside all rows: the intent of a call that was under way.
pub(super) fn damaged_open_intent(event_id: Uuid, now_us: i64) -> (Intent, Outcome) {
    let (intent, outcome) = damaged_record(event_id, now_us);
    let error = Some("a call under way was lost to a damaged journal segment".to_owned());
    (intent, Outcome { error, ..outcome })
}

/// One row for one record of which only the outcome can be read.
pub(super) fn damaged_intent(orphan: &Orphan) -> (Intent, Outcome) {
    let kind = orphan.outcome.outcome;
    let outcome = Outcome {
        outcome: OutcomeKind::Gap,
        error: Some(format!("1 record lost to a damaged journal segment, except its outcome: {kind}")),
        ..orphan.outcome.clone()
    };
    (Intent::new(orphan.event_id, outcome.end_time_us, Kind::Connect, NOBODY), outcome)
}

fn timestamp(time_us: i64) -> String {
    Timestamp::from_microsecond(time_us).map_or_else(|_| format!("{time_us} us"), |time| time.to_string())
}
