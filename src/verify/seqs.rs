//! Whether the rows of each start are all there, once: `seq` runs from 1 without holes. Pure.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::{Fault, Problem};
use crate::archive::manifest::Start;

/// Sequence numbers as runs, so that they take little room whatever the number of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Runs(Vec<RangeInclusive<u64>>);

impl Runs {
    /// From ascending numbers. A number that repeats begins a run of its own.
    pub(super) fn of_sorted(seqs: &[u64]) -> Self {
        let mut runs: Vec<RangeInclusive<u64>> = Vec::new();
        for seq in seqs {
            match runs.last_mut() {
                Some(run) if run.end().checked_add(1) == Some(*seq) => *run = *run.start()..=*seq,
                Some(_) | None => runs.push(*seq..=*seq),
            }
        }
        Self(runs)
    }

    /// Whether every number of `range` is in the runs, which do not overlap.
    pub(super) fn contain(&self, range: &RangeInclusive<u64>) -> bool {
        self.0.iter().any(|run| run.start() <= range.start() && range.end() <= run.end())
    }
}

/// The rows of one start.
#[derive(Debug, Default)]
struct Rows {
    /// Read from intact sealed files.
    sealed: Vec<RangeInclusive<u64>>,
    /// Not known to be missing: in the journal, or in files that were not read or have been complained about.
    assumed: Vec<RangeInclusive<u64>>,
}

/// The rows of all starts.
#[derive(Debug, Default)]
pub(super) struct Seqs(BTreeMap<Start, Rows>);

impl Seqs {
    pub(super) fn add_sealed(&mut self, start: Start, runs: Runs) {
        self.0.entry(start).or_default().sealed.extend(runs.0);
    }

    pub(super) fn assume(&mut self, start: Start, range: RangeInclusive<u64>) {
        self.0.entry(start).or_default().assumed.push(range);
    }

    pub(super) fn add_unsealed(&mut self, unsealed: &BTreeMap<Start, Runs>) {
        for (start, runs) in unsealed {
            self.0.entry(start.clone()).or_default().assumed.extend(runs.0.iter().cloned());
        }
    }

    /// Holes and repetitions, by start.
    pub(super) fn problems(mut self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (start, rows) in &mut self.0 {
            let mut complain = |range: RangeInclusive<u64>, fault| {
                let place = format!("rows {}-{} of {}-{}", range.start(), range.end(), start.instance_id, start.epoch);
                problems.push(Problem { place, fault });
            };
            rows.sealed.sort_by_key(|run| *run.start());
            for range in overlaps(&rows.sealed) {
                complain(range, Fault::SeqTwice);
            }
            let mut all = [&rows.sealed[..], &rows.assumed[..]].concat();
            all.sort_by_key(|run| *run.start());
            for range in holes(&all) {
                complain(range, Fault::SeqGap);
            }
        }
        problems
    }
}

/// What is in more than one of the runs, which are sorted by their start.
fn overlaps(sorted: &[RangeInclusive<u64>]) -> Vec<RangeInclusive<u64>> {
    let mut found = Vec::new();
    let mut seen: Option<u64> = None;
    for run in sorted {
        if let Some(last) = seen.filter(|last| run.start() <= last) {
            found.push(*run.start()..=last.min(*run.end()));
        }
        seen = seen.max(Some(*run.end()));
    }
    found
}

/// What is in none of the runs, from 1 to the last; they are sorted by their start.
fn holes(sorted: &[RangeInclusive<u64>]) -> Vec<RangeInclusive<u64>> {
    let mut found = Vec::new();
    let mut seen = 0_u64;
    for run in sorted {
        let expected = seen.saturating_add(1);
        if *run.start() > expected {
            found.push(expected..=run.start() - 1);
        }
        seen = seen.max(*run.end());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Start {
        Start { instance_id: "a".to_owned(), epoch: 3 }
    }

    fn said(seqs: Seqs) -> Vec<(String, &'static str)> {
        seqs.problems().into_iter().map(|problem| (problem.place, problem.fault.code())).collect()
    }

    #[test]
    fn files_split_by_day_interleave_without_holes() {
        let mut seqs = Seqs::default();
        seqs.add_sealed(start(), Runs::of_sorted(&[1, 3, 4, 8]));
        seqs.add_sealed(start(), Runs::of_sorted(&[2, 5, 6, 7]));
        assert_eq!(said(seqs), []);
    }

    #[test]
    fn holes_and_repetitions_are_named() {
        let mut seqs = Seqs::default();
        seqs.add_sealed(start(), Runs::of_sorted(&[3, 4, 4, 5, 9]));
        seqs.add_sealed(start(), Runs::of_sorted(&[9, 10]));
        let at = |rows: &str| format!("rows {rows} of a-3");
        assert_eq!(
            said(seqs),
            [
                (at("4-4"), "sequence_duplicate"),
                (at("9-9"), "sequence_duplicate"),
                (at("1-2"), "sequence_gap"),
                (at("6-8"), "sequence_gap"),
            ]
        );
    }

    #[test]
    fn rows_elsewhere_are_neither_missing_nor_repeated() {
        let mut seqs = Seqs::default();
        seqs.add_sealed(start(), Runs::of_sorted(&[1, 2, 5]));
        seqs.assume(start(), 1..=4);
        seqs.add_unsealed(&BTreeMap::from([(start(), Runs::of_sorted(&[5, 6, 7]))]));
        assert_eq!(said(seqs), []);
    }
}
