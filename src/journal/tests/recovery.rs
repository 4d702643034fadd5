//! Recovery: whatever the crash left, every durable row once, every open intent interrupted, and the same when run
//! again.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::frame::Header;
use super::super::segment::create;
use super::*;

const NOW_US: i64 = 9_000_000;

fn interrupted_row(seq: u64, n: u128) -> Row {
    let outcome = Outcome {
        error: Some("process stopped before the outcome was recorded".to_owned()),
        ..Outcome::new(NOW_US, OutcomeKind::Interrupted)
    };
    Row { outcome, ..row(seq, n) }
}

fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    segment::list(dir).unwrap().into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// Recovers, and checks that what is returned can be sealed and that a second run changes nothing.
pub(super) fn recover_twice(dir: &Path) -> Vec<Repair> {
    let first = recover(dir, NOW_US).unwrap();
    for path in &first.segments {
        let contents = segment::read(path).unwrap();
        assert!(contents.closed && contents.damage.is_none() && !contents.rows.is_empty(), "{contents:?}");
    }
    let before = files(dir);
    assert_eq!(first.segments, before.keys().cloned().collect::<Vec<_>>());
    let second = recover(dir, NOW_US + 1).unwrap();
    assert_eq!(second, Recovery { segments: first.segments, rows: first.rows, repairs: Vec::new() });
    assert_eq!(files(dir), before);
    first.repairs
}

/// Writes segment `number`; frames are payloads with their `seq`.
fn write_segment(dir: &Path, number: u64, first_seq: u64, frames: &[(Payload, u64)]) -> PathBuf {
    let header = Header { writer: writer(), number, first_seq };
    create(dir, &header, frames.iter().map(|(payload, seq)| (payload, *seq))).unwrap().path().to_owned()
}

fn intent_frame(n: u128) -> (Payload, u64) {
    (Payload::intent(&intent(n), 1 << 20).unwrap(), 0)
}

fn outcome_frame(seq: u64, n: u128) -> (Payload, u64) {
    (Payload::outcome(id(n), &outcome(n), 1 << 20).unwrap(), seq)
}

fn row_frame(seq: u64, n: u128) -> (Payload, u64) {
    (Payload::row(&intent(n), &outcome(n), 1 << 20).unwrap(), seq)
}

fn close_frame() -> (Payload, u64) {
    (Payload::close(), 0)
}

#[test]
fn open_intents_become_interrupted_rows_with_the_next_seqs() {
    let dir = tempfile::tempdir().unwrap();
    // The rows before seq 8 were sealed and their segment removed.
    let path = write_segment(dir.path(), 2, 8, &[intent_frame(1), intent_frame(2), row_frame(8, 3), intent_frame(4)]);
    let repairs = recover_twice(dir.path());
    assert_eq!(repairs, [Repair::Interrupted { path, rows: 3 }]);
    let expected = [row(8, 3), interrupted_row(9, 1), interrupted_row(10, 2), interrupted_row(11, 4)];
    assert_eq!(rows_in(dir.path()), expected);
}

#[test]
fn only_carried_intents_take_seqs_from_the_header() {
    let dir = tempfile::tempdir().unwrap();
    write_segment(dir.path(), 2, 8, &[intent_frame(1)]);
    recover_twice(dir.path());
    assert_eq!(rows_in(dir.path()), [interrupted_row(8, 1)]);
}

#[test]
fn a_kill_between_carrying_and_closing_makes_no_second_row() {
    let dir = tempfile::tempdir().unwrap();
    write_segment(dir.path(), 1, 1, &[intent_frame(1), row_frame(1, 2)]);
    write_segment(dir.path(), 2, 2, &[intent_frame(1)]);
    std::fs::write(dir.path().join("00000003-00000003.journal.tmp"), "half a segment").unwrap();
    recover_twice(dir.path());
    assert_eq!(rows_in(dir.path()), [row(1, 2), interrupted_row(2, 1)]);
    assert!(!dir.path().join("00000003-00000003.journal.tmp").exists());
}

#[test]
fn an_outcome_in_an_earlier_segment_settles_a_carried_intent() {
    let dir = tempfile::tempdir().unwrap();
    write_segment(dir.path(), 1, 1, &[intent_frame(1), outcome_frame(1, 1)]);
    let second = write_segment(dir.path(), 2, 2, &[intent_frame(1)]);
    assert_eq!(recover_twice(dir.path()), [Repair::RemovedEmpty { path: second }]);
    assert_eq!(rows_in(dir.path()), [row(1, 1)]);
}

