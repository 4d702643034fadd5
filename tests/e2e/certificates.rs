//! Trust on both sides of an interception: a client that does not trust ours, an upstream that is not to be trusted.

use std::sync::Arc;

use rcgen::{CertificateParams, date_time_ymd};
use rustls::ServerConfig;

use crate::harness::{Answer, Gate, Origin, Row, TestCa, respond};

const HOST: &str = "api.test";

/// A CONNECT is answered, then the client refuses Tollgate's certificate in `refuse`; the row.
fn rejected(refuse: impl FnOnce(&Gate, crate::harness::Client)) -> Row {
    let ca = TestCa::new();
    let origin = Origin::https(&ca, &[HOST]);
    let gate = Gate::builder().resolve(HOST).upstream_ca(&ca).start();
    let mut client = gate.client();
    assert_eq!(client.open(&format!("{HOST}:{}", origin.port())).status, 200);
    refuse(&gate, client);
    let row = gate.row();
    gate.assert_untouched(&origin);
    row
}

#[test]
fn a_client_that_rejects_our_certificate_by_alert_is_diagnosed() {
    let row = rejected(|gate, client| {
        let other_ca = gate.dir.path().join("other-ca.pem");
        TestCa::new().write_pem(&other_ca);
        assert!(client.secure(&other_ca, HOST).is_err());
    });
    assert_eq!(row.columns(["kind", "outcome", "sni", "method"]), ["connect", "client_rejected_ca", HOST, "CONNECT"]);
    assert!(row.get("error").contains("NODE_EXTRA_CA_CERTS"), "the row names the remedy: {row:?}");
}

#[test]
fn a_client_that_closes_right_after_the_handshake_as_node_does_is_diagnosed() {
    let row = rejected(|gate, client| drop(client.secure(&gate.ca_pem(), HOST).unwrap()));
    assert_eq!(row.columns(["kind", "outcome", "sni", "method"]), ["connect", "client_rejected_ca", HOST, "CONNECT"]);
    assert!(row.get("error").contains("NODE_EXTRA_CA_CERTS"), "the row names the remedy: {row:?}");
}

#[test]
fn a_client_that_closes_in_the_middle_of_its_handshake_is_not_blamed_on_the_ca() {
    let row = rejected(|_, mut client| client.send(b"\x16\x03\x01\x02\x00\x01"));
    assert_eq!(row.columns(["kind", "outcome"]), ["connect", "client_aborted"]);
}

/// Asks an origin whose certificate must not be accepted; the answer, the row, and that no request was sent.
fn distrusted(certificate: Arc<ServerConfig>, trusted: &TestCa) -> (Answer, Row) {
    let origin = Origin::serving(Some(certificate), |_, stream| stream.write_all(&respond(200, "leaked")).is_ok());
    let gate = Gate::builder().resolve(HOST).upstream_ca(trusted).allow(HOST).start();
    let request = format!("POST /secret HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 4\r\n\r\nbody");
    let answer = gate.secured(HOST, origin.port()).ask(request);
    let row = gate.row();
    assert_eq!((answer.status, answer.json()["reason"].as_str()), (502, Some("upstream_failed")));
    assert_eq!(
        row.columns(["kind", "outcome", "status", "decision"]),
        ["intercepted", "upstream_failed", "502", "allow"]
    );
    assert_eq!((row.get("request_bytes"), origin.connections()), ("0".to_owned(), 1));
    assert!(origin.seen().is_empty(), "a request was sent to an origin that was not verified");
    (answer, row)
}

fn says(answer: &Answer, row: &Row, reason: &str) {
    let message = answer.json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains(reason), "{message}");
    assert!(row.get("error").contains(reason), "{row:?}");
}

#[test]
fn an_upstream_with_an_expired_certificate_gets_nothing() {
    let ca = TestCa::new();
    let mut params = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2020, 2, 1);
    let (answer, row) = distrusted(ca.server_with(&params), &ca);
    says(&answer, &row, "certificate expired");
}

#[test]
fn an_upstream_with_a_certificate_for_another_name_gets_nothing() {
    let ca = TestCa::new();
    let (answer, row) = distrusted(ca.server(&["other.test"]), &ca);
    says(&answer, &row, "not valid for name");
}

#[test]
fn an_upstream_with_a_certificate_of_an_unknown_ca_gets_nothing() {
    let (answer, row) = distrusted(TestCa::new().server(&[HOST]), &TestCa::new());
    says(&answer, &row, "UnknownIssuer");
}
