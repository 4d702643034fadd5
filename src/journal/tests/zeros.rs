//! Zeros ahead of the frames: what is written over them, what a crash leaves in them, and who touches them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;

use proptest::prelude::*;

use super::super::frame::Header;
use super::super::segment::{Damage, SegmentBytes, create};
use super::recovery::recover_twice;
use super::*;
use crate::storage::recorder;

fn with_fill(dir: &Path, fill_bytes: u64) -> Settings {
    Settings { fill_bytes, ..settings(dir) }
}

/// Size and blocks of a file.
fn space(path: &Path) -> (u64, u64) {
    let metadata = fs::metadata(path).unwrap();
    (metadata.len(), metadata.blocks())
}

fn record(log: &mut Stepped, n: u128) -> Commit {
    let commit = log.record(n);
    log.turn();
    commit
}

fn set_length(path: &Path, length: u64) {
    File::options().write(true).open(path).unwrap().set_len(length).unwrap();
}

/// Why the journal cannot be written: the segment is longer or shorter than it was left.
fn length_changed(path: &Path, found: u64, expected: u64) -> Health {
    Health::Failed { reason: format!("{} has {found} bytes but {expected} were written to it", path.display()) }
}

#[test]
fn a_commit_within_zeros_changes_neither_size_nor_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Stepped::new(with_fill(dir.path(), 1 << 16), &Scripted::new());
    let (path, first) = (log.tail_path(), log.tail_length());
    assert_eq!(space(&path).0, first, "a segment begins without zeros");
    drop(record(&mut log, 1));
    let one_step = space(&path);
    assert_eq!(one_step.0, first + (1 << 16));
    for n in 2..50 {
        assert_eq!(block_on(record(&mut log, n).durable()), Ok(()));
        assert_eq!(space(&path), one_step);
    }
    assert_eq!(rows_in(dir.path()).len(), 49);
}

#[test]
fn there_is_always_a_zero_behind_the_frames() {
    for fill_bytes in [1, 64, 100, 1_000] {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Stepped::new(with_fill(dir.path(), fill_bytes), &Scripted::new());
        let path = log.tail_path();
        for n in 1..20 {
            assert_eq!(block_on(record(&mut log, n).durable()), Ok(()));
            let zeros = space(&path).0 - log.tail_length();
            assert!((1..=fill_bytes).contains(&zeros), "{zeros} zeros in steps of {fill_bytes}");
        }
        let contents = segment::read(&path).unwrap();
        assert_eq!((contents.rows.len(), contents.closed, contents.damage), (19, false, None));
    }
}

#[test]
fn a_closed_segment_has_no_zeros_left() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Stepped::new(with_fill(dir.path(), 1 << 16), &Scripted::new());
    drop(record(&mut log, 1));
    let (path, frames) = (log.tail_path(), log.tail_length());
    log.log.roll().unwrap();
    assert_eq!(log.closed.try_recv().unwrap(), path);
    assert_eq!(space(&path).0, frames + 17, "the frames and the one that closes it");
    let contents = segment::read(&path).unwrap();
    assert_eq!((contents.rows, contents.closed, contents.damage), (vec![row(1, 1)], true, None));
}

#[test]
fn no_loss_of_power_leaves_anything_behind_a_close_frame() {
    let dir = tempfile::tempdir().unwrap();
    recorder::begin(dir.path());
    let mut log = Stepped::new(settings(dir.path()), &Scripted::new());
    drop(record(&mut log, 1));
    log.log.roll().unwrap();
    drop(log);
    let mut closed = 0;
    for disk in recorder::end() {
        for loss in disk.losses() {
            let left = tempfile::tempdir().unwrap();
            disk.left(&loss).write(left.path());
            for path in segment::list(left.path()).unwrap() {
                let contents = segment::read(&path).unwrap();
                assert!(!contents.closed || contents.damage.is_none(), "{loss:?}: {:?}", contents.damage);
                closed += usize::from(contents.closed);
            }
        }
    }
    assert!(closed > 0);
}

#[test]
fn a_kill_leaves_zeros_that_recovery_does_not_tell_of() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Stepped::new(settings(dir.path()), &Scripted::new());
    drop(record(&mut log, 1));
    drop(log);
    assert_eq!(recover_twice(dir.path()), []);
    assert_eq!(rows_in(dir.path()), [row(1, 1)]);
}

