//! Removing old rows: what is stated, what is held, what the clock may do.

use super::*;
use crate::verify::Severity;

const LATER_US: i64 = MIDNIGHT_US + 10 * DAY_US;

fn deployment(name: &str, id: &str) -> LegalHold {
    let subject = HoldSubject::Deployment(id.to_owned());
    LegalHold { name: name.to_owned(), subject, since_us: None, until_us: None }
}

#[test]
fn old_days_are_removed_and_their_rows_accounted_for() {
    let mut bench = Bench::three_segments();
    bench.rules.keep_days = Some(10);
    // The first day ended ten days ago, the second nine.
    let report = bench.clean_round(LATER_US);
    assert_eq!(report.rows_removed, 2);
    assert_eq!(bench.seqs(), (3..=9).collect::<Vec<_>>());
    assert!(!bench.settings.audit_dir.join(FIRST_DAY).exists());
    let rewrites = bench.rewrites();
    let removal = rewrites.iter().find(|rewrite| rewrite.reason == RewriteReason::Retention).expect("stated");
    let removed = removal.removed.as_ref().expect("rows");
    assert_eq!((removed.rows, &removed.seqs[..], &removal.output), (2, &[(1, 2)][..], &None));
    assert_eq!(removed.first_event_time, "2026-11-21T23:59:59.999998Z");
    assert_eq!(bench.intact().removed_rows, 2);

    assert_eq!(bench.clean_round(LATER_US + DAY_US).rows_removed, 7);
    assert_eq!(bench.seqs(), Vec::<u64>::new());
    assert_eq!(bench.intact().removed_rows, 9);
    assert_eq!(bench.files(), BTreeMap::new());
}

#[test]
fn without_keep_days_nothing_is_removed() {
    let bench = Bench::three_segments();
    assert_eq!(bench.clean_round(LATER_US + 36_500 * DAY_US).rows_removed, 0);
    assert_eq!(bench.seqs().len(), 9);
}

#[test]
fn a_file_deleted_by_hand_has_no_tombstone() {
    let mut bench = Bench::three_segments();
    bench.rules.keep_days = Some(10);
    fs::remove_file(bench.settings.audit_dir.join(FIRST_DAY).join("gate-1-7-1-2.parquet")).expect("removes");
    bench.round(LATER_US);
    let report = bench.verified();
    assert_eq!(report.severity(), Some(Severity::Tampered));
    assert_eq!(report.removed_rows, 0);
}

#[test]
fn held_rows_stay_until_the_hold_is_lifted() {
    let mut bench = Bench::new();
    let mut rows = rows_at(3..=9);
    for row in rows.iter_mut().filter(|row| row.seq % 3 == 0) {
        row.intent.deployment_id = Some("held".to_owned());
    }
    let first: Vec<Row> = rows_at(1..=2);
    bench.seal(&[&first[..], &rows[..4]].concat());
    bench.seal(&rows[4..]);
    bench.rules.keep_days = Some(1);
    bench.rules.holds = vec![deployment("case 7", "held"), deployment("matches nothing", "x")];
    bench.clean_round(LATER_US);
    assert_eq!(bench.seqs(), [3, 6, 9]);
    let rewrites = bench.rewrites();
    let removal = rewrites.last().expect("stated");
    assert_eq!(removal.holds, ["case 7", "matches nothing"]);
    assert_eq!(removal.removed.as_ref().expect("rows").seqs, [(4, 5), (7, 8)]);
    assert_eq!((removal.output.as_ref().expect("kept").rows, bench.intact().rows), (3, 3));
    assert_eq!(bench.clean_round(LATER_US).rewrites, 0, "what is held is let alone");

    bench.rules.holds.clear();
    assert_eq!(bench.clean_round(LATER_US).rows_removed, 3);
    assert_eq!(bench.seqs(), Vec::<u64>::new());
    assert_eq!(bench.intact().removed_rows, 9);
}

#[test]
fn a_clock_that_jumped_removes_nothing() {
    let mut bench = Bench::three_segments();
    bench.rules.keep_days = Some(10);
    bench.trust_clock = false;
    // The entries say that it is the second day's midnight.
    let report = bench.round(LATER_US + 365 * DAY_US);
    assert_eq!(report.rows_removed, 0);
    let believed = report.believed.expect("asked for");
    assert_eq!((believed.now_us, believed.wall), (MIDNIGHT_US, false));
    bench.trust_clock = true;
    assert_eq!(bench.clean_round(LATER_US + 365 * DAY_US).rows_removed, 9);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_left_is_what_is_held(
        rows in proptest::collection::vec((0..4_u8, 0..4_u8, 0..3_u8, 0..6_i64), 1..40),
        since in proptest::option::of(0..6_i64),
    ) {
        let mut bench = Bench::new();
        let rows: Vec<Row> = (1..).zip(rows).map(|(seq, (deployment, project, host, at))| {
            let mut row = samples::row(seq, MIDNIGHT_US + at);
            row.intent.deployment_id = (deployment > 0).then(|| format!("d{deployment}"));
            row.intent.project_id = (project > 0).then(|| format!("p{project}"));
            row.intent.host = (host > 0).then(|| format!("h{host}.bank.example"));
            row
        }).collect();
        for segment in rows.chunks(7) {
            bench.seal(segment);
        }
        bench.rules.keep_days = Some(1);
        bench.rules.holds = vec![
            LegalHold { since_us: since.map(|at| MIDNIGHT_US + at), ..deployment("a", "d1") },
            LegalHold { subject: HoldSubject::Project("p2".to_owned()), ..deployment("b", "") },
            LegalHold { subject: HoldSubject::Host("h1.bank.example".parse().expect("a pattern")), ..deployment("c", "") },
        ];
        bench.clean_round(LATER_US);
        let is_held = |row: &&Row| {
            let intent = &row.intent;
            intent.deployment_id.as_deref() == Some("d1") && since.is_none_or(|at| intent.event_time_us >= MIDNIGHT_US + at)
                || intent.project_id.as_deref() == Some("p2")
                || intent.host.as_deref() == Some("h1.bank.example")
        };
        let expected: Vec<u64> = rows.iter().filter(is_held).map(|row| row.seq).collect();
        prop_assert_eq!(bench.seqs(), expected.clone());
        prop_assert_eq!(bench.intact().removed_rows as usize, rows.len() - expected.len());
    }
}
