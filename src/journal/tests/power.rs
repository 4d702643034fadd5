//! Loss of power: what was acknowledged is there afterwards, whatever of the rest the disk had written.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::frame::Header;
use super::super::segment::{TEMPORARY_EXTENSION, create};
use super::*;
use crate::storage::recorder::{self, Disk, Loss, Tree, Written};

const NOW_US: i64 = 9_000_000;

#[derive(Clone, Debug)]
enum Step {
    Intend,
    /// Settles the open exchange at this position, modulo their number.
    Settle(usize),
    Record,
    /// A commit fails, and storage is back at once.
    FailAndHeal,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => Just(Step::Intend),
        4 => any::<usize>().prop_map(Step::Settle),
        2 => Just(Step::Record),
        1 => Just(Step::FailAndHeal),
    ];
    proptest::collection::vec(step, 1..24)
}

/// What callers were told, and how many changes of the disk had been made by then.
#[derive(Default)]
struct Told {
    intents: BTreeMap<u128, usize>,
    rows: BTreeMap<u128, usize>,
    issued: u128,
}

fn run(log: &mut Stepped, platform: &Scripted, steps: &[Step]) -> Told {
    let (mut told, mut open) = (Told::default(), Vec::new());
    for (n, step) in (1..).zip(steps) {
        told.issued = n;
        let (settles, subject, commit) = match step {
            Step::Intend => {
                open.push(n);
                (false, n, log.intend(n))
            }
            Step::Settle(_) if open.is_empty() => continue,
            Step::Settle(position) => {
                let settled = open.remove(position % open.len());
                (true, settled, log.settle(settled))
            }
            Step::Record | Step::FailAndHeal => (true, n, log.record(n)),
        };
        if matches!(step, Step::FailAndHeal) {
            platform.0.sync_fails.store(true, Ordering::SeqCst);
            log.turn();
            platform.0.sync_fails.store(false, Ordering::SeqCst);
            log.log.reopen().unwrap();
        }
        log.turn();
        assert_eq!(block_on(commit.durable()), Ok(()));
        let acknowledged = if settles { &mut told.rows } else { &mut told.intents };
        acknowledged.insert(subject, recorder::position());
    }
    told
}

/// Recovers what the disk holds and compares it with what callers had been told when the power went.
fn assert_kept(disk: &Disk, loss: &Loss, told: &Told, position: usize) {
    let dir = tempfile::tempdir().unwrap();
    disk.left(loss).write(dir.path());
    recover(dir.path(), NOW_US).unwrap();
    let mut rows = BTreeMap::new();
    for row in rows_in(dir.path()) {
        let n = row.intent.event_id.as_u128();
        assert!((1..=told.issued).contains(&n), "{n} is invented: {row:?}");
        assert_eq!(rows.insert(n, row), None, "{n} is there twice");
    }
    for (n, at) in &told.rows {
        if *at <= position {
            assert_eq!(rows.get(n).map(|row| &row.outcome), Some(&outcome(*n)), "the row of {n} is lost");
        }
    }
    for (n, at) in &told.intents {
        assert!(*at > position || rows.contains_key(n), "the intent of {n} is lost");
    }
    let left = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    assert!(left.into_iter().all(|path| path.extension().is_none_or(|extension| extension != TEMPORARY_EXTENSION)));
}

fn written() -> impl Strategy<Value = Written> {
    prop_oneof![
        any::<u8>().prop_map(Written::First),
        any::<u8>().prop_map(Written::Last),
        any::<u64>().prop_map(Written::Each)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    /// Power is lost after each change of the disk in turn: once with nothing kept that was not synced, once with some.
    #[test]
    fn what_was_acknowledged_survives_the_loss_of_power_at_any_point(
        steps in steps(), segment_bytes_max in 100..1_500_u64, kept in proptest::collection::vec(any::<bool>(), 64),
        fill_bytes in 1..2_000_u64, written in written(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let platform = Scripted::new();
        recorder::begin(dir.path());
        let mut log = Stepped::new(Settings { segment_bytes_max, fill_bytes, ..settings(dir.path()) }, &platform);
        let told = run(&mut log, &platform, &steps);
        drop(log);
        let luck = Loss { kept, written };
        for (position, disk) in recorder::end().iter().enumerate() {
            for loss in [&Loss::ALL, &luck] {
                assert_kept(disk, loss, &told, position);
            }
        }
    }
}

/// The disk after each change that recovery makes.
fn recovering(dir: &Path) -> Vec<Disk> {
    recorder::begin(dir);
    recover(dir, NOW_US).unwrap();
    recorder::end()
}

/// Recovers what a loss of power left: the rows then, and what another loss on the way there could have left.
fn recovered(left: &Tree, luck: &Loss) -> (Vec<Row>, BTreeSet<Tree>) {
    let dir = tempfile::tempdir().unwrap();
    left.write(dir.path());
    let disks = recovering(dir.path());
    let lost = disks.iter().flat_map(|disk| disk.extremes().into_iter().chain([disk.left(luck)])).collect();
    (rows_in(dir.path()), lost)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3))]

    /// Power is lost after each change of the disk in turn, and again after each change that recovery makes then.
    #[test]
    fn a_second_loss_of_power_during_recovery_changes_no_row(
        steps in steps(), segment_bytes_max in 100..1_500_u64, kept in proptest::collection::vec(any::<bool>(), 64),
        written in written(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let platform = Scripted::new();
        recorder::begin(dir.path());
        let mut log =
            Stepped::new(Settings { segment_bytes_max, fill_bytes: 500, ..settings(dir.path()) }, &platform);
        run(&mut log, &platform, &steps);
        drop(log);
        let luck = Loss { kept, written };
        let disks = recorder::end();
        let first: BTreeSet<Tree> =
            disks.iter().flat_map(|disk| [disk.left(&Loss::ALL), disk.left(&luck)]).collect();
        let mut second = 0;
        for left in &first {
            let (rows, lost) = recovered(left, &luck);
            second += lost.len();
            for left in lost {
                assert_eq!(recovered(&left, &luck).0, rows, "lost, invented or doubled");
            }
        }
        assert!(second > first.len(), "{second} states of {}", first.len());
    }
}