#[test]
fn of_a_torn_frame_the_zeros_behind_it_are_not_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Stepped::new(settings(dir.path()), &Scripted::new());
    drop(record(&mut log, 1));
    let (path, whole) = (log.tail_path(), log.tail_length() as usize);
    drop(record(&mut log, 2));
    drop(log);
    let mut bytes = fs::read(&path).unwrap();
    bytes[whole + 20..].fill(0);
    bytes[whole + 19] = 0xff;
    fs::write(&path, &bytes).unwrap();
    assert_eq!(recover_twice(dir.path()), [Repair::CutTail { path, bytes: 20 }]);
    assert_eq!(rows_in(dir.path()), [row(1, 1)]);
}

#[test]
fn whatever_is_behind_a_close_frame_is_damage() {
    let path = Path::new("00000003-00000001.journal");
    let closed = SegmentBytes::of_rows(path, &writer(), &[row(1, 1)]).unwrap();
    assert_eq!(closed.contents::<String>().unwrap().damage, None);
    let torn = closed.torn().contents::<String>().unwrap().damage.unwrap();
    assert_eq!(torn.torn.map(|torn| torn.end - torn.start), Some(1), "one zero");
}

/// The bytes of a segment with rows 1 to 5 and zeros, and where each row's frame begins, and the last one ends.
fn five_rows(dir: &Path) -> (PathBuf, Vec<u8>, Vec<usize>) {
    let mut log = Stepped::new(with_fill(dir, 1 << 14), &Scripted::new());
    let mut offsets = vec![log.tail_length() as usize];
    for n in 1..=5 {
        drop(record(&mut log, n));
        offsets.push(log.tail_length() as usize);
    }
    let path = log.tail_path();
    let bytes = fs::read(&path).unwrap();
    (path, bytes, offsets)
}

#[test]
fn zeros_in_place_of_frames_are_damage_and_become_gap_rows() {
    let dir = tempfile::tempdir().unwrap();
    let (path, mut bytes, offsets) = five_rows(dir.path());
    bytes[offsets[1]..offsets[3]].fill(0);
    fs::write(&path, &bytes).unwrap();
    let corrupt = offsets[1] as u64..offsets[3] as u64;
    let damage = Damage { corrupt: vec![corrupt.clone()], torn: None };
    assert_eq!(segment::read(&path).unwrap().damage, Some(damage), "a second look finds it, too");

    let repairs = recover_twice(dir.path());
    let copy = dir.path().join("quarantine/00000003-00000001.journal");
    assert_eq!(fs::read(&copy).unwrap(), bytes);
    assert_eq!(repairs, [Repair::LeftOutDamage { path, copy, bytes: corrupt.end - corrupt.start, rows_lost: 2 }]);
    let rows = rows_in(dir.path());
    assert_eq!((&rows[0], &rows[3..]), (&row(1, 1), &[row(4, 4), row(5, 5)][..]));
    let gaps: Vec<_> = rows[1..3].iter().map(|row| (row.seq, row.outcome.outcome)).collect();
    assert_eq!(gaps, [(2, OutcomeKind::Gap), (3, OutcomeKind::Gap)]);
}

/// A reader that has passed a place before a frame was written there, and then meets the frames written after it.
#[test]
fn frames_written_behind_a_readers_back_are_not_missing() {
    let dir = tempfile::tempdir().unwrap();
    let (path, bytes, offsets) = five_rows(dir.path());
    for (hole, seen) in [(offsets[0]..offsets[2], 4), (offsets[1] + 5..offsets[1] + 9, 3), (offsets[2]..offsets[4], 5)]
    {
        let mut missed = bytes.clone();
        missed[hole].fill(0);
        // What comes after what the first look saw is not looked at: it may have been met half written, too.
        missed[offsets[seen]..].fill(0);
        let contents = SegmentBytes::of_bytes(&path, missed).read_on().unwrap();
        let rows: Vec<_> = (1..=seen as u64).map(|n| row(n, u128::from(n))).collect();
        assert_eq!((contents.rows, contents.damage), (rows, None));
    }
}

