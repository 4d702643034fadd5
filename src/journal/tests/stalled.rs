//! Storage that does not answer, durability by interval, and what `on_failure` lets pass.

use super::*;

#[test]
fn a_stalled_sync_refuses_at_once_and_heals_when_it_returns() {
    let dir = tempfile::tempdir().unwrap();
    let platform = Scripted::new();
    let (began, go_on) = platform.close_gate();
    let settings = Settings { wait_max: Duration::from_millis(20), ..settings(dir.path()) };
    let (journal, thread) = open_on(platform, settings, writer(), mpsc::channel().0).unwrap();
    let waiting = journal.record(&intent(1), &outcome(1));
    let mut waiting = pin!(waiting.durable());
    assert!(!is_ready(&mut waiting));
    began.recv_timeout(SOON).unwrap();
    while journal.is_writable() {
        std::thread::yield_now();
    }
    assert_eq!(block_on(journal.intend(&intent(2))), Err(NoEvidence::Failed));
    assert_eq!(journal.admits(), Err(NoEvidence::Failed));
    assert!(matches!(journal.health(), Health::Stalled { silence } if silence > Duration::from_millis(20)));
    while journal.counters().failures == 0 {
        std::thread::yield_now();
    }
    drop(go_on);
    assert_eq!(block_on(waiting), Ok(()));
    while !journal.is_writable() {
        std::thread::yield_now();
    }
    assert_eq!(block_on(journal.record(&intent(2), &outcome(2)).durable()), Ok(()));
    thread.close().unwrap();
    assert_eq!(rows_in(dir.path()), vec![row(1, 1), row(2, 2)]);
}

#[test]
fn closing_gives_up_on_storage_that_does_not_answer() {
    let dir = tempfile::tempdir().unwrap();
    let platform = Scripted::new();
    let (began, go_on) = platform.close_gate();
    let settings = Settings { wait_max: Duration::from_millis(20), ..settings(dir.path()) };
    let (journal, thread) = open_on(platform, settings, writer(), mpsc::channel().0).unwrap();
    let mut first = pin!(journal.record(&intent(1), &outcome(1)).durable());
    assert!(!is_ready(&mut first));
    began.recv_timeout(SOON).unwrap();
    drop(journal.record(&intent(2), &outcome(2)));
    assert!(matches!(thread.close(), Err(CloseError::Stalled { frames_lost: 1 })));
    drop(go_on);
}

#[test]
fn only_continue_waives_evidence_and_only_for_storage() {
    let waived = |on_failure, reason| {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings { on_failure, ..settings(dir.path()) };
        let (journal, thread) = open_on(Scripted::new(), settings, writer(), mpsc::channel().0).unwrap();
        let waived = journal.waive(reason).map(drop);
        assert_eq!(journal.counters().waived, u64::from(waived.is_ok()));
        thread.close().unwrap();
        waived
    };
    for reason in [NoEvidence::Failed, NoEvidence::TimedOut, NoEvidence::BacklogFull] {
        assert_eq!(waived(OnFailure::Continue, reason), Ok(()));
        assert_eq!(waived(OnFailure::Refuse, reason), Err(reason));
        assert_eq!(waived(OnFailure::Shutdown, reason), Err(reason));
    }
    for reason in [NoEvidence::TooLarge, NoEvidence::NoIntent, NoEvidence::Closed] {
        assert_eq!(waived(OnFailure::Continue, reason), Err(reason));
    }
}

#[test]
fn with_durability_interval_what_is_acknowledged_is_synced_a_little_later() {
    let dir = tempfile::tempdir().unwrap();
    let platform = Scripted::new();
    let durability = Durability::Interval { sync_interval: Duration::from_secs(3600) };
    let mut log = Stepped::new(Settings { durability, ..settings(dir.path()) }, &platform);
    platform.0.sync_fails.store(true, Ordering::SeqCst);
    let commit = log.record(1);
    log.turn();
    assert_eq!(block_on(commit.durable()), Ok(()), "acknowledged when it is written");
    let due = log.log.due_at().unwrap();
    assert!(due > Instant::now(), "not due yet");
    assert!(log.log.serve(Wake::Due).is_ok(), "nothing is synced before it is due");

    let durability = Durability::Interval { sync_interval: Duration::ZERO };
    log.log.settings = Arc::new(Settings { durability, ..settings(dir.path()) });
    let failure = log.log.serve(Wake::Due).unwrap_err();
    assert!(failure.to_string().starts_with("cannot sync "), "{failure}");
    log.log.fail(&failure);
    platform.0.sync_fails.store(false, Ordering::SeqCst);
    log.log.reopen().unwrap();
    assert_eq!(
        segment::read(&log.closed.try_recv().unwrap()).unwrap().rows,
        vec![row(1, 1)],
        "what was written is kept"
    );
}

#[test]
fn with_durability_interval_the_thread_syncs_without_further_calls() {
    let dir = tempfile::tempdir().unwrap();
    let platform = Scripted::new();
    let (began, go_on) = platform.close_gate();
    drop(go_on);
    let durability = Durability::Interval { sync_interval: Duration::from_millis(1) };
    let settings = Settings { durability, ..settings(dir.path()) };
    let (journal, thread) = open_on(platform, settings, writer(), mpsc::channel().0).unwrap();
    assert_eq!(block_on(journal.intend(&intent(1))), Ok(()));
    began.recv_timeout(SOON).unwrap();
    thread.close().unwrap();
}
