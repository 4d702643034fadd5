//! What a round would do, without doing any of it.

use std::collections::BTreeMap;

use super::day::current_schema;
use super::merge::Merge;
use super::pace::Pace;
use super::round::{Reason, Round};
use super::stage::Batch;
use super::stock::{self, Day, Present};
use super::{Believed, RewriteError};
use crate::archive::dataset::EventDate;

/// Why a day would be worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Something was begun and not ended.
    Unfinished,
    /// Rows are removed that are not held.
    Removal,
    /// Many files become few.
    Compaction,
}

impl Due {
    /// Stable identifier for programs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unfinished => "finish",
            Self::Removal => "remove",
            Self::Compaction => "compact",
        }
    }
}

/// What would be done to one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayPlan {
    pub date: EventDate,
    pub due: Due,
    /// Files that would go.
    pub files: u64,
    /// Rows in them.
    pub rows: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Of the rows, those that a legal hold keeps.
    pub held_rows: u64,
    /// Files that no entry accounts for; they would stay.
    pub unknown: Vec<String>,
}

/// What a round would do at `wall_us`, by day, oldest first; days that need nothing are left out.
pub fn survey(round: &Round<'_>, wall_us: i64) -> Result<(Vec<DayPlan>, Option<Believed>), RewriteError> {
    let believed = round.believed(wall_us)?;
    let due = round.due(wall_us, believed)?;
    let present: BTreeMap<EventDate, Present> =
        due.iter().map(|(date, (_, present))| (*date, present.clone())).collect();
    let days = stock::read(&round.settings.manifest_dir, round.key, &present)?;
    let mut plans = Vec::new();
    for (date, day) in &days {
        if let Some((reason, _)) = due.get(date) {
            plans.extend(plan(round, *date, *reason, day)?);
        }
    }
    Ok((plans, believed))
}

fn plan(round: &Round<'_>, date: EventDate, reason: Reason, day: &Day) -> Result<Option<DayPlan>, RewriteError> {
    let (due, batches) = match reason {
        Reason::Begun => (Due::Unfinished, Vec::new()),
        Reason::Expired => (Due::Removal, round.rules.removal(&day.live)),
        Reason::Scattered => (Due::Compaction, round.rules.compaction(&day.live, current_schema()?)),
    };
    let held_rows = match due {
        Due::Removal => held(round, &batches)?,
        Due::Unfinished | Due::Compaction => 0,
    };
    let files = || batches.iter().flat_map(|batch| &batch.files);
    let rows = files().map(|stated| stated.file.rows).sum();
    if due != Due::Unfinished && day.unknown.is_empty() && (batches.is_empty() || held_rows == rows && rows > 0) {
        return Ok(None);
    }
    Ok(Some(DayPlan {
        date,
        due,
        files: files().count() as u64,
        rows,
        bytes: files().map(|stated| stated.file.bytes).sum(),
        held_rows,
        unknown: day.unknown.clone(),
    }))
}

fn held(round: &Round<'_>, batches: &[Batch]) -> Result<u64, RewriteError> {
    let mut held = 0;
    if round.rules.holds.is_empty() {
        return Ok(held);
    }
    let mut pace = Pace::foreground();
    for batch in batches {
        let mut merge = Merge::new(&round.settings.audit_dir, &batch.files);
        while let Some(leafed) = merge.next()? {
            pace.breathe()?;
            held += u64::from(round.rules.holds.iter().any(|hold| hold.holds(&leafed.row.intent)));
        }
    }
    Ok(held)
}
