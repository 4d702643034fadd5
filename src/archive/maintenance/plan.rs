//! Which files of a day become one, and which days are too old. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::holds::LegalHold;
use super::stage::Batch;
use super::stock::StatedFile;
use crate::archive::dataset::EventDate;
use crate::archive::digest::Sha256;
use crate::archive::manifest::{self, Start};
use crate::archive::statement::RewriteReason;

/// Most files that become one at a time: how many are read at once at worst, and named in one entry.
const FILES_MAX: usize = 256;
const DAY_US: i64 = 86_400_000_000;

/// What is kept, for how long and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Days that rows are kept after the one they belong to; `None` keeps them for ever.
    pub keep_days: Option<u32>,
    /// Rows that are kept longer.
    pub holds: Vec<LegalHold>,
    /// How long after its end a day is compacted.
    pub compact_after: Duration,
    /// Most rows in a file that is compacted.
    pub compact_rows_max: u64,
    /// Most bytes of the files that become one.
    pub compact_bytes_max: u64,
    /// How long the files that were replaced stay, for readers that opened their directory before.
    pub grace: Duration,
    /// Time between two rounds.
    pub every: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            keep_days: None,
            holds: Vec::new(),
            compact_after: Duration::from_secs(3600),
            compact_rows_max: 500_000,
            compact_bytes_max: 256 << 20,
            grace: Duration::from_secs(10),
            every: Duration::from_secs(3600),
        }
    }
}

impl Rules {
    /// Whether a day ended long enough ago for its files to be compacted.
    pub(super) fn closes(&self, date: EventDate, now_us: i64) -> bool {
        let after_us = i64::try_from(self.compact_after.as_micros()).unwrap_or(i64::MAX);
        date.end_us().saturating_add(after_us) <= now_us
    }

    /// Whether a day's rows are to be removed.
    pub(super) fn expires(&self, date: EventDate, believed_us: i64) -> bool {
        self.keep_days.is_some_and(|days| date.end_us().saturating_add(i64::from(days) * DAY_US) <= believed_us)
    }

    /// The files of a day that become fewer. Only those of the current schema: others could not be written as they were.
    pub(super) fn compaction(&self, live: &[StatedFile], schema: Sha256) -> Vec<Batch> {
        let current: Vec<&StatedFile> = live.iter().filter(|stated| stated.file.schema_sha256 == schema).collect();
        let mut batches = self.batches(RewriteReason::Compaction, &current);
        batches.retain(|batch| batch.files.len() > 1);
        batches
    }

    /// All files of a day, to have their rows removed.
    pub(super) fn removal(&self, live: &[StatedFile]) -> Vec<Batch> {
        self.batches(RewriteReason::Retention, &live.iter().collect::<Vec<_>>())
    }

    /// Neighbours in time, of one start, as many as go into one file; a larger one is alone.
    fn batches(&self, reason: RewriteReason, files: &[&StatedFile]) -> Vec<Batch> {
        let mut by_start: BTreeMap<&Start, Vec<&StatedFile>> = BTreeMap::new();
        for stated in files {
            by_start.entry(&stated.start).or_default().push(stated);
        }
        let mut batches: Vec<Batch> = Vec::new();
        for mut files in by_start.into_values() {
            files.sort_by_key(|stated| {
                (manifest::parse_time_text(&stated.file.first_event_time), stated.file.first_seq)
            });
            let mut batch: Vec<StatedFile> = Vec::new();
            for stated in files {
                if !self.fits(&batch, stated) {
                    batches.push(Batch { reason, files: std::mem::take(&mut batch) });
                }
                batch.push(stated.clone());
            }
            batches.push(Batch { reason, files: batch });
        }
        batches
    }

    fn fits(&self, batch: &[StatedFile], one_more: &StatedFile) -> bool {
        let rows = batch.iter().fold(one_more.file.rows, |rows, stated| rows.saturating_add(stated.file.rows));
        let bytes = batch.iter().fold(one_more.file.bytes, |bytes, stated| bytes.saturating_add(stated.file.bytes));
        batch.is_empty()
            || (batch.len() < FILES_MAX && rows <= self.compact_rows_max && bytes <= self.compact_bytes_max)
    }
}
