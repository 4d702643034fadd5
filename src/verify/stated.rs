//! What the chain says there is: files, what became of them, and rows that were removed.
//!
//! A rewrite is stated before it is done. As long as its output is not there and all its inputs are, it is pending and
//! the inputs count; otherwise the output counts, and what is left of the inputs is named.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::Fault;
use crate::archive::content::Fingerprint;
use crate::archive::digest::Sha256;
use crate::archive::maintenance::stock::StatedFile;
use crate::archive::manifest::{Entry, Start};
use crate::archive::statement::{FileStatement, RemovedRows, RewriteReason, RewriteStatement, Statement};

/// What all believed entries come to.
#[derive(Debug, Default)]
pub(super) struct Stated {
    /// By path.
    pub(super) files: HashMap<String, StatedFile>,
    /// Files that a rewrite which was done replaced or removed, by path.
    pub(super) superseded: HashMap<String, StatedFile>,
    /// Outputs, or inputs to be removed, of rewrites that are stated and not begun.
    pub(super) pending: Vec<String>,
    /// Lists of the rows of outputs of such rewrites.
    pub(super) pending_lists: BTreeSet<Sha256>,
    /// Rewrites that were done, by the index of their entry.
    done: HashMap<u64, Done>,
}

/// A rewrite that was done.
#[derive(Debug)]
struct Done {
    start: Start,
    inputs: Vec<StatedFile>,
    /// Path of the output.
    output: Option<String>,
    removed: Option<RemovedRows>,
}

impl Stated {
    /// Takes in an entry that is believed; what it says wrongly is returned.
    pub(super) fn add(&mut self, entry: Entry, present: &BTreeMap<String, PathBuf>) -> Vec<Fault> {
        let (index, start) = (entry.index, entry.start());
        match entry.statement {
            Statement::File(file) => self.add_file(StatedFile { index, start, file }).err().into_iter().collect(),
            Statement::Rewrite(rewrite) => self.add_rewrite(index, &start, rewrite, present),
            Statement::Start(_)
            | Statement::Stop(_)
            | Statement::Heartbeat(_)
            | Statement::Policy(_)
            | Statement::RefusedReload(_)
            | Statement::KeyRotation(_) => Vec::new(),
        }
    }

    fn add_file(&mut self, stated: StatedFile) -> Result<(), Fault> {
        let path = stated.file.path.clone();
        if self.files.contains_key(&path) {
            return Err(Fault::PathTwice(path));
        }
        self.superseded.remove(&path);
        self.files.insert(path, stated);
        Ok(())
    }

    fn add_rewrite(
        &mut self,
        index: u64,
        start: &Start,
        rewrite: RewriteStatement,
        present: &BTreeMap<String, PathBuf>,
    ) -> Vec<Fault> {
        self.undo_replaced(&rewrite);
        let mut faults = Vec::new();
        let mut inputs: Vec<StatedFile> = Vec::new();
        for input in &rewrite.inputs {
            let named = |file: &StatedFile| {
                file.index == input.index && file.file.sha256 == input.sha256 && file.start == *start
            };
            match self.files.get(&input.path).filter(|file| named(file)) {
                Some(file) if !inputs.iter().any(|seen| seen.index == file.index) => inputs.push(file.clone()),
                Some(_) | None => faults.push(Fault::RewriteInput(input.path.clone())),
            }
        }
        faults.extend(wrong_rows(&rewrite, &inputs));
        if is_pending(&rewrite, &inputs, present) {
            self.pending.extend(inputs.into_iter().map(|input| input.file.path));
            self.pending.sort();
            self.pending.dedup();
            self.pending_lists.extend(rewrite.output.and_then(|output| output.leaves_sha256));
            return faults;
        }
        for input in &inputs {
            let path = input.file.path.clone();
            self.files.remove(&path);
            self.superseded.insert(path, input.clone());
        }
        let output = rewrite.output.as_ref().map(|output| output.path.clone());
        self.done.insert(index, Done { start: start.clone(), inputs, output, removed: rewrite.removed });
        if let Some(file) = rewrite.output {
            faults.extend(self.add_file(StatedFile { index, start: start.clone(), file }).err());
        }
        faults
    }
}