/// The system copies page by page: of a large commit a reader may get the end without the beginning.
#[test]
fn a_reader_of_a_segment_being_written_never_finds_damage() {
    let payload = Payload::intent(&Intent { path: Some("x".repeat(3_000)), ..intent(1) }, 1 << 20).unwrap();
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let mut segment = create(dir.path(), &Header { writer: writer(), number: 1, first_seq: 1 }, []).unwrap();
        let path = segment.path().to_owned();
        let mut frames = Vec::new();
        for _ in 0..40 {
            payload.write_frame(segment.seed(), 0, &mut frames);
        }
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| (0..40).for_each(|_| segment.append(&frames, 1 << 20).unwrap()));
            while !writer.is_finished() {
                let damage = segment::read(&path).unwrap().damage.unwrap_or_default();
                assert_eq!(damage.corrupt, []);
            }
        });
    }
}

#[test]
fn zeros_that_somebody_cuts_off_or_adds_are_noticed_at_the_next_commit() {
    for changed in [-1_i64, 1] {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Stepped::new(settings(dir.path()), &Scripted::new());
        drop(record(&mut log, 1));
        let path = log.tail_path();
        let expected = space(&path).0;
        let found = expected.strict_add_signed(changed);
        set_length(&path, found);
        drop(record(&mut log, 2));
        assert_eq!(log.queue.health(), length_changed(&path, found, expected));
        log.log.reopen().unwrap();
        assert_eq!(rows_in(dir.path()), [row(1, 1), row(2, 2)]);
    }
}

/// A step of zeros written at the old end gives a file that was cut short its length back, with a hole where rows were.
#[test]
fn a_cut_is_noticed_when_the_next_commit_needs_more_zeros() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Stepped::new(with_fill(dir.path(), 1), &Scripted::new());
    drop(record(&mut log, 1));
    let (path, one_row) = (log.tail_path(), log.tail_length());
    drop(record(&mut log, 2));
    let expected = log.tail_length() + 1;
    set_length(&path, one_row);
    drop(record(&mut log, 3));
    assert_eq!(log.queue.health(), length_changed(&path, one_row, expected));
    log.log.reopen().unwrap();
    log.turn();
    let rows = rows_in(dir.path());
    assert_eq!(seq_and_n(&rows[..2]), [(1, 1), (3, 3)]);
    assert_eq!((rows[2].seq, rows[2].outcome.outcome), (4, OutcomeKind::Gap), "the second is told as lost");
}

/// Giving back the space behind the frames gave a file that was cut short its length back, with zeros where rows were.
#[test]
fn a_cut_is_noticed_when_the_segment_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Stepped::new(settings(dir.path()), &Scripted::new());
    drop(record(&mut log, 1));
    let (path, one_row) = (log.tail_path(), log.tail_length());
    drop(record(&mut log, 2));
    let expected = space(&path).0;
    set_length(&path, one_row);
    let failure = log.log.roll().unwrap_err();
    log.log.fail(&failure);
    assert_eq!(log.queue.health(), length_changed(&path, one_row, expected));
    assert!(log.closed.try_recv().is_err(), "it was handed over to be sealed");
    log.log.reopen().unwrap();
    log.turn();
    let rows = rows_in(dir.path());
    assert_eq!(seq_and_n(&rows[..1]), [(1, 1)]);
    assert_eq!((rows[1].seq, rows[1].outcome.outcome), (3, OutcomeKind::Gap), "the second is told as lost");
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Intend,
    /// Settles the oldest open exchange.
    Settle,
    Record,
}

fn steps(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(prop_oneof![Just(Step::Intend), Just(Step::Settle), Just(Step::Record)], count)
}

/// Exchanges by what was queued for them.
#[derive(Clone, Debug, Default)]
struct Model {
    open: Vec<u128>,
    /// In the order of their `seq`.
    settled: Vec<u128>,
}

impl Model {
    fn queue(&mut self, log: &Stepped, step: Step, n: u128) {
        match step {
            Step::Settle if !self.open.is_empty() => {
                let oldest = self.open.remove(0);
                drop(log.settle(oldest));
                self.settled.push(oldest);
            }
            Step::Record | Step::Settle => {
                drop(log.record(n));
                self.settled.push(n);
            }
            Step::Intend => {
                drop(log.intend(n));
                self.open.push(n);
            }
        }
    }
}

