//! The writer while storage works: group commit, `seq`, rolling and closing.

use super::*;

#[test]
fn an_intent_is_acknowledged_only_after_its_sync_and_what_queues_meanwhile_shares_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let platform = Scripted::new();
    let (began, go_on) = platform.close_gate();
    let (journal, thread) = open_on(platform, settings(dir.path()), writer(), mpsc::channel().0).unwrap();

    let first = journal.record(&intent(1), &outcome(1)).durable();
    let mut first = pin!(first);
    began.recv_timeout(SOON).unwrap();
    assert_eq!(rows_in(dir.path()), vec![row(1, 1)], "written before it is synced");
    assert!(!is_ready(&mut first), "acknowledged while the sync was under way");

    let others: Vec<_> = (2..12).map(|n| journal.record(&intent(n), &outcome(n))).collect();
    go_on.send(()).unwrap();
    assert_eq!(block_on(&mut first), Ok(()));
    drop(go_on);
    for commit in others {
        assert_eq!(block_on(commit.durable()), Ok(()));
    }
    let counters = journal.counters();
    assert_eq!((counters.frames, counters.commits, counters.backlog_frames), (11, 2, 0));
    thread.close().unwrap();
}

#[test]
fn an_outcome_nobody_waits_for_shares_the_commit_of_the_next_intent() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { settle_linger: Duration::from_secs(3600), ..settings(dir.path()) };
    let (journal, thread) = open(settings, writer(), mpsc::channel().0).unwrap();
    block_on(journal.intend(&intent(1))).unwrap();
    drop(journal.settle(id(1), &outcome(1)));
    block_on(journal.intend(&intent(2))).unwrap();
    let counters = journal.counters();
    assert_eq!((counters.frames, counters.commits), (3, 2));

    assert_eq!(block_on(journal.settle(id(2), &outcome(2)).durable()), Ok(()), "waiting for it starts a commit");
    assert_eq!(journal.counters().commits, 3);
    drop(journal.record(&intent(3), &outcome(3)));
    thread.close().unwrap();
    assert_eq!(rows_in(dir.path()).len(), 3, "closing writes what lingers");
}

/// The wait for a row that was durable already left the queue marked urgent, so that the next intent did not wake the writer.
#[test]
fn an_intent_wakes_the_writer_after_a_late_wait_for_a_row() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, thread) = open(settings(dir.path()), writer(), mpsc::channel().0).unwrap();
    let row = journal.record(&intent(1), &outcome(1));
    while journal.counters().commits == 0 {
        std::thread::yield_now();
    }
    assert_eq!(block_on(row.durable()), Ok(()));
    assert_eq!(block_on(journal.intend(&intent(2))), Ok(()));
    thread.close().unwrap();
}

#[test]
fn an_outcome_nobody_waits_for_is_written_after_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, thread) = open(settings(dir.path()), writer(), mpsc::channel().0).unwrap();
    drop(journal.record(&intent(1), &outcome(1)));
    let deadline = std::time::Instant::now() + SOON;
    while journal.counters().commits == 0 {
        assert!(std::time::Instant::now() < deadline, "the outcome was not written");
        std::thread::yield_now();
    }
    assert_eq!(rows_in(dir.path()), vec![row(1, 1)]);
    thread.close().unwrap();
}

#[test]
fn with_durability_write_nothing_is_synced() {
    let dir = tempfile::tempdir().unwrap();
    let platform = Scripted::new();
    let settings = Settings { durability: Durability::Write, ..settings(dir.path()) };
    let mut log = Stepped::new(settings, &platform);
    platform.0.sync_fails.store(true, Ordering::SeqCst);
    let commit = log.record(1);
    log.turn();
    assert_eq!(block_on(commit.durable()), Ok(()));
}

