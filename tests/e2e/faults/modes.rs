//! `audit.on_failure`: what becomes of calls while storage fails.

use super::{NO_SPACE, gate, request};
use crate::harness::{Origin, eventually};

const SHUTDOWN: &str = "tollgate: stopped because evidence could not be written (audit.on_failure: shutdown): ";

fn lines(log: &str, text: &str) -> usize {
    log.lines().filter(|line| line.contains(text)).count()
}

#[test]
fn continue_goes_on_says_so_once_and_keeps_the_rows_that_fit() {
    let origin = Origin::http();
    let mut gate = gate("on_failure: continue").start();
    eventually("it warns", || gate.log().contains("DANGER: audit.on_failure is `continue`").then_some(()));
    let mut client = gate.client();
    assert_eq!(client.ask(request(&origin, "before")).status, 200);
    gate.rows_of(1);

    gate.order(NO_SPACE);
    for n in 0..5 {
        assert_eq!(client.ask(request(&origin, &format!("during-{n}"))).status, 200);
    }
    let refused = client.ask("GET http://other.test/ HTTP/1.1\r\nHost: other.test\r\n\r\n");
    assert_eq!((refused.status, refused.json()["reason"].as_str()), (403, Some("host_not_allowed")));
    assert_eq!(origin.seen().len(), 6);
    assert_eq!(gate.rows().len(), 1, "a row was written to storage that fails");
    let readiness = gate.admin("/readyz");
    assert_eq!(readiness.status, 200);
    assert!(readiness.body.starts_with("ready, WITHOUT evidence: cannot "), "{}", readiness.body);
    let metrics = gate.admin("/metrics").body;
    assert!(metrics.contains("tollgate_unrecorded_exchanges_total 6\n"), "{metrics}");

    gate.order("");
    let rows = gate.rows_of(7);
    assert_eq!(rows.iter().filter(|row| row.get("outcome") == "completed").count(), 6);
    eventually("it is ready", || (gate.admin("/readyz").body == "ready\n").then_some(()));
    eventually("the log says that it is over", || (lines(&gate.log(), "is writable again") == 1).then_some(()));
    assert_eq!(gate.stop(), Some(0));
    let log = gate.log();
    assert_eq!((lines(&log, "calls go on WITHOUT evidence"), lines(&log, "is writable again")), (1, 1), "{log}");
}

#[test]
fn continue_says_in_a_gap_row_how_many_calls_could_not_be_kept_and_when() {
    let origin = Origin::http();
    let gate = gate("on_failure: continue, backlog_frames_max: 1024").start();
    let mut client = gate.client();
    gate.order(NO_SPACE);
    for n in 0..1040 {
        assert_eq!(client.ask(request(&origin, &format!("c{n}"))).status, 200);
    }
    gate.order("");
    let rows = gate.rows_of(1025);
    let gaps: Vec<_> = rows.iter().filter(|row| row.get("outcome") == "gap").collect();
    let [gap] = gaps[..] else { panic!("{gaps:#?}") };
    let [error, from, to] = gap.columns(["error", "event_time", "end_time"]);
    assert!(error.starts_with("16 records lost between ") && from < to, "{gap:?}");
    assert!(gate.admin("/metrics").body.contains("tollgate_journal_lost 16\n"));
    let kept = rows.iter().filter(|row| row.get("outcome") == "completed").count();
    assert_eq!((origin.seen().len(), kept), (1040, 1024));
}

#[test]
fn shutdown_refuses_drains_and_exits_with_a_code_of_its_own() {
    let origin = Origin::http();
    let mut gate = gate("on_failure: shutdown").start();
    assert_eq!(gate.client().ask(request(&origin, "before")).status, 200);
    gate.rows_of(1);
    gate.order(NO_SPACE);
    let refused = gate.client().ask(request(&origin, "during"));
    assert_eq!((refused.status, refused.json()["reason"].as_str()), (503, Some("no_evidence")));
    assert_eq!(gate.wait(), Some(75));
    let says_why = |log: &str| log.lines().last().is_some_and(|last| last.starts_with(SHUTDOWN));
    eventually("the last line says why", || says_why(&gate.log()).then_some(()));
    assert_eq!(origin.seen().len(), 1, "a call without evidence reached the upstream");

    gate.order("");
    gate.spawn();
    assert_eq!(gate.client().ask(request(&origin, "after")).status, 200);
    let completed = gate.rows_of(2);
    let ids: Vec<_> = completed.iter().map(|row| row.columns(["deployment_id", "outcome"])).collect();
    assert_eq!(ids, [["before", "completed"], ["after", "completed"]]);
}
