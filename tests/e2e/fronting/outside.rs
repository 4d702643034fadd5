//! What is sent to the proxy itself: plain requests whose names disagree, and CONNECTs with something behind them.

use std::io::Write;

use super::{AGENT, Fronting, assert_explained, assert_refused};
use crate::harness::{Gate, Origin, TestCa};

/// P20
#[test]
fn a_plain_request_whose_host_header_disagrees_with_its_url_is_refused() {
    let origin = Origin::http();
    for (url, host) in
        [("allowed.test", "evil.test"), ("evil.test", "allowed.test"), ("allowed.test", "allowed.test:1")]
    {
        let gate = Gate::builder().allow("allowed.test").resolve("allowed.test").resolve("evil.test").start();
        let port = origin.port();
        let answer = gate.client().ask(format!("GET http://{url}:{port}/ HTTP/1.1\r\nHost: {host}\r\n{AGENT}\r\n"));
        assert_explained(&answer, 400, "host_mismatch");
        gate.assert_untouched(&origin);
        let row = gate.row();
        assert_refused(&row, "host_mismatch");
        assert_eq!(row.columns(["host_raw", "host_header"]), [&format!("{url}:{port}"), host]);
    }
}

/// P22
#[test]
fn a_plain_request_for_a_host_that_is_not_allowed_is_refused() {
    let origin = Origin::http();
    let gate = Gate::builder().allow("allowed.test").resolve("evil.test").start();
    let evil = format!("evil.test:{}", origin.port());
    let answer = gate.client().ask(format!("GET http://{evil}/ HTTP/1.1\r\nHost: {evil}\r\n{AGENT}\r\n"));
    assert_explained(&answer, 403, "host_not_allowed");
    gate.assert_untouched(&origin);
    let row = gate.row();
    assert_refused(&row, "host_not_allowed");
    assert_eq!(row.columns(["kind", "host", "status", "dns_us"]), ["http", "evil.test", "403", ""], "nothing resolved");
}

/// P08
#[test]
fn a_request_sent_behind_a_connect_to_a_refused_host_is_answered_with_the_refusal() {
    let at = Fronting::new();
    let evil = at.at("evil.test");
    let mut client = at.gate.client();
    let connect = format!("CONNECT {evil} HTTP/1.1\r\nHost: {evil}\r\n\r\n");
    client.send(format!("{connect}GET / HTTP/1.1\r\nHost: {evil}\r\n{AGENT}\r\n"));
    assert_eq!(client.answer_to("CONNECT").status, 200);
    assert_explained(&client.answer_to("GET"), 403, "host_not_allowed");
    at.gate.assert_untouched(&at.origin);
    let row = at.gate.row();
    assert_refused(&row, "host_not_allowed");
    assert_eq!(row.columns(["kind", "host", "connect_host"]), ["http", "evil.test", &evil]);
}

/// P08, where nothing inside can be read: the CONNECT itself is refused, and what came behind it is not looked at.
#[test]
fn a_connect_that_cannot_be_intercepted_is_refused_at_once_and_closed() {
    let origin = Origin::http();
    let gate = Gate::builder().allow("allowed.test").flag("--tunnel-host", "evil.test").resolve("evil.test").start();
    let evil = format!("evil.test:{}", origin.port());
    let mut client = gate.client();
    let connect = format!("CONNECT {evil} HTTP/1.1\r\nHost: {evil}\r\n\r\n");
    client.send(format!("{connect}GET / HTTP/1.1\r\nHost: {evil}\r\n\r\n"));
    let answer = client.answer_to("CONNECT");
    assert_eq!((answer.status, answer.field("connection")), (403, Some("close")), "{answer:?}");
    assert_eq!(answer.json()["reason"], "host_not_allowed");
    assert_eq!(client.rest(), b"");
    gate.assert_untouched(&origin);
    assert_eq!(gate.row().columns(["kind", "outcome", "deny_reason"]), ["tunnel", "denied", "host_not_allowed"]);
}

/// P10
#[test]
fn the_connect_of_kibanas_agent_opens_a_tunnel_that_stays_open() {
    let at = Fronting::new();
    let mut client = at.gate.client();
    let own = at.at("allowed.test");
    client.send(format!("CONNECT {own} HTTP/1.1\r\nHost: allowed.test\r\nConnection: close\r\n\r\n"));
    assert_eq!(client.answer_to("CONNECT").status, 200);
    let mut inside = client.secure(&at.gate.ca_pem(), "allowed.test").unwrap();
    assert_eq!(inside.ask(at.good_request()).status, 200);
    assert_eq!(inside.ask(at.good_request()).status, 200);
    let rows = at.gate.rows_of(2);
    assert!(rows.iter().all(|row| row.columns(["outcome", "connect_host"]) == ["completed", &own]), "{rows:#?}");
}

/// P11
#[test]
fn a_server_that_speaks_first_is_heard_through_a_tunnel_that_is_not_looked_into() {
    let origin = Origin::raw(|mut stream| {
        let _ = stream.write_all(b"220 mail.test ESMTP\r\n");
    });
    let gate = Gate::builder().allow("mail.test").flag("--tunnel-host", "mail.test").resolve("mail.test").start();
    let mut client = gate.client();
    let mail = format!("mail.test:{}", origin.port());
    assert_eq!(client.open(&mail).status, 200);
    assert_eq!(client.rest(), b"220 mail.test ESMTP\r\n");
    drop(client);
    let row = gate.row();
    assert_eq!(row.columns(["kind", "outcome", "decision"]), ["tunnel", "completed", "allow"]);
    assert_eq!(row.columns(["host", "connect_host", "response_bytes"]), ["mail.test", &mail, "21"]);
}

/// Node.js names the proxy there when a CONNECT is made with `http.request`. Nobody upstream ever sees this Host, and what
/// is asked for inside the tunnel is held against the CONNECT target.
#[test]
fn the_host_of_a_connect_is_recorded_and_routes_nothing() {
    let ca = TestCa::new();
    let origin = Origin::https(&ca, &["allowed.test"]);
    let gate = Gate::builder().allow("allowed.test").resolve("allowed.test").upstream_ca(&ca).start();
    let authority = format!("allowed.test:{}", origin.port());
    let mut client = gate.client();
    client.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: {}\r\n\r\n", gate.address()));
    assert_eq!(client.answer_to("CONNECT").status, 200);
    let mut client = client.secure(&gate.ca_pem(), "allowed.test").unwrap();
    assert_eq!(client.ask(format!("GET / HTTP/1.1\r\nHost: {authority}\r\n\r\n")).status, 200);
    assert_eq!(gate.row().columns(["host", "connect_host", "outcome"]), ["allowed.test", &authority, "completed"]);
}
