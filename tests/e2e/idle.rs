//! What connections cost on which nothing happens: memory of the gate's own, without what the kernel holds for sockets.
//!
//! The bounds leave room above what is measured (2 and 14 KiB): they fail when a buffer or the room of a stage stays, not when an
//! allocator rounds otherwise.

use std::fs;

use crate::harness::{Client, Gate, GateBuilder, Origin, Secured, TestCa, eventually};

const HOST: &str = "idle.test";
const TUNNELS: usize = 400;
const INTERCEPTED: usize = 160;
/// Of so many one is made and ended before, so that what is allocated once is not counted.
const BEFORE: usize = 2;
const TUNNEL_KIB_MAX: usize = 5;
const INTERCEPTED_KIB_MAX: usize = 24;

/// Sealing takes memory for a moment, so there is none meanwhile.
fn gate() -> GateBuilder {
    Gate::builder().resolve(HOST).flag("--admin", "127.0.0.1:0").config("audit: {seal_after_s: 3600}")
}

/// Memory that belongs to no file (proc_pid_smaps(5)).
fn anonymous_kib(gate: &Gate) -> usize {
    let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", gate.pid())).unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// How much memory `count` more of what `open` opens take, KiB each.
fn kib_each<C>(gate: &Gate, count: usize, open: impl Fn() -> C) -> usize {
    drop((0..count / BEFORE).map(|_| open()).collect::<Vec<C>>());
    eventually("they are gone", || gate.admin("/metrics").body.contains("tollgate_connections 0\n").then_some(()));
    let before = anonymous_kib(gate);
    let open: Vec<C> = (0..count).map(|_| open()).collect();
    let after = anonymous_kib(gate);
    drop(open);
    after.saturating_sub(before) / count
}

fn assert_completed(gate: &Gate, kind: &str, count: usize) {
    for row in gate.rows_of(count / BEFORE + count) {
        assert_eq!(row.columns(["kind", "outcome", "status"]), [kind, "completed", "200"]);
    }
}

#[test]
fn a_tunnel_at_rest_takes_a_few_kib() {
    let origin = Origin::http();
    let authority = format!("{HOST}:{}", origin.port());
    let gate = gate().flag("--tunnel-host", &authority).start();
    let ask = format!("GET / HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    let kib = kib_each(&gate, TUNNELS, || {
        let mut client: Client = gate.client();
        assert_eq!(client.open(&authority).status, 200);
        assert_eq!(client.ask(&ask).body, "hello");
        client
    });
    assert!(kib <= TUNNEL_KIB_MAX, "{kib} KiB");
    assert_completed(&gate, "tunnel", TUNNELS);
}

#[test]
fn an_intercepted_connection_at_rest_takes_little_more_than_its_buffers() {
    let ca = TestCa::new();
    let origin = Origin::https(&ca, &[HOST]);
    let gate = gate().upstream_ca(&ca).start();
    let ask = format!("GET / HTTP/1.1\r\nHost: {HOST}:{}\r\n\r\n", origin.port());
    let kib = kib_each(&gate, INTERCEPTED, || {
        let mut client: Secured = gate.secured(HOST, origin.port());
        assert_eq!(client.ask(&ask).body, "hello");
        client
    });
    assert!(kib <= INTERCEPTED_KIB_MAX, "{kib} KiB");
    assert_completed(&gate, "intercepted", INTERCEPTED);
}
