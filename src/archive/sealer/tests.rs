//! The thread against a real directory; segments are files that say how many rows they stand for.

use std::sync::mpsc::{Sender, channel};

use std::fs;

use super::*;
use crate::archive::chain::Head;
use crate::archive::dataset;
use crate::archive::digest::Sha256;
use crate::archive::entries;
use crate::archive::samples::{self, MIDNIGHT_US};
use crate::archive::statement::PolicyStatement;
use crate::journal::segment::{ReadError, RowsError, SegmentBytes};

/// A stand-in for a segment: `first last`, or `damaged`.
fn read_stand_in(path: &Path, _: Vec<u8>) -> Result<SegmentBytes, ReadError> {
    let text = fs::read_to_string(path).map_err(|source| ReadError::Io { path: path.to_owned(), source })?;
    let Some((first, last)) = text.split_once(' ') else {
        return Ok(samples::segment(&[]).torn());
    };
    let seqs = first.parse::<u64>().expect("seq")..=last.parse().expect("seq");
    let rows: Vec<_> = seqs.map(|seq| samples::row(seq, MIDNIGHT_US + seq as i64)).collect();
    Ok(samples::segment(&rows))
}

struct Bench {
    dir: tempfile::TempDir,
    closed: Sender<PathBuf>,
    sealer: Sealer,
}

