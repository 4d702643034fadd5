//! Names that disagree: a client allowed to reach one host tries to reach another behind its name.
//!
//! The origin's certificate covers the allowed and the forbidden name, as on a shared CDN, and both names lead to it, so
//! only Tollgate can tell them apart. Whether an origin's certificate is its own is asked in `certificates`. Requests
//! that have no single reading are in `malformed`, names and addresses that are spelled oddly in `spelling`, and what
//! is sent to the proxy itself rather than into a tunnel in `outside`.

mod malformed;
mod outside;
mod spelling;

use crate::harness::{Answer, Client, Gate, Http2, Origin, Row, Secured, TestCa};

/// Who the requests here are for.
const AGENT: &str = "User-Agent: axios/1.7.2 elastic (deployment:dep1)\r\n";

/// An enforcing gate before one origin that serves `allowed.test`, which may be reached, and `evil.test`, which may not.
struct Fronting {
    gate: Gate,
    origin: Origin,
}

impl Fronting {
    fn new() -> Self {
        Self::allowing(&["allowed.test"])
    }

    fn allowing(hosts: &[&str]) -> Self {
        let ca = TestCa::new();
        let origin = Origin::https(&ca, &["allowed.test", "evil.test"]);
        let mut gate = Gate::builder().upstream_ca(&ca).resolve("allowed.test").resolve("evil.test");
        for host in hosts {
            gate = gate.allow(host);
        }
        Self { gate: gate.start(), origin }
    }

    /// A name with the origin's port.
    fn at(&self, host: &str) -> String {
        format!("{host}:{}", self.origin.port())
    }

    /// A client whose CONNECT to this name was answered.
    fn opened(&self, host: &str) -> Client {
        let mut client = self.gate.client();
        let answer = client.open(&self.at(host));
        assert_eq!((answer.status, answer.head.lines().next()), (200, Some("HTTP/1.1 200 Connection established")));
        client
    }

    /// A client inside an intercepted tunnel to `allowed.test`.
    fn inside(&self) -> Secured {
        self.opened("allowed.test").secure(&self.gate.ca_pem(), "allowed.test").unwrap()
    }

    /// A plain request through the tunnel, for the control that the refused ones need.
    fn good_request(&self) -> String {
        format!("GET /ok HTTP/1.1\r\nHost: {}\r\n{AGENT}\r\n", self.at("allowed.test"))
    }

    /// The one row of a request that was refused inside the tunnel to `allowed.test`, of which the origin saw nothing.
    fn refused_row(&self, reason: &str) -> Row {
        self.gate.assert_untouched(&self.origin);
        let row = self.gate.row();
        assert_refused(&row, reason);
        assert_eq!(row.columns(["kind", "connect_host"]), ["intercepted".to_owned(), self.at("allowed.test")]);
        row
    }
}

fn assert_refused(row: &Row, reason: &str) {
    assert_eq!(row.columns(["outcome", "decision", "deny_reason"]), ["denied", "deny", reason], "{row:#?}");
    assert_eq!(row.columns(["deployment_id", "upstream_ip"]), ["dep1", ""], "{row:#?}");
}

/// A refusal that says why, in JSON. The connection ends with it when the request could not be read for sure.
fn assert_explained(answer: &Answer, status: u16, reason: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.json()["reason"], reason);
    assert_eq!(answer.field("connection"), matches!(status, 400 | 431).then_some("close"));
}

/// P01
#[test]
fn a_server_name_other_than_the_connects_is_refused_before_any_certificate() {
    let at = Fronting::new();
    let client = at.opened("allowed.test");
    let refused = client.secure(&at.gate.ca_pem(), "evil.test");
    assert!(refused.err().unwrap().to_string().contains("UnrecognisedName"));
    at.gate.assert_untouched(&at.origin);
    let row = at.gate.row();
    assert_eq!(row.columns(["kind", "outcome", "deny_reason"]), ["connect", "denied", "sni_mismatch"]);
    assert_eq!(row.columns(["host", "sni", "decision"]), ["allowed.test", "evil.test", "deny"]);
    assert_eq!(row.get("connect_host"), at.at("allowed.test"));
}