#[test]
fn an_intent_that_gave_up_waiting_does_not_become_a_second_row() {
    let dir = tempfile::tempdir().unwrap();
    let platform = Scripted::new();
    let (_began, go_on) = platform.close_gate();
    let settings = Settings { wait_max: Duration::from_millis(5), ..settings(dir.path()) };
    let (journal, thread) = open_on(platform, settings, writer(), mpsc::channel().0).unwrap();

    assert_eq!(block_on(journal.intend(&intent(1))), Err(NoEvidence::TimedOut));
    let refused = journal.record(&intent(1), &outcome(1));
    drop(go_on);
    assert_eq!(block_on(refused.durable()), Ok(()));
    thread.close().unwrap();

    let contents = segment::read(&dir.path().join("00000003-00000001.journal")).unwrap();
    assert_eq!((contents.rows, contents.open, contents.closed), (vec![row(1, 1)], vec![], true));
}

#[test]
fn an_outcome_without_an_intent_is_refused_and_takes_no_seq() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, thread) = open(settings(dir.path()), writer(), mpsc::channel().0).unwrap();
    block_on(journal.intend(&intent(1))).unwrap();
    let once = journal.settle(id(1), &outcome(1));
    let twice = journal.settle(id(1), &outcome(1));
    assert_eq!(block_on(once.durable()), Ok(()));
    assert_eq!(block_on(twice.durable()), Err(NoEvidence::NoIntent));
    assert_eq!(block_on(journal.record(&intent(2), &outcome(2)).durable()), Ok(()));
    assert_eq!(journal.counters().unmatched, 1);
    thread.close().unwrap();
    assert_eq!(rows_in(dir.path()), vec![row(1, 1), row(2, 2)]);
}

#[test]
fn eight_threads_get_dense_seqs_over_many_segments() {
    let dir = tempfile::tempdir().unwrap();
    let (sender, closed) = mpsc::channel();
    let settings = Settings { segment_bytes_max: 20_000, ..settings(dir.path()) };
    let (journal, thread) = open(settings, writer(), sender).unwrap();
    std::thread::scope(|scope| {
        for worker in 0..8_u128 {
            let journal = journal.clone();
            scope.spawn(move || {
                for n in (0..500).map(|n| worker * 1_000 + n) {
                    if n % 2 == 0 {
                        block_on(journal.intend(&intent(n))).unwrap();
                        drop(journal.settle(id(n), &outcome(n)));
                    } else {
                        drop(journal.record(&intent(n), &outcome(n)));
                    }
                }
            });
        }
    });
    thread.close().unwrap();

    let paths: Vec<_> = closed.iter().collect();
    assert_eq!(paths, segment::list(dir.path()).unwrap(), "every segment handed over, oldest first");
    assert!(paths.len() > 10, "{} segments", paths.len());
    let rows = rows_in(dir.path());
    assert!(rows.iter().map(|row| row.seq).eq(1..=4_000));
    let mut seen: Vec<_> = rows.iter().map(|row| row.intent.event_id.as_u128()).collect();
    seen.sort_unstable();
    assert!(seen.into_iter().eq((0..8).flat_map(|worker| (0..500).map(move |n| worker * 1_000 + n))));
    for path in paths {
        let contents = segment::read(&path).unwrap();
        assert!(contents.closed && contents.orphans.is_empty() && contents.damage.is_none(), "{contents:?}");
    }
}

#[test]
fn a_roll_carries_open_intents_so_that_each_segment_stands_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Stepped::new(Settings { seal_after: Duration::ZERO, ..settings(dir.path()) }, &Scripted::new());
    let (intent_1, row_2) = (log.intend(1), log.record(2));
    log.turn();
    assert_eq!((block_on(intent_1.durable()), block_on(row_2.durable())), (Ok(()), Ok(())));
    drop(log.settle(1));
    log.turn();

    let first = log.closed.try_recv().unwrap();
    assert_eq!(first, dir.path().join("00000003-00000001.journal"));
    let first = segment::read(&first).unwrap();
    assert_eq!((first.rows, first.open, first.closed), (vec![row(1, 2)], vec![intent(1)], true));
    let second = segment::read(&log.tail_path()).unwrap();
    assert_eq!((second.number, second.first_seq), (2, 2));
    assert_eq!((second.rows, second.open, second.orphans), (vec![row(2, 1)], vec![], vec![]));
}

