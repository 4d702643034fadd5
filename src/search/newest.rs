//! The newest rows so far: at most `limit`, each event once.

use std::collections::{BTreeMap, HashSet};

use uuid::Uuid;

use crate::record::Row;

/// Orders rows by time as sealed files are ordered, so that within a file later rows are always newer.
type Position = (i64, u64, Uuid);

/// Whether an offered row was among the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offered {
    /// Kept, or there already.
    Kept,
    /// Older than `limit` other rows; so is anything older than it.
    TooOld,
}

#[derive(Debug)]
pub(super) struct Newest {
    limit: usize,
    rows: BTreeMap<Position, Row>,
    ids: HashSet<Uuid>,
}

impl Newest {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, rows: BTreeMap::new(), ids: HashSet::new() }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    pub(super) fn offer(&mut self, row: Row) -> Offered {
        let position = position(&row);
        if self.is_full() && self.rows.first_key_value().is_none_or(|(floor, _)| position < *floor) {
            return Offered::TooOld;
        }
        if self.ids.insert(row.intent.event_id) {
            self.rows.insert(position, row);
        }
        if self.rows.len() > self.limit
            && let Some((_, dropped)) = self.rows.pop_first()
        {
            self.ids.remove(&dropped.intent.event_id);
        }
        Offered::Kept
    }

    /// `event_time` of the oldest kept row once there are `limit`: anything older is of no interest.
    pub(super) fn floor_us(&self) -> Option<i64> {
        let (oldest, _) = self.rows.first_key_value()?;
        self.is_full().then_some(oldest.0)
    }

    /// Whether rows not newer than `newest_us` can no longer matter.
    pub(super) fn is_settled_before(&self, newest_us: i64) -> bool {
        self.floor_us().is_some_and(|floor_us| newest_us < floor_us)
    }

    /// The kept rows, newest first.
    pub(super) fn into_rows(self) -> Vec<Row> {
        self.rows.into_values().rev().collect()
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= self.limit
    }
}

fn position(row: &Row) -> Position {
    (row.intent.event_time_us, row.seq, row.intent.event_id)
}
