//! TLS with particular upstreams: client certificates, CAs and versions by host, and certificates that are not verified.

use std::sync::Arc;

use rcgen::{CertificateParams, date_time_ymd};
use rustls::ServerConfig;

use crate::harness::{Answer, Gate, GateBuilder, Origin, Row, TestCa, eventually, respond};

const HOST: &str = "mtls.test";

/// What the row says about the TLS session with the upstream.
const SESSION: [&str; 4] = ["outcome", "status", "tls_version", "upstream_verified"];

fn origin(tls: Arc<ServerConfig>) -> Origin {
    Origin::serving(Some(tls), |_, stream| stream.write_all(&respond(200, "hello")).is_ok())
}

/// A gate that trusts the CA in `ca.pem` for every host, with these entries of `upstream.hosts`.
fn gate(ca: &TestCa, entries: &str) -> GateBuilder {
    let config = format!("upstream:\n  ca_files: [origin.pem]\n  hosts: [{entries}]\n");
    Gate::builder().resolve(HOST).file("origin.pem", ca.pem()).config(&config)
}

fn call(gate: &Gate, host: &str, origin: &Origin) -> Answer {
    let request = format!("POST /calls/7 HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4\r\n\r\nbody");
    gate.secured(host, origin.port()).ask(request)
}

/// A failed call: a 502 whose message and row name the reason. Nothing reached the origin.
fn refused(gate: &Gate, origin: &Origin, reason: &str) -> Row {
    let answer = call(gate, HOST, origin);
    assert_eq!((answer.status, answer.json()["reason"].as_str()), (502, Some("upstream_failed")));
    let message = answer.json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains(reason), "{message}");
    let row = gate.row();
    assert_eq!(row.columns(["outcome", "status", "decision"]), ["upstream_failed", "502", "would_deny"]);
    assert!(row.get("error").contains(reason), "{row:?}");
    assert!(origin.seen().is_empty(), "a request reached an origin that was not to get one");
    row
}

fn with_client_certificate(ca: &TestCa, clients: &TestCa, days: u32) -> GateBuilder {
    let (cert, key) = clients.client("tollgate", days);
    gate(ca, &format!("{{ hosts: [{HOST}], client_cert: {{ cert_file: c.pem, key_file: c.key }} }}"))
        .file("c.pem", &cert)
        .secret("c.key", &key)
}

#[test]
fn an_origin_that_wants_a_client_certificate_is_audited_in_full() {
    let (ca, clients) = (TestCa::new(), TestCa::new());
    let origin = origin(ca.server_for_clients_of(&[HOST], &clients));
    let gate = with_client_certificate(&ca, &clients, 365).start();
    for _ in 0..2 {
        let answer = call(&gate, HOST, &origin);
        assert_eq!((answer.status, answer.body.as_str()), (200, "hello"));
    }
    let rows = gate.rows_of(2);
    assert_eq!(rows[0].columns(SESSION), ["completed", "200", "TLSv1.3", "true"]);
    assert_eq!(
        rows[0].columns(["kind", "method", "path", "request_bytes", "response_bytes"]),
        ["intercepted", "POST", "/calls/7", "4", "5"]
    );
    assert_eq!([rows[0].get("upstream_reused"), rows[1].get("upstream_reused")], ["false", "true"]);
    assert_eq!((origin.connections(), origin.seen()[0].body.as_slice()), (1, &b"body"[..]));
    assert!(!gate.log().contains("client certificate"), "{}", gate.log());
}

#[test]
fn a_client_certificate_that_the_origin_does_not_know_is_a_502_that_says_so() {
    let (ca, clients) = (TestCa::new(), TestCa::new());
    let origin = origin(ca.server_for_clients_of(&[HOST], &clients));
    let gate = with_client_certificate(&ca, &TestCa::new(), 365).start();
    let row = refused(&gate, &origin, "refused the client certificate it was shown (");
    assert_eq!(row.get("tls_version"), "TLSv1.3", "the alert came behind the handshake");
}

#[test]
fn an_origin_that_wants_a_client_certificate_where_there_is_none_is_a_502_that_says_so() {
    let (ca, clients) = (TestCa::new(), TestCa::new());
    let origin = origin(ca.server_for_clients_of(&[HOST], &clients));
    let gate = gate(&ca, "").start();
    refused(&gate, &origin, "asks for a client certificate (CertificateRequired)");
}