impl Bench {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("temp dir");
        fs::create_dir(dir.path().join("journal")).expect("journal");
        let (closed, arriving) = channel();
        let settings = Settings { retry_max: Duration::from_millis(5), ..Settings::new(dir.path()) };
        let signer = Signer::load_or_create(dir.path()).expect("key");
        let sealer =
            Sealer::start_reading(settings, signer, samples::opening(), read_stand_in, arriving).expect("starts");
        Self { dir, closed, sealer }
    }

    fn segment(&self, name: &str, content: &str) -> PathBuf {
        let path = self.dir.path().join("journal").join(name);
        fs::write(&path, content).expect("writes");
        path
    }

    fn sealed(&self) -> Vec<String> {
        let partition = self.dir.path().join("audit/event_date=2026-11-22");
        let mut names: Vec<_> =
            dataset::files(&partition).expect("lists").iter().map(|(name, _)| name.to_string()).collect();
        names.sort();
        names
    }

    /// Waits until the status is as wanted; the test runner's own limit ends a wait in vain.
    fn until(&self, wanted: impl Fn(&Status) -> bool) -> Status {
        loop {
            let status = self.sealer.status();
            if wanted(&status) {
                return status;
            }
            thread::yield_now();
        }
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[test]
fn a_closed_segment_is_sealed_then_deleted() {
    let bench = Bench::start();
    let segment = bench.segment("1.journal", "1 3");
    bench.closed.send(segment.clone()).expect("sends");
    let status = bench.until(|status| status.rows == 3 && status.backlog == 0);
    assert_eq!(bench.sealed(), ["gate-1-7-1-3.parquet"]);
    assert!(!segment.exists());
    assert_eq!((status.files, status.failures, status.last_error, status.running), (1, 0, None, true));
}

#[test]
fn an_empty_segment_and_one_sealed_before_leave_nothing() {
    let bench = Bench::start();
    let empty = bench.segment("1.journal", "2 1");
    bench.closed.send(empty.clone()).expect("sends");
    bench.closed.send(bench.dir.path().join("journal/gone.journal")).expect("sends");
    drop(bench.closed);
    assert_eq!(bench.sealer.finish(soon(), samples::STOP), Unsealed::default());
    assert!(!empty.exists());
}

#[test]
fn a_failing_segment_is_kept_and_does_not_hold_up_the_next() {
    let bench = Bench::start();
    let damaged = bench.segment("1.journal", "damaged");
    let sound = bench.segment("2.journal", "1 2");
    bench.closed.send(damaged.clone()).expect("sends");
    bench.closed.send(sound.clone()).expect("sends");
    let status = bench.until(|status| status.rows == 2 && status.failures >= 3);
    assert_eq!(status.backlog, 1);
    assert_eq!(status.last_error, Some(format!("{}: {}", damaged.display(), RowsError::Damaged)));
    assert!(damaged.exists() && !sound.exists());
}

#[test]
fn a_failure_heals_by_itself() {
    let bench = Bench::start();
    let segment = bench.segment("1.journal", "damaged");
    bench.closed.send(segment.clone()).expect("sends");
    bench.until(|status| status.failures >= 1);
    fs::rename(bench.segment("repaired", "1 2"), &segment).expect("repairs");
    let status = bench.until(|status| status.rows == 2 && status.backlog == 0);
    assert_eq!(status.last_error, None);
    assert!(!segment.exists());
}

#[test]
fn an_unwritable_dataset_keeps_the_segment() {
    let bench = Bench::start();
    fs::remove_dir(bench.dir.path().join("audit")).expect("removes");
    fs::write(bench.dir.path().join("audit"), b"a file").expect("blocks");
    let segment = bench.segment("1.journal", "1 2");
    bench.closed.send(segment.clone()).expect("sends");
    bench.until(|status| status.failures >= 2);
    assert!(segment.exists());
    fs::remove_file(bench.dir.path().join("audit")).expect("unblocks");
    fs::create_dir(bench.dir.path().join("audit")).expect("unblocks");
    bench.until(|status| status.rows == 2 && status.backlog == 0);
    assert_eq!(bench.sealed(), ["gate-1-7-1-2.parquet"]);
}

#[test]
fn finish_seals_all_that_arrived_and_reports_the_rest() {
    let bench = Bench::start();
    let damaged = bench.segment("0.journal", "damaged");
    bench.closed.send(damaged.clone()).expect("sends");
    for seq in 1..=5 {
        let segment = bench.segment(&format!("{seq}.journal"), &format!("{seq} {seq}"));
        bench.closed.send(segment).expect("sends");
    }
    let audit = bench.dir.path().join("audit/event_date=2026-11-22");
    drop(bench.closed);
    let left = bench.sealer.finish(soon(), samples::STOP);
    assert_eq!(left, Unsealed { segments: vec![damaged.clone()], deadline_passed: false });
    assert_eq!(dataset::files(&audit).expect("lists").len(), 5);
    assert!(damaged.exists());
}

#[test]
fn finish_does_not_need_the_channel_to_be_closed() {
    let bench = Bench::start();
    bench.closed.send(bench.segment("1.journal", "1 2")).expect("sends");
    let left = bench.sealer.finish(soon(), samples::STOP);
    assert_eq!(left, Unsealed::default());
    drop(bench.closed);
}

/// Kind and index of each entry of the chain.
fn said(dir: &Path) -> Vec<(&'static str, u64)> {
    let mut said = Vec::new();
    let walked = entries::walk_back(&dir.join("manifest"), |signed| {
        said.push((signed.entry.statement.kind(), signed.entry.index));
        true
    });
    walked.expect("reads");
    said.reverse();
    said
}

#[test]
fn the_chain_says_start_first_notes_before_the_files_after_them_and_stop_last() {
    let bench = Bench::start();
    assert_eq!(said(bench.dir.path()), [("start", 1)]);
    let notes = bench.sealer.notes();
    let (before, after) = ("p".to_owned(), "q".to_owned());
    notes.send(Statement::Policy(PolicyStatement { before, after: after.clone(), catalogue_sha256: Sha256::of(b"c") }));
    notes.send(Statement::RefusedReload(samples::refused(&after, 2)));
    bench.closed.send(bench.segment("1.journal", "1 3")).expect("sends");
    assert_eq!(bench.sealer.finish(soon(), samples::STOP), Unsealed::default());
    let expected = [("start", 1), ("policy", 2), ("refused_reload", 3), ("file", 4), ("stop", 5)];
    assert_eq!(said(bench.dir.path()), expected);
    assert_eq!(notes.lost(), 0);
    notes.send(Statement::Stop(samples::STOP));
    assert_eq!(notes.lost(), 1, "nobody writes any more");
}

#[test]
fn whoever_waits_for_a_statement_is_told_its_place_in_the_chain() {
    let bench = Bench::start();
    let rows_of = Start { epoch: 3, ..samples::start() };
    let statement = Statement::Stop(samples::STOP);
    let head = bench.sealer.notes().append(rows_of, statement, Duration::from_secs(60)).expect("written");
    let path = bench.dir.path().join("manifest/00000002.json");
    assert_eq!(head, Head { index: 2, sha256: Sha256::of(&fs::read(path).expect("reads")) });
    assert_eq!(said(bench.dir.path()), [("start", 1), ("stop", 2)]);
}

#[test]
fn a_note_waits_until_the_chain_can_be_written() {
    let bench = Bench::start();
    let staging = bench.dir.path().join("staging");
    fs::remove_dir(&staging).expect("blocks");
    let notes = bench.sealer.notes();
    notes.send(Statement::RefusedReload(samples::refused("p", 2)));
    bench.until(|status| status.failures >= 1);
    fs::create_dir(&staging).expect("unblocks");
    assert_eq!(bench.sealer.finish(soon(), samples::STOP), Unsealed::default());
    assert_eq!(said(bench.dir.path()), [("start", 1), ("refused_reload", 2), ("stop", 3)]);
    assert_eq!(notes.lost(), 0);
}