/// Which parts of what a commit wrote are on the disk.
#[derive(Clone, Debug)]
enum Kept {
    /// Its first so many bytes.
    First(prop::sample::Index),
    /// Pages, of a size smaller than real ones so that a few frames have many: bit `n % 64` is that of the `n`th.
    Pages { bytes: usize, bits: u64 },
}

fn kept() -> impl Strategy<Value = Kept> {
    prop_oneof![
        any::<prop::sample::Index>().prop_map(Kept::First),
        (8..300_usize, any::<u64>()).prop_map(|(bytes, bits)| Kept::Pages { bytes, bits }),
    ]
}

/// The file after a loss of power during a commit that changed `before` into `after`, from offset `from` on.
fn crashed(before: &[u8], after: &[u8], from: usize, to: usize, kept: &Kept) -> Vec<u8> {
    // Zeros of another step are on the disk, or not: what matters is what there is instead of frames.
    let mut left = before.to_vec();
    left.resize(after.len(), 0);
    let is_kept = |offset: usize| match kept {
        Kept::First(first) => offset < from + first.index(to - from + 1),
        Kept::Pages { bytes, bits } => bits >> (offset / bytes % 64) & 1 == 1,
    };
    for offset in (from..to).filter(|offset| is_kept(*offset)) {
        left[offset] = after[offset];
    }
    left
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Power is lost during a commit of several frames, of which any part gets to the disk. What was acknowledged before is
    /// there; of the rest nothing is invented or doubled, and what is missing between frames that are there is told.
    #[test]
    fn a_commit_of_which_any_part_is_on_the_disk_costs_nothing_that_was_acknowledged(
        acknowledged in steps(0..12), batch in steps(1..8), kept in kept(), fill_bytes in 1..3_000_u64
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Stepped::new(with_fill(dir.path(), fill_bytes), &Scripted::new());
        let mut model = Model::default();
        for (n, step) in (1..).zip(&acknowledged) {
            model.queue(&log, *step, n);
            log.turn();
        }
        let (path, from, before) = (log.tail_path(), log.tail_length() as usize, fs::read(log.tail_path()).unwrap());
        let durable = model.clone();
        for (n, step) in (100..).zip(&batch) {
            model.queue(&log, *step, n);
        }
        log.turn();
        let to = log.tail_length() as usize;
        drop(log);
        fs::write(&path, crashed(&before, &fs::read(&path).unwrap(), from, to, &kept)).unwrap();

        let repairs = recover_twice(dir.path());
        let rows = rows_in(dir.path());
        prop_assert!(rows.iter().map(|row| row.seq).eq(1..=rows.len() as u64), "{:?}", seq_and_n(&rows));
        let (gaps, told): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.outcome.outcome == OutcomeKind::Gap);
        let settled_before = durable.settled.len();
        prop_assert!(gaps.iter().all(|row| row.seq > settled_before as u64), "a gap where a row was acknowledged");
        let mut seen = BTreeSet::new();
        for row in told {
            let n = row.intent.event_id.as_u128();
            prop_assert!(seen.insert(n), "{} is there twice", n);
            let known = model.settled.contains(&n) || model.open.contains(&n);
            prop_assert!(known, "{} is invented", n);
            if row.outcome.outcome != OutcomeKind::Interrupted {
                prop_assert_eq!(&row.outcome, &outcome(n));
                prop_assert_eq!(model.settled.get(row.seq as usize - 1), Some(&n), "another seq than it was given");
            }
        }
        prop_assert_eq!(seq_and_n(&rows[..settled_before]), (1..).zip(durable.settled.clone()).collect::<Vec<_>>());
        prop_assert!(durable.open.iter().all(|n| seen.contains(n)), "an intent that was acknowledged is lost");
        let damaged = repairs.iter().any(|repair| matches!(repair, Repair::LeftOutDamage { .. }));
        prop_assert!(damaged || gaps.is_empty(), "{:?}", repairs);
        prop_assert!(!damaged || matches!(kept, Kept::Pages { .. }), "a commit cut short is no damage: {:?}", repairs);
    }
}
