//! The writer while storage fails: intents are refused at once, rows wait, durable rows survive.

use super::*;

/// Refused at once, without waiting for anything.
fn is_refused(log: &Stepped, n: u128) -> bool {
    matches!(log.intend(n).state, CommitState::Refused(NoEvidence::Failed))
}

#[test]
fn a_failed_sync_refuses_intents_keeps_rows_and_heals() {
    let dir = tempfile::tempdir().unwrap();
    let platform = Scripted::new();
    let mut log = Stepped::new(settings(dir.path()), &platform);
    let (before_1, before_2) = (log.intend(1), log.record(2));
    log.turn();
    block_on(before_1.durable()).unwrap();
    block_on(before_2.durable()).unwrap();

    platform.0.sync_fails.store(true, Ordering::SeqCst);
    let (caught, settled, recorded) = (log.intend(3), log.settle(1), log.record(4));
    log.turn();
    assert_eq!(block_on(caught.durable()), Err(NoEvidence::Failed));
    assert!(matches!(log.queue.health(), Health::Failed { reason } if reason.starts_with("cannot sync ")));
    assert!(is_refused(&log, 5));
    let meanwhile = log.record(5);
    let (mut settled, mut recorded) = (pin!(settled.durable()), pin!(recorded.durable()));
    assert!(!is_ready(&mut settled) && !is_ready(&mut recorded));

    platform.0.sync_fails.store(false, Ordering::SeqCst);
    log.log.reopen().unwrap();
    assert_eq!((block_on(settled), block_on(recorded)), (Ok(()), Ok(())));
    assert_eq!(log.queue.health(), Health::Writable);
    log.turn();
    assert_eq!(block_on(meanwhile.durable()), Ok(()));

    let given_up = segment::read(&log.closed.try_recv().unwrap()).unwrap();
    assert_eq!((given_up.rows, given_up.open, given_up.damage), (vec![row(1, 2)], vec![intent(1)], None));
    let next = segment::read(&log.tail_path()).unwrap();
    assert_eq!(next.first_seq, 2);
    assert_eq!((next.rows, next.open), (vec![row(2, 1), row(3, 4), row(4, 5)], vec![]));
    assert_eq!(log.queue.counters().failures, 1);
}

#[test]
fn the_thread_heals_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let platform = Scripted::new();
    let (journal, thread) = open_on(platform.clone(), settings(dir.path()), writer(), mpsc::channel().0).unwrap();
    platform.0.sync_fails.store(true, Ordering::SeqCst);
    assert_eq!(block_on(journal.intend(&intent(1))), Err(NoEvidence::Failed));
    let kept = journal.record(&intent(1), &outcome(1));
    platform.0.sync_fails.store(false, Ordering::SeqCst);
    assert_eq!(block_on(kept.durable()), Ok(()));
    assert_eq!(block_on(journal.intend(&intent(2))), Ok(()));
    drop(journal.settle(id(2), &outcome(2)));
    thread.close().unwrap();
    assert_eq!(rows_in(dir.path()), vec![row(1, 1), row(2, 2)]);
}

#[test]
fn rows_of_an_unlinked_segment_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Stepped::new(settings(dir.path()), &Scripted::new());
    drop((log.intend(1), log.record(2)));
    log.turn();
    let unlinked = log.tail_path();
    std::fs::remove_file(&unlinked).unwrap();

    let (caught, kept) = (log.intend(3), log.settle(1));
    log.turn();
    assert_eq!(block_on(caught.durable()), Err(NoEvidence::Failed));
    let reason = format!("{} was removed or replaced while it was being written", unlinked.display());
    assert_eq!(log.queue.health(), Health::Failed { reason });

    log.log.reopen().unwrap();
    assert_eq!(block_on(kept.durable()), Ok(()));
    assert_eq!(log.closed.try_recv().unwrap(), unlinked);
    assert_eq!(rows_in(dir.path()), vec![row(1, 2), row(2, 1)]);
}

