//! Rounds over a real directory, with the clock as an argument.

mod crash;
mod grace;
mod lists;
mod packing;
mod power;
mod retention;
mod segments;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;

use super::round::Settled;
use super::*;
use crate::archive::content::Content;
use crate::archive::dataset;
use crate::archive::entries;
use crate::archive::leaves;
use crate::archive::samples::{self, MIDNIGHT_US};
use crate::archive::statement::{RewriteReason, RewriteStatement};
use crate::archive::{Settings, Signer, seal};
use crate::record::Row;
use crate::verify::{self, Report};

pub(super) const DAY_US: i64 = 86_400_000_000;
/// Two hours after the end of the second day.
pub(super) const AFTER_US: i64 = MIDNIGHT_US + DAY_US + 7_200_000_000;
pub(super) const FIRST_DAY: &str = "event_date=2026-11-21";
pub(super) const SECOND_DAY: &str = "event_date=2026-11-22";

/// A data directory with a chain.
pub(super) struct Bench {
    pub(super) dir: TempDir,
    pub(super) settings: Settings,
    pub(super) rules: Rules,
    pub(super) trust_clock: bool,
}

impl Bench {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().expect("temp dir");
        let settings = Settings::new(dir.path());
        fs::create_dir(dir.path().join("keys")).expect("keys");
        seal::prepare(&settings).expect("prepares");
        let rules = Rules { grace: Duration::ZERO, ..Rules::default() };
        Self { dir, settings, rules, trust_clock: true }
    }

    /// Rows 1 to 9 in three segments, of which the first two rows are of the first day.
    pub(super) fn three_segments() -> Self {
        let bench = Self::new();
        for seqs in [1..=4, 5..=7, 8..=9] {
            bench.seal(&rows_at(seqs));
        }
        bench
    }

    pub(super) fn copy(&self) -> Self {
        let dir = tempfile::tempdir().expect("temp dir");
        copy_dir(self.dir.path(), dir.path());
        let settings = Settings::new(dir.path());
        Self { dir, settings, rules: self.rules.clone(), trust_clock: self.trust_clock }
    }

    pub(super) fn chain(&self) -> Chain {
        let signer = Signer::load_or_create(&self.dir.path().join("keys")).expect("key");
        Chain::open(self.settings.clone(), signer).expect("opens")
    }

    pub(super) fn seal(&self, rows: &[Row]) {
        let written = samples::seal(&self.settings, rows).expect("seals");
        samples::cover(&mut self.chain(), rows, &written, MIDNIGHT_US).expect("covers");
    }

    /// A round of a process that has just started.
    pub(super) fn round(&self, wall_us: i64) -> RoundReport {
        seal::prepare(&self.settings).expect("prepares");
        self.round_with(wall_us, &mut self.chain())
    }

    pub(super) fn round_with(&self, wall_us: i64, chain: &mut Chain) -> RoundReport {
        self.round_after(wall_us, chain, &mut Settled::default())
    }

    /// A round of a process that has run others before.
    pub(super) fn round_after(&self, wall_us: i64, chain: &mut Chain, settled: &mut Settled) -> RoundReport {
        self.with_round(|round| round.run(wall_us, chain, &mut Pace::foreground(), settled))
    }

    pub(super) fn with_round<T>(&self, work: impl FnOnce(&Round<'_>) -> T) -> T {
        let signer = Signer::load_or_create(&self.dir.path().join("keys")).expect("key");
        let lock = std::sync::Mutex::new(());
        work(&Round {
            settings: &self.settings,
            journal_dir: &self.dir.path().join("journal"),
            rules: &self.rules,
            key: signer.public(),
            lock: &lock,
            expect: &|_| {},
            progress: &|_, _| {},
            trust_clock: self.trust_clock,
        })
    }

    /// A round that has nothing to complain about.
    pub(super) fn clean_round(&self, wall_us: i64) -> RoundReport {
        let report = self.round(wall_us);
        assert!(report.problems.is_empty(), "{:?}", report.problems);
        assert_eq!(report.unknown, Vec::<PathBuf>::new());
        report
    }

    /// Names of the files of the dataset, by partition.
    pub(super) fn files(&self) -> BTreeMap<String, Vec<String>> {
        let mut found = BTreeMap::new();
        for (date, dir) in dataset::partitions(&self.settings.audit_dir).expect("lists") {
            let mut names: Vec<String> = fs::read_dir(dir)
                .expect("lists")
                .map(|entry| entry.expect("entry").file_name().into_string().expect("UTF-8"))
                .collect();
            names.sort();
            found.insert(date.directory_name(), names);
        }
        found
    }

    /// Every `seq` in the dataset, ascending.
    pub(super) fn seqs(&self) -> Vec<u64> {
        let mut seqs = Vec::new();
        for (_, dir) in dataset::partitions(&self.settings.audit_dir).expect("lists") {
            for (_, path) in dataset::files(&dir).expect("lists") {
                seqs.extend(Content::read(&path).expect("reads").seqs);
            }
        }
        seqs.sort_unstable();
        seqs
    }

    pub(super) fn verified(&self) -> Report {
        let threads = std::num::NonZeroUsize::MIN;
        let root = self.dir.path().to_owned();
        let settings =
            verify::Settings { root, public_key: None, since_us: None, until_us: None, threads, anchor: None };
        verify::run(&settings, &|_, _| {}).expect("verifies")
    }

    /// Verifies and expects nothing to be wrong.
    pub(super) fn intact(&self) -> Report {
        let report = self.verified();
        assert_eq!(report.problems.iter().map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
        report
    }

    /// How many things are in staging.
    pub(super) fn staged(&self) -> usize {
        fs::read_dir(&self.settings.staging_dir).expect("lists").count()
    }

    /// How many lists of rows there are.
    pub(super) fn lists(&self) -> usize {
        let found = leaves::list(&leaves::directory(&self.settings.manifest_dir)).expect("lists");
        assert_eq!(found.strays, Vec::<PathBuf>::new());
        found.named.len()
    }

    pub(super) fn rewrites(&self) -> Vec<RewriteStatement> {
        let mut rewrites = Vec::new();
        let walked = entries::walk_back(&self.settings.manifest_dir, |signed| {
            if let Statement::Rewrite(rewrite) = &signed.entry.statement {
                rewrites.push(rewrite.clone());
            }
            true
        });
        walked.expect("reads");
        rewrites.reverse();
        rewrites
    }
}

pub(super) fn rows_at(seqs: std::ops::RangeInclusive<u64>) -> Vec<Row> {
    seqs.map(|seq| samples::row(seq, MIDNIGHT_US - 3 + seq as i64)).collect()
}

fn copy_dir(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("lists") {
        let entry = entry.expect("entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("type").is_dir() {
            fs::create_dir(&target).expect("dir");
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copies");
        }
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn a_closed_day_becomes_one_file_with_the_same_rows() {
    let bench = Bench::three_segments();
    assert_eq!(bench.clean_round(AFTER_US - 3_700_000_000).rewrites, 0, "the day has not been over for an hour");
    let report = bench.clean_round(AFTER_US);
    assert_eq!((report.rewrites, report.rows_removed, report.files_gone), (1, 0, 2));
    let files = bench.files();
    assert_eq!(files[FIRST_DAY], names(&["gate-1-7-1-2.parquet"]));
    assert_eq!(files[SECOND_DAY], names(&["gate-1-7-3-9.parquet"]));
    assert_eq!(bench.seqs(), (1..=9).collect::<Vec<_>>());
    let verified = bench.intact();
    assert_eq!((verified.files, verified.rows, verified.removed_rows), (2, 9, 0));
    assert_eq!(bench.staged(), 0);
    assert_eq!(bench.clean_round(AFTER_US).rewrites, 0, "nothing is left to do");
}

#[test]
fn rows_are_sorted_by_time_and_number_whatever_file_they_were_in() {
    let bench = Bench::new();
    let row = |seq: u64, at: i64| samples::row(seq, MIDNIGHT_US + at);
    bench.seal(&[row(1, 5), row(2, 1), row(3, 9)]);
    bench.seal(&[row(4, 0), row(5, 5), row(6, 7)]);
    bench.seal(&[row(7, 5)]);
    bench.clean_round(AFTER_US);
    let path = bench.settings.audit_dir.join(SECOND_DAY).join("gate-1-7-1-7.parquet");
    let file = crate::archive::sealed::SealedFile::open(&path).expect("opens");
    let reader = file.reader(false).expect("reads").build().expect("reads");
    let mut found = Vec::new();
    for batch in reader {
        let mut decoder = crate::archive::rows::Decoder::new(&batch.expect("batch"), 7).expect("columns");
        found.extend((0..decoder.len()).map(|at| decoder.row(at).expect("row").seq));
    }
    assert_eq!(found, [4, 2, 1, 5, 7, 6, 3]);
    bench.intact();
}

#[test]
fn late_rows_join_the_compacted_file_later() {
    let bench = Bench::three_segments();
    bench.clean_round(AFTER_US);
    bench.seal(&[samples::row(10, MIDNIGHT_US + 100)]);
    assert_eq!(bench.files()[SECOND_DAY].len(), 2);
    assert_eq!(bench.clean_round(AFTER_US).rewrites, 1);
    assert_eq!(bench.files()[SECOND_DAY], names(&["gate-1-7-3-10.parquet"]));
    assert_eq!(bench.seqs(), (1..=10).collect::<Vec<_>>());
    bench.intact();
}

#[test]
fn an_output_may_have_the_name_of_an_input() {
    let bench = Bench::new();
    bench.seal(&[samples::row(1, MIDNIGHT_US), samples::row(9, MIDNIGHT_US + 9)]);
    bench.seal(
        &rows_at(3..=5)
            .into_iter()
            .map(|row| samples::row(row.seq, MIDNIGHT_US + 4 + row.seq as i64))
            .collect::<Vec<_>>(),
    );
    bench.clean_round(AFTER_US);
    assert_eq!(bench.files()[SECOND_DAY], names(&["gate-1-7-1-9.parquet"]));
    assert_eq!(bench.seqs(), [1, 3, 4, 5, 9]);
    let codes: Vec<_> = bench.verified().problems.iter().map(|problem| problem.fault.code()).collect();
    assert_eq!(codes, ["sequence_gap", "sequence_gap"], "rows 2 and 6 to 8 were never there");
    assert_eq!(bench.clean_round(AFTER_US).rewrites, 0);
}

#[test]
fn files_have_at_most_the_rows_that_are_set() {
    let mut bench = Bench::new();
    bench.rules.compact_rows_max = 4;
    for first in [3, 5, 7, 9, 11] {
        bench.seal(&rows_at(first..=first + 1));
    }
    bench.clean_round(AFTER_US);
    let expected = ["gate-1-7-11-12.parquet", "gate-1-7-3-6.parquet", "gate-1-7-7-10.parquet"];
    assert_eq!(bench.files()[SECOND_DAY], names(&expected));
    assert_eq!(bench.seqs(), (3..=12).collect::<Vec<_>>());
}

#[test]
fn what_no_entry_accounts_for_stays_and_is_named() {
    let bench = Bench::three_segments();
    let partition = bench.settings.audit_dir.join(SECOND_DAY);
    let foreign = partition.join("gate-2-1-1-3.parquet");
    fs::copy(partition.join("gate-1-7-5-7.parquet"), &foreign).expect("copies");
    fs::write(partition.join("notes.txt"), "a").expect("writes");
    let modified = partition.join("gate-1-7-8-9.parquet");
    let mut bytes = fs::read(&modified).expect("reads");
    bytes[100] ^= 1;
    fs::write(&modified, &bytes).expect("writes");

    let mut report = bench.round(AFTER_US);
    report.unknown.sort();
    report.unknown.dedup();
    assert_eq!(report.unknown, [modified.clone(), foreign.clone(), partition.join("notes.txt")]);
    assert_eq!(
        bench.files()[SECOND_DAY],
        names(&["gate-1-7-3-7.parquet", "gate-1-7-8-9.parquet", "gate-2-1-1-3.parquet", "notes.txt"])
    );
    assert_eq!(fs::read(&modified).expect("reads"), bytes);

    // Nor when the day is too old.
    let old = Bench { rules: Rules { keep_days: Some(1), ..bench.rules.clone() }, ..bench.copy() };
    old.round(MIDNIGHT_US + 10 * DAY_US);
    assert_eq!(old.files()[SECOND_DAY], names(&["gate-1-7-8-9.parquet", "gate-2-1-1-3.parquet", "notes.txt"]));
}

#[test]
fn a_directory_in_a_partition_keeps_the_day_as_it_is() {
    let bench = Bench::three_segments();
    fs::create_dir(bench.settings.audit_dir.join(SECOND_DAY).join("inside")).expect("dir");
    let report = bench.round(AFTER_US);
    assert!(matches!(report.problems[..], [Problem { error: RewriteError::NotAFile(_), .. }]), "{:?}", report.problems);
    assert_eq!(bench.seqs(), (1..=9).collect::<Vec<_>>());
}

#[test]
fn a_file_put_back_after_it_was_rewritten_is_removed_again() {
    let bench = Bench::three_segments();
    let input = bench.settings.audit_dir.join(SECOND_DAY).join("gate-1-7-5-7.parquet");
    let bytes = fs::read(&input).expect("reads");
    bench.clean_round(AFTER_US);
    fs::write(&input, bytes).expect("writes");
    assert_eq!(bench.verified().problems[0].fault.code(), "file_superseded");
    assert_eq!(bench.clean_round(AFTER_US).files_gone, 1);
    assert_eq!(bench.seqs(), (1..=9).collect::<Vec<_>>());
    bench.intact();
}

#[test]
fn a_chain_that_was_changed_is_no_reason_to_delete() {
    let mut bench = Bench::three_segments();
    bench.rules.keep_days = Some(1);
    let entry = bench.settings.manifest_dir.join("00000003.json");
    let text = fs::read_to_string(&entry).expect("reads").replace("\"rows\":3", "\"rows\":2");
    fs::write(&entry, text).expect("writes");
    let report = bench.round(MIDNIGHT_US + 10 * DAY_US);
    // What follows the change is still proved; what is before it is not.
    assert_eq!(bench.seqs(), (1..=7).collect::<Vec<_>>());
    assert_eq!(report.rows_removed, 2);
}

#[test]
fn a_day_with_rows_in_the_journal_waits() {
    let bench = Bench::three_segments();
    let journal_dir = bench.dir.path().join("journal");
    fs::create_dir(&journal_dir).expect("dir");
    let (closed, segments) = std::sync::mpsc::channel();
    let settings = crate::journal::Settings::new(journal_dir);
    let writer = crate::record::Writer { epoch: 8, ..(*samples::writer()).clone() };
    let (journal, thread) = crate::journal::open(settings, writer, closed).expect("opens");
    let late = samples::row(1, MIDNIGHT_US + 5);
    drop(journal.record(&late.intent, &late.outcome));
    thread.close().expect("closes");
    assert_eq!(bench.clean_round(AFTER_US).rewrites, 0);
    fs::remove_file(segments.recv().expect("a segment")).expect("removes");
    assert_eq!(bench.clean_round(AFTER_US).rewrites, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_was_sealed_is_there_once_after_compaction(
        steps in proptest::collection::vec((1..6_u64, -2..2_i64, any::<bool>()), 1..8),
        rows_max in 2..12_u64,
    ) {
        let mut bench = Bench::new();
        bench.rules.compact_rows_max = rows_max;
        let mut next = 1;
        for (rows, day, compact) in steps {
            let sealed: Vec<Row> = (next..next + rows).map(|seq| samples::row(seq, MIDNIGHT_US + day * DAY_US + (seq % 3) as i64)).collect();
            next += rows;
            bench.seal(&sealed);
            if compact {
                bench.clean_round(MIDNIGHT_US + 5 * DAY_US);
            }
        }
        bench.clean_round(MIDNIGHT_US + 5 * DAY_US);
        prop_assert_eq!(bench.seqs(), (1..next).collect::<Vec<_>>());
        bench.intact();
        prop_assert_eq!(bench.staged(), 0);
        prop_assert_eq!(bench.lists(), bench.files().values().map(Vec::len).sum::<usize>());
    }
}
