//! Starting, reloading, limits and stopping.

use std::fs;
use std::io::Write;
use std::sync::{Mutex, mpsc};
use std::thread;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;

use crate::harness::{Client, Gate, Origin, eventually, respond};

fn get(authority: &str) -> String {
    format!("GET http://{authority}/ HTTP/1.1\r\nHost: {authority}\r\n\r\n")
}

/// An origin that holds each response until it is told to go on.
fn gated() -> (Origin, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (reached, arrived) = mpsc::channel();
    let (go, going) = mpsc::channel::<()>();
    let (reached, going) = (Mutex::new(reached), Mutex::new(going));
    let origin = Origin::serving(None, move |_, stream| {
        reached.lock().unwrap().send(()).unwrap();
        going.lock().unwrap().recv().is_ok() && stream.write_all(&respond(200, "hello")).is_ok()
    });
    (origin, arrived, go)
}

#[test]
fn stopping_finishes_what_is_under_way_and_answers_who_comes_late() {
    let (origin, arrived, go) = gated();
    let mut gate = Gate::builder().allow("hub.test").resolve("hub.test").start();
    let authority = format!("hub.test:{}", origin.port());
    let mut under_way = gate.client();
    under_way.send(get(&authority));
    arrived.recv().unwrap();
    let mut early = gate.client();
    gate.signal(Signal::TERM);
    eventually("the gate says it stops", || gate.log().contains("stopping").then_some(()));

    early.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
    let refused = early.answer_to("CONNECT");
    assert_eq!((refused.status, refused.json()["reason"].as_str()), (503, Some("shutting_down")));
    let mut late = Client::connect(gate.address());
    let refused = late.open(&authority);
    assert_eq!((refused.status, refused.json()["reason"].as_str()), (503, Some("shutting_down")));

    go.send(()).unwrap();
    assert_eq!(under_way.answer_to("GET").status, 200);
    assert_eq!(gate.wait(), Some(0));
    let mut ends: Vec<_> = gate.rows_of(3).iter().map(|row| row.columns(["outcome", "deny_reason"])).collect();
    ends.sort();
    let late = ["denied".to_owned(), "shutting_down".to_owned()];
    assert_eq!(ends, [["completed".to_owned(), String::new()], late.clone(), late]);
}

#[test]
fn a_tunnel_that_outlives_the_drain_is_cut_and_recorded() {
    let origin = Origin::raw(|mut stream| {
        stream.write_all(b"banner").unwrap();
        thread::park();
    });
    let mut gate = Gate::builder()
        .config("limits: { drain_timeout_s: 1 }\n")
        .allow("mail.test")
        .flag("--tunnel-host", "mail.test")
        .resolve("mail.test")
        .start();
    let mut client = gate.client();
    assert_eq!(client.open(&format!("mail.test:{}", origin.port())).status, 200);
    assert_eq!(client.exactly(6), b"banner");
    assert_eq!(gate.stop(), Some(0));
    assert_eq!(
        gate.row().columns(["kind", "outcome", "response_bytes", "error"]),
        ["tunnel", "interrupted", "6", "Tollgate stopped before the exchange ended"]
    );
}

#[test]
fn a_tunnel_through_which_nothing_came_does_not_hold_up_a_stop() {
    let mut gate = Gate::builder().config("limits: { drain_timeout_s: 300, connect_wait_s: 300 }\n").start();
    let mut client = gate.client();
    assert_eq!(client.open("quiet.test:443").status, 200);
    assert_eq!(gate.stop(), Some(0), "waited for the drain timeout");
    assert_eq!(
        gate.row().columns(["kind", "host", "outcome", "error"]),
        ["connect", "quiet.test", "interrupted", "Tollgate stopped before anything came through the tunnel"]
    );
}

#[test]
fn a_reload_applies_a_good_policy_and_keeps_the_old_one_before_a_bad_one() {
    let origin = Origin::http();
    let policy = tempfile::NamedTempFile::new().unwrap();
    let write = |text: &str| fs::write(policy.path(), text).unwrap();
    write("mode: enforce\nrules:\n  - { name: first, hosts: [one.test] }\n");
    let gate = Gate::builder()
        .flag("--policy", policy.path().to_str().unwrap())
        .resolve("one.test")
        .resolve("two.test")
        .start();
    let ask = |host: &str| gate.client().ask(get(&format!("{host}:{}", origin.port()))).status;
    assert_eq!((ask("one.test"), ask("two.test")), (200, 403));

    write("mode: enforce\nrules:\n  - { name: broken, hosts: [Two.Test] }\n");
    gate.signal(Signal::HUP);
    eventually("the bad policy is refused", || gate.log().contains("policy not reloaded").then_some(()));
    assert!(gate.log().contains("two.test"), "the remedy is missing: {}", gate.log());
    assert_eq!((ask("one.test"), ask("two.test")), (200, 403));

    write("mode: enforce\nrules:\n  - { name: second, hosts: [two.test] }\n");
    gate.signal(Signal::HUP);
    eventually("the good policy applies", || gate.log().contains("policy reloaded").then_some(()));
    assert_eq!((ask("one.test"), ask("two.test")), (403, 200));
    let rows = gate.rows_of(6);
    let rules: Vec<String> = rows.iter().map(|row| row.get("policy_rule")).collect();
    assert_eq!(rules, ["first", "", "first", "", "", "second"]);
    assert_ne!(rows[0].get("policy_hash"), rows[5].get("policy_hash"));
}