#[test]
fn rows_cut_off_by_somebody_else_become_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let platform = Scripted::new();
    let mut log = Stepped::new(settings(dir.path()), &platform);
    drop(log.record(1));
    log.turn();
    let (path, one_row) = (log.tail_path(), log.tail_length());
    drop((log.record(2), log.record(3)));
    log.turn();
    File::options().write(true).open(&path).unwrap().set_len(one_row).unwrap();
    drop(log.record(4));
    log.turn();
    assert!(is_refused(&log, 5));

    log.log.reopen().unwrap();
    log.turn();
    let rows = rows_in(dir.path());
    assert_eq!(seq_and_n(&rows[..2]), [(1, 1), (4, 4)]);
    assert_eq!((rows[2].seq, rows[2].outcome.outcome), (5, OutcomeKind::Gap));
    let time = "2025-10-09T12:00:00Z";
    let error = format!("2 records lost between {time} and {time}: the journal could not be written");
    assert_eq!(rows[2].outcome.error, Some(error));
}

#[test]
fn a_directory_that_vanished_is_not_made_again() {
    let parent = tempfile::tempdir().unwrap();
    let (dir, aside) = (parent.path().join("journal"), parent.path().join("aside"));
    let mut log = Stepped::new(settings(&dir), &Scripted::new());
    drop(log.record(1));
    log.turn();
    std::fs::rename(&dir, &aside).unwrap();
    std::fs::write(&dir, "in the way").unwrap();
    let kept = log.record(2);
    log.turn();
    assert!(is_refused(&log, 3));
    assert!(log.log.reopen().is_err());
    std::fs::remove_file(&dir).unwrap();
    assert!(log.log.reopen().is_err());
    assert!(!dir.exists());

    std::fs::rename(&aside, &dir).unwrap();
    log.log.reopen().unwrap();
    assert_eq!(block_on(kept.durable()), Ok(()));
    assert_eq!(rows_in(&dir), vec![row(1, 1), row(2, 2)]);
    assert_eq!(log.log.retired.len(), 0);
}

#[test]
fn a_full_disk_refuses_until_there_is_space() {
    let dir = tempfile::tempdir().unwrap();
    let platform = Scripted::new();
    let settings = Settings { free_bytes_min: 1_000, ..settings(dir.path()) };
    platform.0.free_bytes.store(999, Ordering::SeqCst);
    let refused = open_on(platform.clone(), settings.clone(), writer(), mpsc::channel().0);
    let reason =
        format!("{} has 999 bytes free, less than free_bytes_min = 1000; free some space", dir.path().display());
    assert!(matches!(refused, Err(OpenError::Storage(failure)) if failure.to_string() == reason));

    platform.0.free_bytes.store(1_000, Ordering::SeqCst);
    let mut log = Stepped::new(settings, &platform);
    platform.0.free_bytes.store(0, Ordering::SeqCst);
    let now = std::time::Instant::now();
    assert!(log.log.check_space(now).is_ok(), "looked at a moment ago");
    let failure = log.log.check_space(now + Duration::from_secs(2)).unwrap_err();
    assert_eq!(failure.to_string(), reason.replace("999", "0"));
}

#[test]
fn without_a_call_a_disk_that_fills_up_is_noticed_and_one_with_space_again_too() {
    let dir = tempfile::tempdir().unwrap();
    let platform = Scripted::new();
    let settings = Settings { free_bytes_min: 1_000, ..settings(dir.path()) };
    let (journal, thread) = open_on(platform.clone(), settings, writer(), mpsc::channel().0).unwrap();
    let becomes = |writable: bool| {
        let deadline = std::time::Instant::now() + SOON;
        while journal.is_writable() != writable {
            assert!(std::time::Instant::now() < deadline, "still not {writable}");
            std::thread::yield_now();
        }
    };
    assert!(journal.is_writable());
    platform.0.free_bytes.store(999, Ordering::SeqCst);
    becomes(false);
    let trouble = journal.health().trouble().unwrap();
    assert!(trouble.contains("has 999 bytes free, less than free_bytes_min = 1000"), "{trouble}");
    assert_eq!(journal.counters().frames, 0, "nobody called");
    platform.0.free_bytes.store(1_000, Ordering::SeqCst);
    becomes(true);
    thread.close().unwrap();
}