#[test]
fn an_intent_carried_into_a_segment_that_is_sealed_and_gone_is_not_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    write_segment(dir.path(), 1, 1, &[intent_frame(1), row_frame(1, 2), close_frame()]);
    assert_eq!(recover_twice(dir.path()), []);
    assert_eq!(rows_in(dir.path()), [row(1, 2)]);
}

#[test]
fn unacknowledged_rows_of_a_segment_given_up_are_not_doubled() {
    let dir = tempfile::tempdir().unwrap();
    let given_up = [intent_frame(1), row_frame(1, 2), outcome_frame(2, 1), row_frame(3, 3)];
    write_segment(dir.path(), 1, 1, &given_up);
    write_segment(dir.path(), 2, 2, &[intent_frame(1), outcome_frame(2, 1), row_frame(3, 3), row_frame(4, 4)]);
    recover_twice(dir.path());
    assert_eq!(rows_in(dir.path()), [row(1, 2), row(2, 1), row(3, 3), row(4, 4)]);
}

#[test]
fn epochs_are_recovered_apart() {
    let dir = tempfile::tempdir().unwrap();
    write_segment(dir.path(), 1, 1, &[intent_frame(1)]);
    let next_start = Writer { epoch: 4, ..writer() };
    let header = Header { writer: next_start.clone(), number: 1, first_seq: 1 };
    let (payload, seq) = row_frame(1, 1);
    create(dir.path(), &header, [(&payload, seq)]).unwrap();
    recover_twice(dir.path());
    let other = Row { writer: Arc::new(next_start), ..row(1, 1) };
    assert_eq!(rows_in(dir.path()), [interrupted_row(1, 1), other]);
}

#[test]
fn damage_in_the_middle_is_kept_aside_and_becomes_gap_rows() {
    let dir = tempfile::tempdir().unwrap();
    let frames = [intent_frame(1), row_frame(1, 2), row_frame(2, 3), outcome_frame(3, 1), row_frame(4, 4)];
    let path = write_segment(dir.path(), 1, 1, &frames);
    let mut damaged = std::fs::read(&path).unwrap();
    let header_bytes = damaged.len() - frames.iter().map(|(payload, _)| payload.len() + 17).sum::<usize>();
    let second_row = header_bytes + frames[..2].iter().map(|(payload, _)| payload.len() + 17).sum::<usize>();
    damaged[header_bytes + 30] ^= 1;
    damaged[second_row + 30] ^= 1;
    std::fs::write(&path, &damaged).unwrap();

    let repairs = recover_twice(dir.path());
    let copy = dir.path().join("quarantine/00000003-00000001.journal");
    let bytes = (frames[0].0.len() + frames[2].0.len() + 34) as u64;
    assert_eq!(repairs, [Repair::LeftOutDamage { path, copy: copy.clone(), bytes, rows_lost: 2 }]);
    assert_eq!(std::fs::read(copy).unwrap(), damaged);
    let rows = rows_in(dir.path());
    assert_eq!((&rows[0], &rows[3]), (&row(1, 2), &row(4, 4)));
    let gaps: Vec<_> =
        rows[1..3].iter().map(|row| (row.seq, row.outcome.outcome, row.outcome.error.as_deref())).collect();
    assert_eq!(
        gaps,
        [
            (2, OutcomeKind::Gap, Some("1 record lost to a damaged journal segment")),
            (3, OutcomeKind::Gap, Some("1 record lost to a damaged journal segment, except its outcome: completed")),
        ]
    );
    assert_eq!((rows[2].intent.event_id, rows[2].outcome.status), (id(1), Some(200)));
}