#[test]
fn a_segment_without_rows_is_not_rolled() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { seal_after: Duration::ZERO, segment_bytes_max: 1, ..settings(dir.path()) };
    let mut log = Stepped::new(settings, &Scripted::new());
    for n in 1..4 {
        drop(log.intend(n));
        log.turn();
    }
    assert_eq!(log.tail_path(), dir.path().join("00000003-00000001.journal"));
    assert!(log.closed.try_recv().is_err());
}

#[test]
fn midnight_closes_the_segment() {
    let dir = tempfile::tempdir().unwrap();
    let platform = Scripted::new();
    let mut log = Stepped::new(settings(dir.path()), &platform);
    drop(log.record(1));
    log.turn();
    platform.0.now_us.store(NOON_US + 43_200_000_000 - 1, Ordering::SeqCst);
    drop(log.record(2));
    log.turn();
    assert!(log.closed.try_recv().is_err(), "still the same day");
    platform.0.now_us.store(NOON_US + 43_200_000_000, Ordering::SeqCst);
    drop(log.record(3));
    log.turn();
    let first = segment::read(&log.closed.try_recv().unwrap()).unwrap();
    assert_eq!(seq_and_n(&first.rows), [(1, 1), (2, 2)]);
    assert_eq!(seq_and_n(&segment::read(&log.tail_path()).unwrap().rows), [(3, 3)]);
}

#[test]
fn the_thread_closes_an_aged_segment_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let (sender, closed) = mpsc::channel();
    let settings = Settings { seal_after: Duration::from_millis(1), ..settings(dir.path()) };
    let (journal, thread) = open(settings, writer(), sender).unwrap();
    drop(journal.record(&intent(1), &outcome(1)));
    let path = closed.recv_timeout(SOON).unwrap();
    assert_eq!(segment::read(&path).unwrap().rows, vec![row(1, 1)]);
    thread.close().unwrap();
    assert_eq!(segment::list(dir.path()).unwrap(), [path], "the empty segment after it is removed");
}

#[test]
fn closing_leaves_open_intents_to_recovery() {
    let dir = tempfile::tempdir().unwrap();
    let (sender, closed) = mpsc::channel();
    let (journal, thread) = open(settings(dir.path()), writer(), sender).unwrap();
    block_on(journal.intend(&intent(1))).unwrap();
    drop(journal.record(&intent(2), &outcome(2)));
    thread.close().unwrap();

    assert_eq!(closed.iter().collect::<Vec<_>>(), [dir.path().join("00000003-00000001.journal")]);
    let left = segment::read(&dir.path().join("00000003-00000002.journal")).unwrap();
    assert_eq!((left.rows, left.open, left.closed), (vec![], vec![intent(1)], false));
    assert_eq!(block_on(journal.intend(&intent(3))), Err(NoEvidence::Closed));
    assert_eq!(block_on(journal.record(&intent(3), &outcome(3)).durable()), Err(NoEvidence::Closed));
    assert_eq!(journal.health(), Health::Failed { reason: "the audit journal is closed".to_owned() });
}

#[test]
fn an_epoch_is_used_once() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, thread) = open(settings(dir.path()), writer(), mpsc::channel().0).unwrap();
    drop(journal.record(&intent(1), &outcome(1)));
    thread.close().unwrap();
    let again = open(settings(dir.path()), writer(), mpsc::channel().0);
    assert!(matches!(again, Err(OpenError::EpochUsed { epoch: 3, .. })));
}

#[test]
fn settings_the_journal_cannot_work_with_are_refused() {
    let good = Settings::new(PathBuf::from("journal"));
    assert_eq!(good.check(), Ok(()));
    let frame = Settings { frame_bytes_max: (1 << 20) + 1, ..good.clone() };
    assert_eq!(frame.check(), Err(SettingsError::FrameBytes((1 << 20) + 1)));
    let fill = Settings { fill_bytes: 0, ..good.clone() };
    assert_eq!(fill.check(), Err(SettingsError::FillBytes(0)));
    let backlog = Settings { backlog_frames_max: 1, ..good.clone() };
    assert_eq!(backlog.check(), Err(SettingsError::BacklogFrames(1)));
    let retry = Settings { retry_gap: Duration::ZERO, ..good };
    assert_eq!(retry.check(), Err(SettingsError::RetryGap(Duration::ZERO)));
}
