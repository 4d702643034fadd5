//! Readers that opened a day's directory before it was replaced, and list it afterwards.

use super::*;
use crate::archive::file::sync_dir;

const LONG: Duration = Duration::from_secs(3600);

/// What is listed through a directory that was opened before.
fn listed(opened: fs::ReadDir) -> Vec<String> {
    let mut names: Vec<String> =
        opened.map(|entry| entry.expect("entry").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

fn lasting(grace: Duration) -> Bench {
    let mut bench = Bench::three_segments();
    bench.rules.grace = grace;
    bench
}

#[test]
fn a_reader_that_opened_the_day_before_the_exchange_finds_its_files_afterwards() {
    let bench = lasting(LONG);
    let before = bench.files()[SECOND_DAY].clone();
    let open = || fs::read_dir(bench.settings.audit_dir.join(SECOND_DAY)).expect("opens");
    let (opened, (mut chain, mut settled)) = (open(), (bench.chain(), Settled::default()));
    let report = bench.round_after(AFTER_US, &mut chain, &mut settled);
    assert_eq!((report.rewrites, report.files_gone), (1, 2));
    assert!(report.again.is_some());
    assert_eq!(listed(opened), before);
    assert_eq!(bench.files()[SECOND_DAY], names(&["gate-1-7-3-9.parquet"]), "others find the new one");
    bench.intact();

    let replaced = bench.settings.staging_dir.join(SECOND_DAY);
    bench.round_after(AFTER_US, &mut chain, &mut settled);
    assert_eq!(fs::read_dir(&replaced).expect("there").count(), 3, "the grace is not over");
}

#[test]
fn without_grace_such_a_reader_finds_nothing() {
    let bench = lasting(Duration::ZERO);
    let opened = fs::read_dir(bench.settings.audit_dir.join(SECOND_DAY)).expect("opens");
    assert_eq!(bench.clean_round(AFTER_US).again, None);
    assert_eq!(listed(opened), Vec::<String>::new());
}

#[test]
fn replaced_files_go_after_the_grace_and_late_rows_are_compacted_then() {
    let bench = lasting(Duration::from_millis(20));
    let (mut chain, mut settled) = (bench.chain(), Settled::default());
    bench.round_after(AFTER_US, &mut chain, &mut settled);
    drop(chain);
    bench.seal(&[samples::row(10, MIDNIGHT_US + 100)]);
    let mut chain = bench.chain();
    let deadline = std::time::Instant::now() + LONG;
    let mut rewrites = 0;
    while bench.staged() > 0 || rewrites == 0 {
        let report = bench.round_after(AFTER_US, &mut chain, &mut settled);
        assert!(report.problems.is_empty(), "{:?}", report.problems);
        rewrites += report.rewrites;
        assert!(std::time::Instant::now() < deadline, "replaced files are still there");
    }
    assert_eq!(bench.files()[SECOND_DAY], names(&["gate-1-7-3-10.parquet"]));
    assert_eq!(bench.seqs(), (1..=10).collect::<Vec<_>>());
    bench.intact();
}

#[test]
fn what_an_earlier_process_replaced_stays_as_long_again() {
    let mut bench = lasting(LONG);
    bench.round(AFTER_US);
    assert!(bench.round(AFTER_US).again.is_some());
    assert_eq!(bench.staged(), 1);
    bench.rules.grace = Duration::ZERO;
    assert_eq!(bench.clean_round(AFTER_US).again, None);
    assert_eq!(bench.staged(), 0);
    assert_eq!(bench.seqs(), (1..=9).collect::<Vec<_>>());
    bench.intact();
}

#[test]
fn rules_that_changed_end_no_grace_early() {
    let mut bench = lasting(LONG);
    let (mut chain, mut settled) = (bench.chain(), Settled::default());
    bench.round_after(AFTER_US, &mut chain, &mut settled);
    bench.rules.compact_rows_max += 1;
    assert!(bench.round_after(AFTER_US, &mut chain, &mut settled).again.is_some());
    assert_eq!(bench.staged(), 1);
}

#[test]
fn a_file_that_came_between_listing_and_exchange_is_put_back_after_the_grace() {
    let mut bench = lasting(LONG);
    bench.round(AFTER_US);
    let replaced = bench.settings.staging_dir.join(SECOND_DAY);
    fs::write(replaced.join("somebody-elses.parquet"), "not ours").expect("writes");
    sync_dir(&replaced).expect("syncs");
    bench.rules.grace = Duration::ZERO;
    let report = bench.round(AFTER_US);
    let back = bench.settings.audit_dir.join(SECOND_DAY).join("somebody-elses.parquet");
    assert!(report.unknown.contains(&back), "{:?}", report.unknown);
    assert_eq!(fs::read(&back).expect("put back"), b"not ours");
    assert_eq!(bench.staged(), 0);
}