/// Such a call left no trace: no row, and no hole in the numbers either.
#[test]
fn a_damaged_intent_of_a_call_under_way_becomes_a_gap_row() {
    let dir = tempfile::tempdir().unwrap();
    let path = write_segment(dir.path(), 1, 1, &[row_frame(1, 2), intent_frame(1), intent_frame(3)]);
    let mut damaged = std::fs::read(&path).unwrap();
    let from_end = damaged.len() - intent_frame(3).0.len() - 17 - 5;
    damaged[from_end] ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    recover_twice(dir.path());
    let rows = rows_in(dir.path());
    assert_eq!((&rows[0], &rows[2]), (&row(1, 2), &interrupted_row(3, 3)));
    assert_eq!((rows[1].seq, rows[1].outcome.outcome), (2, OutcomeKind::Gap));
    let error = Some("a call under way was lost to a damaged journal segment");
    assert_eq!(rows[1].outcome.error.as_deref(), error);
}

#[test]
fn a_file_shorter_than_its_header_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = write_segment(dir.path(), 1, 1, &[]);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(recover_twice(dir.path()), [Repair::RemovedIncomplete { path }]);
}

#[test]
fn an_unreadable_last_segment_is_put_away_and_its_carried_intents_are_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let first = write_segment(dir.path(), 1, 1, &[intent_frame(1), row_frame(1, 2), close_frame()]);
    let second = write_segment(dir.path(), 2, 2, &[intent_frame(1), row_frame(2, 3)]);
    let mut bytes = std::fs::read(&second).unwrap();
    bytes[25] ^= 1;
    std::fs::write(&second, &bytes).unwrap();
    let repairs = recover_twice(dir.path());
    let to = dir.path().join("quarantine/00000003-00000002.journal.unreadable");
    assert_eq!(std::fs::read(&to).unwrap(), bytes);
    assert_eq!(
        repairs,
        [
            Repair::Unreadable { path: second, to, fault: HeaderFault::Checksum },
            Repair::Interrupted { path: first, rows: 1 },
        ]
    );
    assert_eq!(rows_in(dir.path()), [row(1, 2), interrupted_row(2, 1)]);
}

#[test]
fn a_segment_of_another_format_stops_recovery_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = write_segment(dir.path(), 1, 1, &[row_frame(1, 1)]);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8] = 1;
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(recover(dir.path(), NOW_US), Err(RecoverError::Version { found: 1, .. })));
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_directory_that_does_not_exist_has_nothing_to_recover() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(recover(&dir.path().join("none"), NOW_US).unwrap(), Recovery::default());
}

#[derive(Clone, Debug)]
enum Step {
    Intend,
    /// Settles the open exchange at this position, modulo their number.
    Settle(usize),
    Record,
    /// The commit of this step's frame, a row, fails; then storage is back.
    FailedRecord,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Intend),
        4 => any::<usize>().prop_map(Step::Settle),
        2 => Just(Step::Record),
        1 => Just(Step::FailedRecord),
    ];
    proptest::collection::vec(step, 1..40)
}

/// What one step made durable, and where the file ended then.
struct Done {
    segment: PathBuf,
    length: u64,
    /// Exchange, and whether it was settled.
    effect: (u128, bool),
}