/// P01, P02, P03: being allowed to reach both names does not help, the connection is for one of them.
#[test]
fn names_must_agree_even_where_policy_allows_them_both() {
    let at = Fronting::allowing(&["allowed.test", "evil.test"]);
    assert!(at.opened("allowed.test").secure(&at.gate.ca_pem(), "evil.test").is_err());
    let answer = at.inside().ask(format!("GET / HTTP/1.1\r\nHost: {}\r\n{AGENT}\r\n", at.at("evil.test")));
    assert_explained(&answer, 400, "host_mismatch");
    at.gate.assert_untouched(&at.origin);
    let reasons: Vec<_> = at.gate.rows_of(2).iter().map(|row| row.get("deny_reason")).collect();
    assert_eq!(reasons, ["sni_mismatch", "host_mismatch"]);
}

/// P02
#[test]
fn a_host_header_other_than_the_connects_is_refused_and_both_names_are_recorded() {
    let at = Fronting::new();
    let evil = at.at("evil.test");
    let answer = at.inside().ask(format!("GET /x HTTP/1.1\r\nHost: {evil}\r\n{AGENT}\r\n"));
    assert_explained(&answer, 400, "host_mismatch");
    assert_eq!(answer.json()["deployment"], "dep1");
    let row = at.refused_row("host_mismatch");
    assert_eq!(row.columns(["host", "sni", "host_header"]), ["evil.test", "allowed.test", &evil]);
    assert_eq!(row.columns(["status", "id_assurance", "user_agent_product"]), ["400", "claimed", "axios/1.7.2"]);
}

/// P04
#[test]
fn a_client_without_server_name_is_served_and_the_row_shows_that_there_was_none() {
    let at = Fronting::new();
    let mut client = at.opened("allowed.test").secure_without_sni(&at.gate.ca_pem(), "allowed.test").unwrap();
    assert_eq!(client.ask(at.good_request()).status, 200);
    let row = at.gate.row();
    assert_eq!(row.columns(["outcome", "sni", "host"]), ["completed", "", "allowed.test"]);
}

/// P05
#[test]
fn an_absolute_url_of_another_host_inside_the_tunnel_is_refused_whatever_its_host_header() {
    for host in ["evil.test", "allowed.test"] {
        let at = Fronting::new();
        let (evil, host) = (at.at("evil.test"), at.at(host));
        let answer = at.inside().ask(format!("GET https://{evil}/x HTTP/1.1\r\nHost: {host}\r\n{AGENT}\r\n"));
        assert_explained(&answer, 400, "host_mismatch");
        let row = at.refused_row("host_mismatch");
        assert_eq!(row.get("host_header"), host);
    }
}

#[test]
fn an_absolute_url_with_another_scheme_than_the_tunnels_is_refused() {
    for scheme in ["http", "ftp"] {
        let at = Fronting::new();
        let own = at.at("allowed.test");
        let answer = at.inside().ask(format!("GET {scheme}://{own}/x HTTP/1.1\r\nHost: {own}\r\n{AGENT}\r\n"));
        assert_explained(&answer, 400, "unsupported_request");
        at.refused_row("unsupported_request");
    }
}

#[test]
fn an_absolute_url_of_the_tunnels_own_host_reaches_the_origin_in_origin_form() {
    let at = Fronting::new();
    let own = at.at("allowed.test");
    let answer = at.inside().ask(format!("GET https://{own}/a?b=c HTTP/1.1\r\nHost: {own}\r\n{AGENT}\r\n"));
    assert_eq!((answer.status, answer.body.as_str()), (200, "hello"));
    assert_eq!(
        (at.origin.seen()[0].target.as_str(), at.origin.seen()[0].field("host")),
        ("/a?b=c", Some(own.as_str()))
    );
    assert_eq!(at.gate.row().columns(["outcome", "decision", "path"]), ["completed", "allow", "/a"]);
}

/// P07
#[test]
fn a_second_request_on_the_connection_cannot_change_its_host() {
    let at = Fronting::new();
    let mut client = at.inside();
    assert_eq!(client.ask(at.good_request()).status, 200);
    let answer = client.ask(format!("GET /x HTTP/1.1\r\nHost: {}\r\n{AGENT}\r\n", at.at("evil.test")));
    assert_explained(&answer, 400, "host_mismatch");
    assert_eq!(client.rest(), b"", "the connection is closed");
    assert_eq!(at.origin.seen().len(), 1);
    let rows = at.gate.rows_of(2);
    assert_eq!(rows[0].columns(["outcome", "status", "host"]), ["completed", "200", "allowed.test"]);
    assert_refused(&rows[1], "host_mismatch");
}