#[test]
fn a_client_certificate_near_its_end_is_warned_of_and_used() {
    let (ca, clients) = (TestCa::new(), TestCa::new());
    let origin = origin(ca.server_for_clients_of(&[HOST], &clients));
    let gate = with_client_certificate(&ca, &clients, 20).start();
    eventually("a warning", || gate.log().contains("c.pem is valid until ").then_some(()));
    assert_eq!(call(&gate, HOST, &origin).status, 200);
    assert_eq!(gate.row().columns(SESSION), ["completed", "200", "TLSv1.3", "true"]);
}

#[test]
fn a_ca_of_one_host_is_trusted_for_that_host_only() {
    let (ca, own) = (TestCa::new(), TestCa::new());
    let origin = origin(own.server(&[HOST, "other.test"]));
    let entry = format!("{{ hosts: [{HOST}], ca_files: [own.pem], system_roots: false }}");
    let gate = gate(&ca, &entry).file("own.pem", own.pem()).resolve("other.test").start();
    assert_eq!(call(&gate, HOST, &origin).status, 200);
    assert_eq!(call(&gate, "other.test", &origin).status, 502);
    let rows = gate.rows_of(2);
    assert_eq!(rows[0].columns(SESSION), ["completed", "200", "TLSv1.3", "true"]);
    assert_eq!(rows[1].columns(SESSION), ["upstream_failed", "502", "", ""]);
    assert!(rows[1].get("error").contains("UnknownIssuer"), "{:?}", rows[1]);
}

#[test]
fn with_a_ca_of_its_own_a_host_is_not_trusted_by_the_others() {
    let ca = TestCa::new();
    let origin = origin(ca.server(&[HOST]));
    let entry = format!("{{ hosts: [{HOST}], ca_files: [own.pem], system_roots: false }}");
    let gate = gate(&ca, &entry).file("own.pem", TestCa::new().pem()).start();
    refused(&gate, &origin, "UnknownIssuer");
}

#[test]
fn an_origin_of_tls_1_2_is_refused_where_1_3_is_the_least() {
    let ca = TestCa::new();
    let origin = origin(ca.server_of_tls12(&[HOST]));
    let gate = gate(&ca, &format!("{{ hosts: ['{HOST}:{}'], tls_min: '1.3' }}", origin.port())).start();
    refused(&gate, &origin, "tls_min asks for TLS 1.3");
}

#[test]
fn an_origin_of_tls_1_2_is_reached_where_nothing_is_said() {
    let ca = TestCa::new();
    let origin = origin(ca.server_of_tls12(&[HOST]));
    let gate = gate(&ca, "{ hosts: ['*.test:1'], tls_min: '1.3' }").start();
    assert_eq!(call(&gate, HOST, &origin).status, 200);
    assert_eq!(gate.row().columns(SESSION), ["completed", "200", "TLSv1.2", "true"]);
}

fn expired() -> CertificateParams {
    let mut params = CertificateParams::new(vec!["elsewhere.test".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2020, 2, 1);
    params
}

#[test]
fn an_unverified_certificate_is_used_counted_recorded_and_warned_of() {
    let origin = origin(TestCa::new().server_with(&expired()));
    let entry = format!("{{ hosts: [{HOST}], danger_skip_verify: true }}");
    let gate = gate(&TestCa::new(), &entry).flag("--admin", "127.0.0.1:0").resolve("other.test").start();
    assert_eq!(call(&gate, HOST, &origin).status, 200);
    assert_eq!(call(&gate, HOST, &origin).status, 200);
    assert_eq!(call(&gate, "other.test", &origin).status, 502);
    let rows = gate.rows_of(3);
    assert_eq!(rows[0].columns(SESSION), ["completed", "200", "TLSv1.3", "false"]);
    assert_eq!(rows[0].get("upstream_cert_sha256").len(), 64);
    assert_eq!(rows[1].columns(["upstream_reused", "upstream_verified"]), ["true", "false"]);
    assert_eq!(rows[2].columns(SESSION), ["upstream_failed", "502", "", ""]);
    let warning = format!("danger_skip_verify accepts any certificate from {HOST}");
    eventually("a warning", || gate.log().contains(&warning).then_some(()));
    let metrics = gate.admin("/metrics");
    assert!(metrics.body.contains("tollgate_unverified_exchanges_total 2\n"), "{}", metrics.body);
}