fn run_steps(log: &mut Stepped, platform: &Scripted, steps: &[Step]) -> Vec<Done> {
    let (mut open, mut done) = (Vec::new(), Vec::new());
    for (n, step) in (1..).zip(steps) {
        let effect = match step {
            Step::Intend => {
                drop(log.intend(n));
                open.push(n);
                (n, false)
            }
            Step::Settle(_) if open.is_empty() => continue,
            Step::Settle(position) => {
                let settled = open.remove(position % open.len());
                drop(log.settle(settled));
                (settled, true)
            }
            Step::Record | Step::FailedRecord => {
                drop(log.record(n));
                (n, true)
            }
        };
        if matches!(step, Step::FailedRecord) {
            platform.0.sync_fails.store(true, Ordering::SeqCst);
            log.turn();
            platform.0.sync_fails.store(false, Ordering::SeqCst);
            log.log.reopen().unwrap();
        }
        log.turn();
        done.push(Done { segment: log.tail_path(), length: log.tail_length(), effect });
    }
    done
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The journal against a `Vec`: after a crash that leaves the last segment cut at any byte it did not begin
    /// with, or zeros from there on, the rows are those whose frames are whole, in order, then the intents left open.
    #[test]
    fn a_recovered_journal_equals_the_model(
        steps in steps(), segment_bytes_max in 100..2_000_u64, fill_bytes in 1..2_000_u64,
        cut in any::<prop::sample::Index>(), zeros in any::<bool>()
    ) {
        let dir = tempfile::tempdir().unwrap();
        let platform = Scripted::new();
        let settings = Settings { segment_bytes_max, fill_bytes, ..settings(dir.path()) };
        let mut log = Stepped::new(settings, &platform);
        let done = run_steps(&mut log, &platform, &steps);
        let (last, length, first) = (log.tail_path(), log.tail_length(), log.log.tail.as_ref().unwrap().first_bytes);
        drop(log);
        let cut = first + cut.index((length - first + 1) as usize) as u64;
        let mut bytes = std::fs::read(&last).unwrap();
        let lost = bytes.split_off(cut as usize);
        // A frame of which only zeros are lost is whole when zeros are in their place.
        let whole = cut + if zeros { lost.iter().take_while(|byte| **byte == 0).count() as u64 } else { 0 };
        bytes.resize(cut as usize + if zeros { lost.len() } else { 0 }, 0);
        std::fs::write(&last, bytes).unwrap();

        let (mut settled, mut open) = (Vec::new(), Vec::new());
        for step in done.iter().filter(|step| step.segment != last || step.length <= whole || step.length <= first) {
            let (n, settles) = step.effect;
            open.retain(|&other| other != n);
            if settles { settled.push(n) } else { open.push(n) }
        }
        recover_twice(dir.path());
        let rows = rows_in(dir.path());
        let expected: Vec<_> = (1..).zip(settled.iter().copied()).collect();
        prop_assert_eq!(seq_and_n(&rows[..settled.len()]), expected);
        prop_assert!(rows.iter().map(|row| row.seq).eq(1..=rows.len() as u64));
        for row in &rows[..settled.len()] {
            prop_assert_eq!(&row.outcome, &outcome(row.intent.event_id.as_u128()));
        }
        let mut interrupted: Vec<_> = rows[settled.len()..].iter().map(|row| row.intent.event_id.as_u128()).collect();
        interrupted.sort_unstable();
        prop_assert_eq!(interrupted, open);
        prop_assert!(rows[settled.len()..].iter().all(|row| row.outcome.outcome == OutcomeKind::Interrupted));
    }

    /// A bit of any segment that changed costs at most the frame it was in, which is told, and never makes a row of its own.
    #[test]
    fn a_flipped_bit_costs_one_record_and_invents_none(
        steps in steps(), segment_bytes_max in 100..2_000_u64, fill_bytes in 1..500_u64,
        at in any::<prop::sample::Index>(), bit in 0..8_u8
    ) {
        let dir = tempfile::tempdir().unwrap();
        let platform = Scripted::new();
        let settings = Settings { segment_bytes_max, fill_bytes, ..settings(dir.path()) };
        let mut log = Stepped::new(settings, &platform);
        let done = run_steps(&mut log, &platform, &steps);
        drop(log);
        let segments = segment::list(dir.path()).unwrap();
        let path = &segments[at.index(segments.len())];
        let mut bytes = std::fs::read(path).unwrap();
        let header = Header::decode(&bytes).unwrap().2;
        let position = header + at.index((bytes.len() - header).max(1));
        prop_assume!(position < bytes.len());
        bytes[position] ^= 1 << bit;
        std::fs::write(path, &bytes).unwrap();

        let repairs = recover_twice(dir.path());
        let rows = rows_in(dir.path());
        let (gaps, kept): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.outcome.outcome == OutcomeKind::Gap);
        let mut seen = std::collections::BTreeSet::new();
        for row in &kept {
            let n = row.intent.event_id.as_u128();
            prop_assert!(seen.insert(n), "{} is there twice", n);
            prop_assert!(done.iter().any(|step| step.effect.0 == n), "{} is invented", n);
            let settled = done.iter().any(|step| step.effect == (n, true));
            prop_assert!(row.outcome.outcome == OutcomeKind::Interrupted || (settled && row.outcome == outcome(n)));
        }
        let calls: std::collections::BTreeSet<_> = done.iter().map(|step| step.effect.0).collect();
        let torn = repairs.iter().filter(|repair| matches!(repair, Repair::CutTail { .. })).count();
        prop_assert!(calls.difference(&seen).count() <= 1, "{:?} of {:?}", seen, calls);
        prop_assert!(seen.len() + gaps.len() + torn >= calls.len(), "a loss is not told");
    }
}
