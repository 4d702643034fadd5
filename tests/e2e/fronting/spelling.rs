//! Hosts that are spelled oddly: one canonical form everywhere, or a refusal.

use super::{AGENT, Fronting, assert_explained, assert_refused};
use crate::harness::{Gate, Origin};

/// P09
#[test]
fn case_and_a_trailing_dot_do_not_make_another_host() {
    let at = Fronting::new();
    let shouted = at.at("ALLOWED.Test.");
    let mut client = at.opened("ALLOWED.Test.").secure(&at.gate.ca_pem(), "allowed.test").unwrap();
    let answer = client.ask(format!("GET / HTTP/1.1\r\nHost: {shouted}\r\n{AGENT}\r\n"));
    assert_eq!(answer.status, 200);
    assert_eq!(at.origin.seen()[0].field("host"), Some(shouted.as_str()), "forwarded as it came");
    let row = at.gate.row();
    assert_eq!(row.columns(["host", "policy_rule", "outcome"]), ["allowed.test", "flag:--allow-host", "completed"]);
    assert_eq!(row.columns(["connect_host", "host_raw", "host_header"]), [shouted.as_str(); 3]);
}

#[test]
fn case_and_a_trailing_dot_do_not_hide_a_host_that_is_not_allowed() {
    let at = Fronting::new();
    let mut client = at.opened("EVIL.test.").secure(&at.gate.ca_pem(), "evil.test").unwrap();
    let answer = client.ask(format!("GET / HTTP/1.1\r\nHost: evil.TEST\r\n{AGENT}\r\n"));
    assert_explained(&answer, 403, "host_not_allowed");
    at.gate.assert_untouched(&at.origin);
    let row = at.gate.row();
    assert_refused(&row, "host_not_allowed");
    assert_eq!(row.columns(["host", "host_raw", "connect_host"]), ["evil.test", "evil.TEST", &at.at("EVIL.test.")]);
}

/// P17
#[test]
fn the_address_of_an_allowed_host_is_not_the_allowed_host() {
    let at = Fronting::new();
    let answer = at.opened("127.0.0.1").ask(format!("GET / HTTP/1.1\r\nHost: {}\r\n{AGENT}\r\n", at.at("127.0.0.1")));
    assert_explained(&answer, 403, "host_not_allowed");
    at.gate.assert_untouched(&at.origin);
    let row = at.gate.row();
    assert_refused(&row, "host_not_allowed");
    assert_eq!(row.get("host"), "127.0.0.1");
}

/// P18 and its relatives: who reads these as which address depends on the reader, so nobody gets to.
#[test]
fn a_connect_to_something_that_is_not_plainly_a_host_and_port_is_refused() {
    let at = Fronting::new();
    let port = at.origin.port();
    let cases = [
        format!("2130706433:{port}"),
        format!("127.1:{port}"),
        format!("0x7f.0.0.1:{port}"),
        format!("0177.0.0.1:{port}"),
        format!("127.0.0.1.:{port}"),
        format!("[::1%25lo]:{port}"),
        format!("user@allowed.test:{port}"),
        format!("user:secret@allowed.test:{port}"),
        format!("allowed%2etest:{port}"),
        format!("allowed..test:{port}"),
        "allowed.test".to_owned(),
        "allowed.test:".to_owned(),
        "allowed.test:0".to_owned(),
        "allowed.test:0443".to_owned(),
        "allowed.test:65536".to_owned(),
    ];
    for (number, authority) in cases.iter().enumerate() {
        let mut client = at.gate.client();
        client.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: allowed.test\r\n{AGENT}\r\n"));
        let answer = client.answer_to("CONNECT");
        assert_eq!((answer.status, answer.field("connection")), (400, Some("close")), "{authority}: {answer:?}");
        assert_eq!(client.rest(), b"", "{authority}");
        let row = at.gate.rows_of(number + 1).pop().unwrap();
        let reason = row.get("deny_reason");
        assert!(["invalid_authority", "malformed_request"].contains(&reason.as_str()), "{authority}: {row:?}");
        assert_eq!(answer.json()["reason"], reason);
        assert_eq!(row.columns(["kind", "outcome", "method"]), ["connect", "denied", "CONNECT"], "{authority}");
        assert_eq!(row.columns(["deployment_id", "user_agent_product"]), ["dep1", "axios/1.7.2"], "{authority}");
        assert!(!format!("{row:?}").contains("secret"), "{row:?}");
        if reason == "invalid_authority" && !authority.contains('@') {
            assert_eq!(row.columns(["host_raw", "connect_host"]), [authority.as_str(); 2]);
        }
    }
    at.gate.assert_untouched(&at.origin);
}

#[test]
fn a_plain_request_to_something_that_is_not_plainly_a_host_is_refused() {
    let origin = Origin::http();
    let gate = Gate::builder().start();
    let hosts = ["2130706433", "127.1", "0x7f.1", "017700000001", "user@127.0.0.1", "[::1%25lo]", "127.0.0.1."];
    for (number, host) in hosts.iter().enumerate() {
        let authority = format!("{host}:{}", origin.port());
        let mut client = gate.client();
        let answer = client.ask(format!("GET http://{authority}/ HTTP/1.1\r\nHost: allowed.test\r\n{AGENT}\r\n"));
        assert_eq!(answer.status, 400, "{authority}: {answer:?}");
        let row = gate.rows_of(number + 1).pop().unwrap();
        assert_refused(&row, answer.json()["reason"].as_str().unwrap());
    }
    gate.assert_untouched(&origin);
}
