//! One day's part of a round: ends what was begun, then makes rewrites ready, states them and does them.
//!
//! The order is what makes it safe: files are durable in staging before they are stated, stated before the dataset changes,
//! and nothing is deleted before the dataset has changed.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::pace::Pace;
use super::round::{Reason, Round, RoundReport};
use super::stage::{self, Batch};
use super::stock::{Day, StatedFile, StatedRewrite};
use super::swap::{self, Accounted, Change, Places};
use super::{Ledger, RewriteError};
use crate::archive::canonical;
use crate::archive::content::Fingerprint;
use crate::archive::digest::Sha256;
use crate::archive::file::{FileError, sync_dir};
use crate::archive::manifest::Start;
use crate::archive::schema::arrow_schema;
use crate::archive::sealed::SealedError;
use crate::archive::statement::{FileStatement, RewriteReason, RewriteStatement, Statement};

/// Work on one day.
pub(super) struct Work<'a, 'p> {
    pub(super) round: &'a Round<'a>,
    pub(super) places: Places,
    pub(super) ledger: &'a mut dyn Ledger,
    pub(super) pace: &'a mut Pace<'p>,
    pub(super) report: &'a mut RoundReport,
}

impl Work<'_, '_> {
    /// Does what the day needs; whether anything changed. `busy`: the journal has rows of it.
    pub(super) fn day(&mut self, reason: Reason, day: &Day, busy: bool) -> Result<bool, RewriteError> {
        let tidied = self.tidy(day)?;
        if tidied || busy {
            return Ok(tidied);
        }
        let rules = self.round.rules;
        let batches = match reason {
            Reason::Expired => rules.removal(&self.intact(day)?),
            Reason::Scattered => rules.compaction(&self.intact(day)?, current_schema()?),
            // What is due for another reason is found in the next pass.
            Reason::Begun => return Ok(true),
        };
        self.rewrite(&batches, day)
    }

    /// The files whose rows count and whose bytes are those signed for; the others are named.
    fn intact(&mut self, day: &Day) -> Result<Vec<StatedFile>, RewriteError> {
        let mut intact = Vec::new();
        for stated in &day.live {
            let path = self.places.partition.join(name_of(&stated.file.path));
            match Fingerprint::of(&path) {
                Ok(found) if found.sha256 == stated.file.sha256 => intact.push(stated.clone()),
                Ok(_) => self.report.unknown.push(path),
                Err(error) => return Err(FileError::io("reading", &path)(error).into()),
            }
        }
        Ok(intact)
    }

    /// Ends what a crash left; whether anything changed but leftovers in staging.
    fn tidy(&mut self, day: &Day) -> Result<bool, RewriteError> {
        let kept = self.round.locked(|| swap::discard(&self.places, &day.accounted))?;
        self.report.unknown.extend(kept);
        let ready: Vec<&StatedRewrite> = day.undone.iter().filter(|stated| is_ready(&self.places, stated)).collect();
        if !ready.is_empty() {
            let rewrites: Vec<RewriteStatement> = ready.iter().map(|stated| stated.rewrite.clone()).collect();
            self.change(&rewrites, day)?;
            self.places.remove_out()?;
            return Ok(true);
        }
        self.places.remove_out()?;
        self.round.locked(|| self.places.remove_partition_if_empty())?;
        let mut removed = 0;
        for stated in &day.superseded {
            let name = name_of(&stated.file.path);
            let path = self.places.partition.join(name);
            (self.round.expect)(&path);
            removed +=
                u64::from(self.round.locked(|| swap::remove_accounted(&self.places, &path, name, &day.accounted))?);
        }
        self.report.files_gone += removed;
        if removed > 0 {
            sync_dir(&self.places.partition)?;
        }
        Ok(removed > 0)
    }

    /// Makes rewrites ready, states them and does them; whether there were any.
    fn rewrite(&mut self, batches: &[Batch], day: &Day) -> Result<bool, RewriteError> {
        if batches.is_empty() {
            return Ok(false);
        }
        self.places.create_out()?;
        let mut rewrites: Vec<(Start, RewriteStatement)> = Vec::new();
        for batch in batches {
            let staged =
                stage::stage(self.round.settings, &self.places.out, batch, &self.round.rules.holds, self.pace)?;
            rewrites.extend(batch.start().cloned().zip(staged));
        }
        sync_dir(&self.places.out)?;
        for (start, rewrite) in &rewrites {
            self.ledger.state(start, Statement::Rewrite(rewrite.clone()))?;
        }
        let rewrites: Vec<RewriteStatement> = rewrites.into_iter().map(|(_, rewrite)| rewrite).collect();
        if !rewrites.is_empty() {
            self.change(&rewrites, day)?;
        }
        self.places.remove_out()?;
        Ok(!rewrites.is_empty())
    }

    /// Does what was stated.
    fn change(&mut self, rewrites: &[RewriteStatement], day: &Day) -> Result<(), RewriteError> {
        let mut accounted: Accounted = day.accounted.clone();
        for input in rewrites.iter().flat_map(|rewrite| &rewrite.inputs) {
            accounted.entry(input.path.clone()).or_default().insert(input.sha256);
        }
        let inputs = rewrites.iter().flat_map(|rewrite| &rewrite.inputs);
        let going: BTreeSet<String> = inputs.map(|input| name_of(&input.path).to_owned()).collect();
        let outputs = rewrites.iter().filter_map(|rewrite| rewrite.output.as_ref());
        let coming: BTreeSet<String> = outputs.map(|output| name_of(&output.path).to_owned()).collect();
        self.report.files_gone += going.len().saturating_sub(coming.len()) as u64;
        let change = Change { going, coming, accounted: &accounted };
        let kept = self.round.locked(|| swap::swap(&self.places, &change, self.round.expect))?;
        self.report.unknown.extend(kept);
        if self.round.rules.grace.is_zero() {
            let kept = self.round.locked(|| swap::discard(&self.places, &accounted))?;
            self.report.unknown.extend(kept);
        }
        self.report.rewrites += rewrites.len() as u64;
        let removed = rewrites.iter().filter_map(|rewrite| rewrite.removed.as_ref());
        self.report.rows_removed += removed.map(|removed| removed.rows).sum::<u64>();
        Ok(())
    }
}

/// Whether a stated rewrite can be done as it was stated. One that removes rows is planned again while all of them are
/// there: what is held may have changed since.
fn is_ready(places: &Places, stated: &StatedRewrite) -> bool {
    let is_there = |output: &FileStatement| {
        Fingerprint::of(&places.out.join(name_of(&output.path))).is_ok_and(|found| found.sha256 == output.sha256)
    };
    match (stated.rewrite.reason, &stated.rewrite.output) {
        (RewriteReason::Compaction, output) => output.as_ref().is_some_and(is_there),
        (RewriteReason::Retention, Some(_)) => false,
        (RewriteReason::Retention, None) => {
            stated.rewrite.inputs.iter().any(|input| !places.partition.join(name_of(&input.path)).exists())
        }
    }
}

/// The name of a file in its partition, from its path in the dataset.
fn name_of(path: &str) -> &str {
    path.split_once('/').map_or(path, |(_, name)| name)
}

/// Of the files that are written now.
pub(super) fn current_schema() -> Result<Sha256, RewriteError> {
    let schema = canonical::schema_fingerprint(&arrow_schema()).map_err(SealedError::from);
    schema.map_err(|source| FileError::Content { path: PathBuf::from("the schema"), source }.into())
}
