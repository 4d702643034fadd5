//! The segment being written, from its creation to its closing: when to start the next one, and what is carried into it.
//!
//! What is committed to it is `log`'s part, what happens when it cannot be written `failover`'s.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::Durability;
use super::frame::{Header, Payload};
use super::log::{Failure, Log, Pending, SPACE_CHECK_GAP};
use super::platform::Platform;
use super::segment::{self, Segment};
use crate::storage::{self, Site};

const US_PER_DAY: i64 = 86_400_000_000;

/// A segment and how much of it is durable.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) segment: Segment,
    /// Bytes known to be durable.
    pub(super) durable_bytes: u64,
    /// Rows finished in those bytes.
    pub(super) durable_rows: u64,
    /// Bytes the segment began with: header and carried intents.
    pub(super) first_bytes: u64,
    /// When, and on which UTC day, its first row was committed.
    first_row: Option<(Instant, i64)>,
    /// When bytes were written that are not synced yet.
    pub(super) unsynced_since: Option<Instant>,
}

impl<P: Platform> Log<P> {
    /// Whether the tail is to be closed now. A segment without rows never is: all of it would be carried.
    pub(super) fn roll_due(&self) -> bool {
        let Some((tail, (first_row, day))) = self.tail.as_ref().and_then(|tail| Some((tail, tail.first_row?))) else {
            return false;
        };
        tail.segment.length() - tail.first_bytes >= self.settings.segment_bytes_max
            || first_row.elapsed() >= self.settings.seal_after
            || day_of(self.platform.now_us()) != day
    }

    /// When to look at [`roll_due`](Self::roll_due) again if nothing is queued before.
    fn roll_at(&self) -> Option<Instant> {
        let (first_row, _) = self.tail.as_ref()?.first_row?;
        let now = Instant::now();
        if self.roll_due() {
            return Some(now);
        }
        let to_midnight_us = US_PER_DAY - self.platform.now_us().rem_euclid(US_PER_DAY);
        let midnight = now + Duration::from_micros(to_midnight_us.unsigned_abs());
        // A seal_after too long for the clock leaves midnight.
        let aged = first_row.checked_add(self.settings.seal_after);
        Some(aged.map_or(midnight, |aged| aged.min(midnight)))
    }

    /// When there is something to do although nothing is queued.
    pub(super) fn due_at(&self) -> Option<Instant> {
        // Also without calls: readiness is to say that space runs out before a call does.
        let space_at = self.space_checked.and_then(|checked| checked.checked_add(SPACE_CHECK_GAP));
        [self.roll_at(), self.sync_at(), space_at].into_iter().flatten().min()
    }

    /// When what was written has to be synced, with a durability that allows a while.
    fn sync_at(&self) -> Option<Instant> {
        match self.settings.durability {
            Durability::Interval { sync_interval } => self.tail.as_ref()?.unsynced_since?.checked_add(sync_interval),
            Durability::Fsync | Durability::Write => None,
            #[cfg(feature = "bench-without-evidence")]
            Durability::Off => None,
        }
    }

    pub(super) fn sync_if_due(&mut self) -> Result<(), Failure> {
        if self.sync_at().is_some_and(|at| at <= Instant::now()) { self.sync_tail() } else { Ok(()) }
    }

    pub(super) fn sync_tail(&mut self) -> Result<(), Failure> {
        let Some(tail) = self.tail.as_mut() else { return Ok(()) };
        sync(&self.platform, &tail.segment)?;
        tail.unsynced_since = None;
        Ok(())
    }

    /// Starts the next segment with the open intents in it, then closes the old one and hands it over. In this order,
    /// so that a closed segment's open intents are always in the next one.
    pub(super) fn roll(&mut self) -> Result<(), Failure> {
        let next = self.start_segment()?;
        match self.tail.replace(next) {
            Some(old) => self.close_segment(old),
            None => Ok(()),
        }
    }

    /// Creates the next segment, durable, with the open intents and the pending rows in it.
    pub(super) fn start_segment(&mut self) -> Result<Tail, Failure> {
        let settled = self.pending.iter().filter_map(|pending| match pending {
            Pending::Intent { .. } => None,
            Pending::Settled { seq, payload, .. } => Some((payload, *seq)),
        });
        let header = Header { writer: self.writer.clone(), number: self.next_number, first_seq: self.first_seq() };
        let mut carried: Vec<_> = self.open.iter().collect();
        carried.sort_unstable_by_key(|(event_id, _)| **event_id);
        let carried = carried.into_iter().map(|(_, payload)| (payload, 0));
        let segment = segment::create(&self.settings.dir, &header, carried.chain(settled))?;
        self.next_number += 1;
        let bytes = segment.length();
        Ok(Tail {
            segment,
            durable_bytes: bytes,
            durable_rows: 0,
            first_bytes: bytes,
            first_row: None,
            unsynced_since: None,
        })
    }

    /// The lowest `seq` that is not durable yet.
    pub(super) fn first_seq(&self) -> u64 {
        let mut pending = self.pending.iter().filter_map(|pending| match pending {
            Pending::Intent { .. } => None,
            Pending::Settled { seq, .. } => Some(*seq),
        });
        pending.next().unwrap_or(self.next_seq)
    }

    fn close_segment(&mut self, mut old: Tail) -> Result<(), Failure> {
        let path = old.segment.path().to_owned();
        let closed = self.write_close(&mut old.segment);
        match closed {
            Ok(()) => self.hand_over(path),
            Err(_) => self.retired.push(old),
        }
        closed
    }

    /// Cuts the segment to its frames and adds the one that closes it. In two syncs, so that no loss of power leaves
    /// anything behind a close frame.
    fn write_close(&mut self, segment: &mut Segment) -> Result<(), Failure> {
        self.buffer.clear();
        Payload::close().write_frame(segment.seed(), 0, &mut self.buffer);
        segment.cut()?;
        sync(&self.platform, segment)?;
        segment.append_last(&self.buffer)?;
        sync(&self.platform, segment)?;
        Ok(segment.check_identity()?)
    }

    pub(super) fn hand_over(&self, path: PathBuf) {
        // With nobody there to seal it, the segment waits for the next start.
        let _ = self.closed.send(path);
    }

    pub(super) fn close_tail(&mut self) -> Result<(), Failure> {
        let Some(tail) = self.tail.take() else { return Ok(()) };
        if tail.durable_rows > 0 {
            if !self.open.is_empty() {
                self.start_segment()?;
            }
            return self.close_segment(tail);
        }
        if self.open.is_empty() {
            tail.remove();
        }
        Ok(())
    }
}

impl Tail {
    /// Everything written is durable now, among it `rows` more rows.
    pub(super) fn add_durable(&mut self, rows: u64, now_us: i64) {
        self.durable_bytes = self.segment.length();
        self.durable_rows += rows;
        if rows > 0 && self.first_row.is_none() {
            self.first_row = Some((Instant::now(), day_of(now_us)));
        }
    }

    /// Removes a segment without rows. If that fails, recovery does it.
    pub(super) fn remove(&self) {
        if let Err(error) = storage::remove(Site::SegmentRemove, self.segment.path()) {
            tracing::debug!(path = %self.segment.path().display(), %error, "empty journal segment not removed");
        }
    }
}

fn sync(platform: &impl Platform, segment: &Segment) -> Result<(), Failure> {
    let path = segment.path();
    platform.sync(segment.file(), path).map_err(|source| Failure::Sync { path: path.to_owned(), source })
}

/// The UTC day of a time, counted from the Unix epoch.
fn day_of(time_us: i64) -> i64 {
    time_us.div_euclid(US_PER_DAY)
}
