//! Storage that neither works nor fails: calls that do not return, and a process that stands still.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Load, gate, request};
use crate::harness::{Origin, eventually};

/// What a call may wait for its intent here.
const WAIT_MAX: &str = "wait_max_ms: 400";

#[test]
fn a_sync_that_hangs_refuses_calls_at_once_and_heals() {
    let origin = Origin::http();
    let gate = gate(WAIT_MAX).start();
    assert_eq!(gate.client().ask(request(&origin, "before")).status, 200);
    gate.order("journal.sync.before block\n");
    let first = gate.client().ask(request(&origin, "first"));
    assert_eq!((first.status, first.json()["reason"].as_str()), (503, Some("no_evidence")));
    let trouble = eventually("readiness is red", || Some(gate.admin("/readyz")).filter(|answer| answer.status == 503));
    assert!(trouble.body.contains("storage has not answered for "), "{}", trouble.body);

    let began = Instant::now();
    for n in 0..20 {
        assert_eq!(gate.client().ask(request(&origin, &format!("during-{n}"))).status, 503);
    }
    assert!(began.elapsed() < Duration::from_secs(4), "each call waited: {:?}", began.elapsed());
    assert_eq!(origin.seen().len(), 1, "a call without evidence reached the upstream");

    eventually("the log says so", || gate.log().contains("storage does not answer").then_some(()));
    gate.order("");
    eventually("service resumes", || (gate.client().ask(request(&origin, "after")).status == 200).then_some(()));
    eventually("readiness is green", || (gate.admin("/readyz").status == 200).then_some(()));
    let rows = eventually("every call has its row", || Some(gate.rows()).filter(|rows| rows.len() >= 23));
    let refused: Vec<_> = rows.iter().filter(|row| row.get("deny_reason") == "no_evidence").collect();
    assert!(refused.len() >= 21 && rows.len() == refused.len() + 2, "{rows:#?}");
    eventually("the log says that it is over", || gate.log().contains("storage answers again").then_some(()));
}

#[test]
fn continue_does_not_wait_for_storage_that_hangs() {
    let origin = Origin::http();
    let gate = gate("wait_max_ms: 400, on_failure: continue").start();
    gate.order("journal.sync.before block\n");
    for n in 0..10 {
        assert_eq!(gate.client().ask(request(&origin, &format!("c{n}"))).status, 200);
    }
    gate.order("");
    let mut rows = gate.rows_of(10);
    rows.retain(|row| row.get("outcome") == "completed");
    assert_eq!((rows.len(), origin.seen().len()), (10, 10));
}

#[test]
fn a_stop_does_not_wait_for_storage_that_hangs() {
    let origin = Origin::http();
    let mut gate = gate(WAIT_MAX).start();
    let mut load = Load::new(origin);
    load.start(&gate);
    load.pass(10);
    gate.order("journal.sync.before block\n");
    eventually("readiness is red", || (gate.admin("/readyz").status == 503).then_some(()));
    load.stop();
    assert_eq!(gate.stop(), Some(1));
    eventually("the log says why", || gate.log().contains("its storage does not answer").then_some(()));
    gate.order("");
    gate.spawn();
    assert_eq!(gate.stop(), Some(0));
    load.assert_accounted(&gate);
}

#[test]
fn a_shutdown_for_storage_that_hangs_ends() {
    let origin = Origin::http();
    let mut gate = gate("wait_max_ms: 400, on_failure: shutdown").start();
    gate.order("journal.sync.before block\n");
    assert_eq!(gate.client().ask(request(&origin, "first")).status, 503);
    assert_eq!(gate.wait(), Some(75));
    assert_eq!(origin.seen().len(), 0);
}

#[test]
fn a_process_that_stood_still_goes_on_as_if_nothing_had_been() {
    let mut gate = gate("wait_max_ms: 5000, seal_after_s: 1").start();
    let mut load = Load::new(Origin::http());
    load.start(&gate);
    for _ in 0..3 {
        load.pass(20);
        gate.signal(Signal::STOP);
        // Standing still takes time; nothing is waited for here.
        std::thread::park_timeout(Duration::from_millis(300));
        gate.signal(Signal::CONT);
    }
    load.pass(20);
    load.stop();
    assert_eq!(gate.stop(), Some(0));
    assert!(load.told.lock().unwrap().values().all(|status| *status == 200), "a client was told of trouble");
    load.assert_accounted(&gate);
    assert!(gate.rows().iter().all(|row| row.get("outcome") == "completed"), "{:#?}", gate.rows());
}
