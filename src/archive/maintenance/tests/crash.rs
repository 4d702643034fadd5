//! The process ends at every storage call of a round. The next one completes what was begun.

use super::*;
use crate::storage::crash;

/// Ends a round at each call in turn, and looks at what is there then, and after a restart.
fn at_every_call(bench: &Bench, wall_us: i64, check: impl Fn(&Bench, &Report), restarted: impl Fn(&Bench)) -> usize {
    for calls in 0.. {
        let bench = bench.copy();
        crash::after(calls);
        ending_round(&bench, wall_us);
        let ended = crash::over();
        let report = bench.verified();
        assert_eq!(
            report.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
            Vec::<String>::new(),
            "{calls}"
        );
        check(&bench, &report);
        bench.clean_round(wall_us);
        assert_eq!(bench.staged(), 0, "{calls}");
        restarted(&bench);
        assert_eq!(bench.intact().unneeded_lists, Vec::<String>::new(), "{calls}");
        assert_eq!(bench.lists(), bench.files().values().map(Vec::len).sum::<usize>(), "{calls}");
        if !ended {
            return calls;
        }
    }
    0
}

#[test]
fn compaction_has_every_row_once_wherever_it_ends() {
    let bench = Bench::three_segments();
    let calls = at_every_call(
        &bench,
        AFTER_US,
        |bench, _| assert_eq!(bench.seqs(), (1..=9).collect::<Vec<_>>()),
        |bench| {
            assert_eq!(bench.seqs(), (1..=9).collect::<Vec<_>>());
            assert_eq!(bench.files()[SECOND_DAY], names(&["gate-1-7-3-9.parquet"]));
        },
    );
    assert!(calls > 15, "{calls}");
}

#[test]
fn retention_removes_what_was_stated_or_nothing_wherever_it_ends() {
    let mut bench = Bench::new();
    let mut rows = rows_at(1..=9);
    rows[4].intent.deployment_id = Some("held".to_owned());
    for segment in rows.chunks(3) {
        bench.seal(segment);
    }
    let subject = HoldSubject::Deployment("held".to_owned());
    bench.rules.holds = vec![LegalHold { name: "case 7".to_owned(), subject, since_us: None, until_us: None }];
    bench.rules.keep_days = Some(1);
    let all: Vec<u64> = (1..=9).collect();
    let calls = at_every_call(
        &bench,
        MIDNIGHT_US + 10 * DAY_US,
        |bench, report| {
            let seqs = bench.seqs();
            let days = [&all[..], &all[2..], &[5][..]];
            assert!(days.contains(&&seqs[..]), "{seqs:?}");
            assert_eq!(report.removed_rows as usize, 9 - seqs.len());
        },
        |bench| assert_eq!(bench.seqs(), [5]),
    );
    assert!(calls > 25, "{calls}");
}

#[test]
fn where_directories_cannot_be_exchanged_rows_are_never_missing_and_end_up_once() {
    crash::forbid_exchange();
    let mut bench = Bench::three_segments();
    for keep_days in [None, Some(1)] {
        bench.rules.keep_days = keep_days;
        let wall_us = if keep_days.is_some() { MIDNIGHT_US + 10 * DAY_US } else { AFTER_US };
        for calls in 0.. {
            let bench = bench.copy();
            crash::after(calls);
            ending_round(&bench, wall_us);
            let ended = crash::over();
            let severity = bench.verified().severity();
            assert_ne!(severity, Some(verify::Severity::Tampered), "{calls}");
            let mut seqs = bench.seqs();
            seqs.dedup();
            bench.clean_round(wall_us);
            if keep_days.is_none() {
                assert_eq!(seqs, (1..=9).collect::<Vec<_>>(), "{calls}");
                assert_eq!(bench.seqs(), seqs, "{calls}");
            } else {
                assert_eq!(bench.seqs(), Vec::<u64>::new(), "{calls}");
            }
            assert_eq!(bench.intact().unneeded_lists, Vec::<String>::new(), "{calls}");
            assert_eq!(bench.staged(), 0, "{calls}");
            if !ended {
                break;
            }
        }
    }
}

#[test]
fn a_rewrite_whose_file_was_lost_in_staging_is_stated_again() {
    let bench = Bench::three_segments();
    for calls in 0..60 {
        let bench = bench.copy();
        crash::after(calls);
        ending_round(&bench, AFTER_US);
        crash::over();
        if bench.rewrites().len() == 1 && bench.files()[SECOND_DAY].len() == 3 {
            fs::remove_dir_all(&bench.settings.staging_dir).expect("removes");
            // The new statement is for other files than the first.
            bench.seal_again_after_loss();
            assert_eq!(bench.rewrites().len(), 2);
            assert_eq!(bench.seqs(), (1..=10).collect::<Vec<_>>());
            assert_eq!(bench.intact().unneeded_lists, Vec::<String>::new());
            return;
        }
    }
    panic!("no crash between statement and swap");
}

/// A round during which the process may end.
fn ending_round(bench: &Bench, wall_us: i64) {
    let signer = Signer::load_or_create(&bench.dir.path().join("keys")).expect("key");
    if let Ok(mut chain) = Chain::open(bench.settings.clone(), signer) {
        bench.round_with(wall_us, &mut chain);
    }
}

impl Bench {
    fn seal_again_after_loss(&self) {
        seal::prepare(&self.settings).expect("prepares");
        self.seal(&[samples::row(10, MIDNIGHT_US + 100)]);
        self.clean_round(AFTER_US);
    }
}