#[test]
fn what_does_not_fit_the_backlog_is_counted_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let platform = Scripted::new();
    let mut log = Stepped::new(Settings { backlog_frames_max: 4, ..settings(dir.path()) }, &platform);
    let intents: Vec<_> = (1..4).map(|n| log.intend(n)).collect();
    assert!(matches!(intents[2].state, CommitState::Refused(NoEvidence::BacklogFull)), "intents get half");
    platform.0.sync_fails.store(true, Ordering::SeqCst);
    log.turn();

    let rows: Vec<_> = (10..17).map(|n| log.record(n)).collect();
    platform.0.sync_fails.store(false, Ordering::SeqCst);
    log.log.reopen().unwrap();
    log.turn();
    let results: Vec<_> = rows.into_iter().map(|commit| block_on(commit.durable())).collect();
    let (kept, lost) = (Ok(()), Err(NoEvidence::BacklogFull));
    assert_eq!(results, [kept, kept, kept, kept, lost, lost, lost]);

    let rows = rows_in(dir.path());
    assert_eq!(seq_and_n(&rows[..4]), [(1, 10), (2, 11), (3, 12), (4, 13)]);
    assert_eq!((rows.len(), rows[4].seq, rows[4].outcome.outcome), (5, 5, OutcomeKind::Gap));
    let error = "3 records lost between 1970-01-01T00:00:00.002014Z and 1970-01-01T00:00:00.002016Z: \
        the journal could not be written";
    assert_eq!(rows[4].outcome.error.as_deref(), Some(error));
    assert_eq!(log.queue.counters().lost, 3);
}

#[test]
fn closing_while_storage_fails_says_what_was_not_written() {
    let parent = tempfile::tempdir().unwrap();
    let (dir, aside) = (parent.path().join("journal"), parent.path().join("aside"));
    let platform = Scripted::new();
    let (journal, thread) = open_on(platform.clone(), settings(&dir), writer(), mpsc::channel().0).unwrap();
    block_on(journal.record(&intent(1), &outcome(1)).durable()).unwrap();
    platform.0.sync_fails.store(true, Ordering::SeqCst);
    assert_eq!(block_on(journal.intend(&intent(2))), Err(NoEvidence::Failed));
    // Now no new segment can be started either.
    std::fs::rename(&dir, &aside).unwrap();
    let unwritten = journal.record(&intent(2), &outcome(2));
    assert!(matches!(thread.close(), Err(CloseError::Storage { frames_lost: 1, .. })));
    assert_eq!(block_on(unwritten.durable()), Err(NoEvidence::Closed));
}

#[test]
fn a_failed_roll_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let platform = Scripted::new();
    let mut log = Stepped::new(Settings { seal_after: Duration::ZERO, ..settings(dir.path()) }, &platform);
    drop((log.intend(1), log.record(2)));
    log.turn();
    // The next segment can be created; closing the old one fails.
    platform.0.sync_fails.store(true, Ordering::SeqCst);
    let kept = log.settle(1);
    log.turn();
    assert!(is_refused(&log, 3));
    assert_eq!(log.log.retired.len(), 2);
    platform.0.sync_fails.store(false, Ordering::SeqCst);
    log.log.reopen().unwrap();
    log.turn();
    assert_eq!(block_on(kept.durable()), Ok(()));
    let numbers: Vec<_> =
        segment::list(dir.path()).unwrap().iter().map(|path| segment::read(path).unwrap().number).collect();
    assert_eq!(numbers, [1, 3], "the second, without rows, is removed");
    assert_eq!(rows_in(dir.path()), vec![row(1, 2), row(2, 1)]);
}