impl Stated {
    /// Numbers of rows that were removed.
    pub(super) fn removed(&self) -> impl Iterator<Item = (&Start, RangeInclusive<u64>)> {
        let removed = self.done.values().filter_map(|done| Some((&done.start, done.removed.as_ref()?)));
        removed.flat_map(|(start, removed)| removed.seqs.iter().map(move |(first, last)| (start, *first..=*last)))
    }

    pub(super) fn removed_rows(&self) -> u64 {
        let removed = self.done.values().filter_map(|done| done.removed.as_ref());
        removed.fold(0, |rows, removed| rows.saturating_add(removed.rows))
    }

    /// Takes back rewrites of which this one names an input.
    fn undo_replaced(&mut self, rewrite: &RewriteStatement) {
        let names = |done: &Done| {
            let named = |file: &StatedFile| {
                rewrite.inputs.iter().any(|input| input.index == file.index && input.path == file.file.path)
            };
            done.inputs.iter().any(named)
        };
        let replaced: Vec<u64> = self.done.iter().filter(|(_, done)| names(done)).map(|(index, _)| *index).collect();
        for done in replaced.iter().filter_map(|index| self.done.remove(index)).collect::<Vec<_>>() {
            done.output.iter().for_each(|output| drop(self.files.remove(output)));
            for input in done.inputs {
                self.superseded.remove(&input.file.path);
                self.files.insert(input.file.path.clone(), input);
            }
        }
    }
}

/// Whether the files are still as they were before the rewrite.
fn is_pending(rewrite: &RewriteStatement, inputs: &[StatedFile], present: &BTreeMap<String, PathBuf>) -> bool {
    let all_there = !inputs.is_empty() && inputs.iter().all(|input| present.contains_key(&input.file.path));
    let done = rewrite.output.as_ref().is_some_and(|output| is_there(output, inputs, present));
    all_there && !done
}

/// Whether the output is in place. Under the name of an input it is told apart by its bytes.
fn is_there(output: &FileStatement, inputs: &[StatedFile], present: &BTreeMap<String, PathBuf>) -> bool {
    let Some(real) = present.get(&output.path) else { return false };
    let replaces = inputs.iter().any(|input| input.file.path == output.path);
    !replaces || Fingerprint::of(real).is_ok_and(|found| found.sha256 == output.sha256)
}

/// The rows of the inputs are those of the output and those removed.
fn wrong_rows(rewrite: &RewriteStatement, inputs: &[StatedFile]) -> Option<Fault> {
    let before = inputs.iter().fold(0_u64, |rows, input| rows.saturating_add(input.file.rows));
    let kept = rewrite.output.as_ref().map_or(0, |output| output.rows);
    let removed = rewrite.removed.as_ref().map_or(0, |removed| removed.rows);
    let ranges = rewrite.removed.as_ref().map_or(Some(0), numbered);
    let may_remove = match rewrite.reason {
        RewriteReason::Compaction => rewrite.removed.is_none(),
        RewriteReason::Retention => true,
    };
    let right = may_remove && ranges == Some(removed) && kept.checked_add(removed) == Some(before);
    (!right).then_some(Fault::RewriteRows { before, kept, removed })
}

/// How many rows the ranges name; `None` if they are not ascending ranges.
fn numbered(removed: &RemovedRows) -> Option<u64> {
    let (mut rows, mut after) = (0_u64, 0);
    for (first, last) in &removed.seqs {
        if *first <= after || last < first {
            return None;
        }
        rows = rows.checked_add(last - first)?.checked_add(1)?;
        after = *last;
    }
    Some(rows)
}