#[test]
fn calls_are_answered_and_a_stop_is_heard_while_a_policy_is_being_read() {
    let origin = Origin::http();
    let dir = tempfile::tempdir().unwrap();
    let policy = dir.path().join("policy.yml");
    fs::write(&policy, "mode: enforce\nrules:\n  - { name: first, hosts: [one.test] }\n").unwrap();
    let mut gate = Gate::builder()
        .flag("--policy", policy.to_str().unwrap())
        .flag("--threads", "1")
        .resolve("one.test")
        .resolve("two.test")
        .start();
    // A pipe stands for a large file: reading it takes as long as the test wants.
    fs::remove_file(&policy).unwrap();
    let mode = Mode::RUSR | Mode::WUSR;
    mknodat(CWD, &policy, FileType::Fifo, mode, 0).unwrap();
    let ask = |gate: &Gate, host: &str| gate.client().ask(get(&format!("{host}:{}", origin.port()))).status;

    gate.signal(Signal::HUP);
    // Opening it succeeds when the gate has opened it, too.
    let mut pipe = fs::File::options().write(true).open(&policy).unwrap();
    assert_eq!((ask(&gate, "one.test"), ask(&gate, "two.test")), (200, 403));
    pipe.write_all(b"mode: enforce\nrules:\n  - { name: second, hosts: [two.test] }\n").unwrap();
    drop(pipe);
    eventually("the new policy applies", || gate.log().contains("policy reloaded").then_some(()));
    assert_eq!((ask(&gate, "one.test"), ask(&gate, "two.test")), (403, 200));

    gate.signal(Signal::HUP);
    let _never_ends = fs::File::options().write(true).open(&policy).unwrap();
    assert_eq!(gate.stop(), Some(0));
    let rules: Vec<String> = gate.rows_of(4).iter().map(|row| row.get("policy_rule")).collect();
    assert_eq!(rules, ["first", "", "", "second"]);
}

#[test]
fn connections_beyond_a_limit_are_answered_and_recorded() {
    let origin = Origin::http();
    let gate = Gate::builder()
        .config("limits: { connections_max: 100, connections_per_client_max: 2 }\n")
        .allow("hub.test")
        .resolve("hub.test")
        .start();
    let request = get(&format!("hub.test:{}", origin.port()));
    let (mut first, mut second) = (gate.client(), gate.client());
    assert_eq!((first.ask(&request).status, second.ask(&request).status), (200, 200));
    let refused = gate.client().ask(&request);
    assert_eq!((refused.status, refused.json()["reason"].as_str()), (503, Some("overloaded")));
    drop((first, second));
    eventually("a place is free again", || (gate.client().ask(&request).status == 200).then_some(()));
    let rows = gate.rows();
    assert_eq!(rows[2].columns(["decision", "deny_reason", "status"]), ["deny", "overloaded", "503"]);
}

#[test]
fn the_admin_listener_tells_health_readiness_and_counts() {
    let origin = Origin::http();
    let (admin, reserved) = reserve_port();
    let gate = {
        drop(reserved);
        Gate::builder().flag("--admin", &admin).allow("hub.test").resolve("hub.test").start()
    };
    let admin = admin.parse().unwrap();
    let ask = |path: &str| Client::connect(admin).ask(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
    let health = ask("/healthz").json();
    assert_eq!((&health["status"], &health["journal"]["trouble"]), (&"running".into(), &serde_json::Value::Null));
    assert_eq!((ask("/readyz").status, ask("/readyz").body), (200, "ready\n".to_owned()));
    assert_eq!(gate.client().ask(get(&format!("hub.test:{}", origin.port()))).status, 200);
    gate.rows_of(1);
    let metrics = ask("/metrics").body;
    let counted = "tollgate_exchanges_total{kind=\"http\",decision=\"allow\",outcome=\"completed\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    assert!(metrics.contains("tollgate_journal_writable 1"), "{metrics}");
    assert!(!metrics.contains("hub.test"), "a destination is in the metrics: {metrics}");
}

fn reserve_port() -> (String, std::net::TcpListener) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    (listener.local_addr().unwrap().to_string(), listener)
}
