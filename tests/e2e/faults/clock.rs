//! A wall clock that jumps: `seq` stays dense, durations are those of the monotonic clock, days are those of the rows.

use std::collections::BTreeSet;

use super::{gate, request};
use crate::harness::Origin;

const DAY_US: i64 = 86_400_000_000;

#[test]
fn a_clock_that_jumps_leaves_seqs_durations_and_days_in_order() {
    let origin = Origin::http();
    let mut gate = gate("seal_after_s: 1").start();
    let mut client = gate.client();
    for (n, days) in [0, 3, -2, 0].into_iter().enumerate() {
        gate.order(&format!("clock {}\n", days * DAY_US));
        for call in 0..3 {
            assert_eq!(client.ask(request(&origin, &format!("c{n}-{call}"))).status, 200);
        }
    }
    gate.rows_of(12);
    assert_eq!(gate.stop(), Some(0));
    let rows = gate.rows();
    let mut seqs: Vec<u64> = rows.iter().map(|row| row.get("seq").parse().unwrap()).collect();
    seqs.sort_unstable();
    assert!(seqs.iter().copied().eq(1..=12), "{seqs:?}");
    for row in &rows {
        let duration_us: i64 = row.get("duration_us").parse().unwrap();
        assert!((0..DAY_US / 24).contains(&duration_us), "{row:?}");
    }
    let days: BTreeSet<String> = rows.iter().map(|row| row.get("event_time")[..10].to_owned()).collect();
    let partitions: BTreeSet<String> = std::fs::read_dir(gate.data_dir().join("audit"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap().replace("event_date=", ""))
        .collect();
    assert_eq!((days.len(), &days), (3, &partitions));
}