/// The test above could not fail if its disk kept everything.
#[test]
fn without_a_sync_the_loss_of_power_costs_what_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    recorder::begin(dir.path());
    let settings = Settings { durability: Durability::Write, ..settings(dir.path()) };
    let mut log = Stepped::new(settings, &Scripted::new());
    let commit = log.record(1);
    log.turn();
    assert_eq!(block_on(commit.durable()), Ok(()));
    drop(log);
    let disk = recorder::end().pop().unwrap();
    let after = tempfile::tempdir().unwrap();
    disk.left(&Loss::ALL).write(after.path());
    recover(after.path(), NOW_US).unwrap();
    assert_eq!(rows_in(after.path()), []);
}

/// Every file below a directory.
fn contents(dir: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { contents(&path) } else { vec![std::fs::read(path).unwrap()] }).collect()
}

/// A journal of three rows with damage in the second, and a file that is no segment.
struct Damaged {
    dir: tempfile::TempDir,
    segment: Vec<u8>,
    unreadable: Vec<u8>,
}

impl Damaged {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let header = Header { writer: writer(), number: 1, first_seq: 1 };
        let frames: Vec<_> =
            (1..=3).map(|n| (Payload::row(&intent(n), &outcome(n), 1 << 20).unwrap(), n as u64)).collect();
        let segment = create(dir.path(), &header, frames.iter().map(|(payload, seq)| (payload, *seq))).unwrap();
        let (path, middle) = (segment.path().to_owned(), segment.length() / 2);
        let mut damaged = std::fs::read(&path).unwrap();
        damaged[middle as usize] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        let unreadable = b"no segment, and nobody knows what it was".to_vec();
        std::fs::write(dir.path().join("00000001-00000001.journal"), &unreadable).unwrap();
        Self { dir, segment: damaged, unreadable }
    }

    /// Recovers what is there after a loss of power, twice: both originals are there before and after, and the rows in the end.
    fn assert_kept(&self, left: &Tree, what: &str) {
        let dir = tempfile::tempdir().unwrap();
        left.write(dir.path());
        for again in [false, true] {
            let found = contents(dir.path());
            assert!(found.contains(&self.segment), "the damaged segment is lost {what}, {again}");
            assert!(found.contains(&self.unreadable), "the unreadable one is lost {what}, {again}");
            recover(dir.path(), NOW_US).unwrap();
        }
        let rows: Vec<u128> = rows_in(dir.path()).iter().map(|row| row.intent.event_id.as_u128()).collect();
        assert_eq!((rows.len(), rows[0], rows[2]), (3, 1, 3), "{rows:?}: the second is a gap");
    }
}

#[test]
fn what_recovery_puts_aside_is_never_lost_with_the_power() {
    let journal = Damaged::new();
    let disks = recovering(journal.dir.path());
    for (position, disk) in disks.iter().enumerate() {
        for loss in disk.losses() {
            journal.assert_kept(&disk.left(&loss), &format!("after {position} calls, {loss:?}"));
        }
    }
    assert!(disks.len() > 10, "{}", disks.len());
}

#[test]
fn what_recovery_puts_aside_is_not_lost_either_when_power_is_lost_again_in_the_next_recovery() {
    let journal = Damaged::new();
    let first: BTreeSet<Tree> = recovering(journal.dir.path()).iter().flat_map(Disk::extremes).collect();
    let mut second = 0;
    for left in &first {
        let dir = tempfile::tempdir().unwrap();
        left.write(dir.path());
        let lost: BTreeSet<Tree> = recovering(dir.path()).iter().flat_map(Disk::extremes).collect();
        second += lost.len();
        for left in &lost {
            journal.assert_kept(left, "after a second loss");
        }
    }
    assert!(second > 2 * first.len(), "{second} states of {}", first.len());
}