#[test]
fn a_host_header_with_another_port_is_another_destination() {
    let at = Fronting::new();
    let answer = at.inside().ask(format!("GET / HTTP/1.1\r\nHost: allowed.test:1\r\n{AGENT}\r\n"));
    assert_explained(&answer, 400, "host_mismatch");
    let row = at.refused_row("host_mismatch");
    assert_eq!(row.columns(["host", "port", "host_header"]), ["allowed.test", "1", "allowed.test:1"]);
}

#[test]
fn a_connect_inside_a_tunnel_is_refused() {
    let at = Fronting::new();
    let evil = at.at("evil.test");
    let mut client = at.inside();
    client.send(format!("CONNECT {evil} HTTP/1.1\r\nHost: {evil}\r\n{AGENT}\r\n"));
    assert_explained(&client.answer_to("CONNECT"), 400, "unsupported_request");
    assert_eq!(at.refused_row("unsupported_request").get("method"), "CONNECT");
}

#[test]
fn every_http2_stream_is_held_against_the_tunnels_host() {
    let at = Fronting::new();
    let (own, evil) = (at.at("allowed.test"), at.at("evil.test"));
    let mut client = Http2::over(at.opened("allowed.test"), &at.gate.ca_pem(), "allowed.test");
    let agent = ("user-agent", "axios/1.7.2 elastic (deployment:dep1)");
    let refused = |(status, body): (u16, String)| {
        (status, serde_json::from_str::<serde_json::Value>(&body).unwrap()["reason"].as_str().unwrap().to_owned())
    };
    let mismatch = (400, "host_mismatch".to_owned());
    assert_eq!(client.get(&format!("https://{own}/one"), &[agent]), (200, "hello".to_owned()));
    assert_eq!(refused(client.get(&format!("https://{evil}/"), &[agent])), mismatch);
    assert_eq!(refused(client.get(&format!("https://{own}/"), &[agent, ("host", &evil)])), mismatch);
    assert_eq!(client.get(&format!("https://{own}/two"), &[agent, ("host", &own)]), (200, "hello".to_owned()));
    let targets: Vec<_> = at.origin.seen().iter().map(|seen| seen.target.clone()).collect();
    assert_eq!(targets, ["/one", "/two"]);
    let rows = at.gate.rows_of(4);
    assert_refused(&rows[1], "host_mismatch");
    assert_refused(&rows[2], "host_mismatch");
    // `:authority` stands where HTTP/1.1 has Host.
    assert_eq!(rows[0].columns(["http_version", "host_header", "outcome"]), ["HTTP/2", &own, "completed"]);
    assert_eq!(rows[1].columns(["http_version", "host", "connect_host"]), ["HTTP/2", "evil.test", &own]);
    assert_eq!(rows[1].get("host_header"), evil);
    assert_eq!(rows[2].columns(["http_version", "host_header"]), ["HTTP/2", &evil]);
    assert_eq!(rows[3].columns(["outcome", "path", "deployment_id"]), ["completed", "/two", "dep1"]);
}

/// The same inside a tunnel that carries no TLS: HTTP/2 is recognised by its preface.
#[test]
fn plain_http2_inside_a_tunnel_is_held_against_the_tunnels_host() {
    let origin = Origin::http();
    let gate = Gate::builder().allow("allowed.test").allow("evil.test").resolve("allowed.test").start();
    let (own, evil) = (format!("allowed.test:{}", origin.port()), format!("evil.test:{}", origin.port()));
    let mut client = gate.client();
    assert_eq!(client.open(&own).status, 200);
    let mut client = Http2::in_the_clear(client);
    assert_eq!(client.get(&format!("http://{evil}/"), &[]).0, 400);
    assert_eq!(client.get(&format!("http://{own}/"), &[]), (200, "hello".to_owned()));
    assert_eq!(origin.seen().len(), 1);
    let rows = gate.rows_of(2);
    assert_eq!(rows[0].columns(["kind", "outcome", "deny_reason"]), ["http", "denied", "host_mismatch"]);
    assert_eq!(rows[1].columns(["kind", "outcome", "http_version"]), ["http", "completed", "HTTP/2"]);
    assert_eq!(rows[1].columns(["host", "connect_host", "sni"]), ["allowed.test", &own, ""]);
}
