//! Requests with more than one reading, or none: 400 or 431, closed, and a row that still says whose they were.

use super::{AGENT, Fronting, assert_explained, assert_refused};
use crate::harness::{Gate, Origin};

/// A head that is refused, and why.
struct Case {
    what: &'static str,
    /// Put after the request line; `{host}` is the right Host value.
    fields: &'static str,
    reason: &'static str,
    status: u16,
}

const fn case(what: &'static str, fields: &'static str, reason: &'static str) -> Case {
    Case { what, fields, reason, status: 400 }
}

/// P06, P13 to P16
const CASES: [Case; 13] = [
    case("two Host fields", "Host: {host}\r\nHost: evil.test\r\n", "malformed_request"),
    case("two equal Host fields", "Host: {host}\r\nHost: {host}\r\n", "malformed_request"),
    case("no Host field", "", "malformed_request"),
    case("space before a colon", "Host: {host}\r\nTransfer-Encoding : chunked\r\n", "malformed_request"),
    case("space before Host's colon", "Host : {host}\r\n", "malformed_request"),
    case("a bare LF", "Host: {host}\nX: y\r\n", "malformed_request"),
    case("a bare CR", "Host: {host}\r\nX: a\rHost: evil.test\r\n", "malformed_request"),
    case("a folded value", "Host: {host}\r\nX: a\r\n b\r\n", "malformed_request"),
    case(
        "Content-Length before Transfer-Encoding",
        "Host: {host}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "ambiguous_length",
    ),
    case(
        "Transfer-Encoding before Content-Length",
        "Host: {host}\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "ambiguous_length",
    ),
    case("two unequal lengths", "Host: {host}\r\nContent-Length: 4\r\nContent-Length: 5\r\n", "ambiguous_length"),
    case("two equal lengths", "Host: {host}\r\nContent-Length: 4\r\nContent-Length: 4\r\n", "ambiguous_length"),
    case("a list of codings", "Host: {host}\r\nTransfer-Encoding: gzip, chunked\r\n", "ambiguous_length"),
];

#[test]
fn a_head_with_more_than_one_reading_is_refused_inside_a_tunnel() {
    let at = Fronting::new();
    for (number, case) in CASES.iter().enumerate() {
        let fields = case.fields.replace("{host}", &at.at("allowed.test"));
        let mut client = at.inside();
        let answer = client.ask(format!("POST /x HTTP/1.1\r\n{AGENT}{fields}\r\n0\r\n\r\n"));
        assert_explained(&answer, case.status, case.reason);
        assert_eq!(client.rest(), b"", "{}", case.what);
        let row = at.gate.rows_of(number + 1).pop().unwrap();
        assert_refused(&row, case.reason);
        assert_eq!(row.columns(["kind", "method", "sni"]), ["intercepted", "POST", "allowed.test"], "{}", case.what);
    }
    at.gate.assert_untouched(&at.origin);
}

#[test]
fn a_head_with_more_than_one_reading_is_refused_on_the_listener() {
    let at = Fronting::new();
    for (number, case) in CASES.iter().enumerate() {
        let own = at.at("allowed.test");
        let fields = case.fields.replace("{host}", &own);
        let mut client = at.gate.client();
        let answer = client.ask(format!("POST http://{own}/x HTTP/1.1\r\n{AGENT}{fields}\r\n0\r\n\r\n"));
        assert_explained(&answer, case.status, case.reason);
        assert_eq!(client.rest(), b"", "{}", case.what);
        let row = at.gate.rows_of(number + 1).pop().unwrap();
        assert_refused(&row, case.reason);
        assert_eq!(row.columns(["kind", "method"]), ["http", "POST"], "{}", case.what);
    }
    at.gate.assert_untouched(&at.origin);
}

/// P15
#[test]
fn lines_that_all_end_in_lf_alone_are_refused() {
    let at = Fronting::new();
    let answer = at.inside().ask(at.good_request().replace("\r\n", "\n"));
    assert_explained(&answer, 400, "malformed_request");
    at.refused_row("malformed_request");
}

#[test]
fn a_violation_in_the_second_request_leaves_the_first_answered_and_is_recorded_with_its_identity() {
    let at = Fronting::new();
    let mut client = at.inside();
    let second = "GET /second HTTP/1.1\r\nHost: a\r\nHost: b\r\nUser-Agent: x/1 elastic (project:p2)\r\n\r\n";
    client.send(format!("{}{second}", at.good_request()));
    let first = client.answer_to("GET");
    assert_eq!((first.status, first.body.as_str()), (200, "hello"));
    assert_explained(&client.answer_to("GET"), 400, "malformed_request");
    assert_eq!(client.rest(), b"");
    assert_eq!(at.origin.seen().len(), 1);
    let rows = at.gate.rows_of(2);
    assert_eq!(rows[0].columns(["outcome", "deployment_id", "path"]), ["completed", "dep1", "/ok"]);
    assert_eq!(rows[1].columns(["outcome", "deny_reason", "project_id"]), ["denied", "malformed_request", "p2"]);
    assert_eq!(rows[1].columns(["deployment_id", "host", "status"]), ["", "allowed.test", "400"]);
}

/// So many field lines.
fn fields(count: usize) -> String {
    (0..count).fold(String::new(), |lines, number| lines + "X-" + &number.to_string() + ": y\r\n")
}

#[test]
fn a_head_over_the_limits_is_refused_with_431() {
    let many = fields(120);
    let long = format!("X-Long: {}\r\n", "y".repeat(70_000));
    for fields in [many, long] {
        let at = Fronting::new();
        let own = at.at("allowed.test");
        let mut client = at.inside();
        let answer = client.ask(format!("GET / HTTP/1.1\r\nHost: {own}\r\n{AGENT}{fields}\r\n"));
        assert_explained(&answer, 431, "head_too_large");
        let row = at.refused_row("head_too_large");
        assert_eq!(row.columns(["status", "host_header"]), ["431", &own]);
    }
}

#[test]
fn a_limit_in_the_configuration_is_the_limit() {
    let origin = Origin::http();
    let gate = Gate::builder().config("limits: {header_fields_max: 32}").resolve("a.test").start();
    let authority = format!("a.test:{}", origin.port());
    let with = |fields: &str| format!("GET http://{authority}/ HTTP/1.1\r\nHost: {authority}\r\n{fields}\r\n");
    assert_eq!(gate.client().ask(with(&fields(31))).status, 200);
    let answer = gate.client().ask(with(&fields(32)));
    assert_explained(&answer, 431, "head_too_large");
    let rows = gate.rows_of(2);
    assert_eq!(rows[0].columns(["outcome", "status"]), ["completed", "200"]);
    assert_eq!(rows[1].columns(["outcome", "deny_reason"]), ["denied", "head_too_large"]);
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn a_body_whose_chunks_are_broken_is_refused_although_its_head_had_passed() {
    let at = Fronting::new();
    let own = at.at("allowed.test");
    let mut client = at.inside();
    client.send(format!("POST / HTTP/1.1\r\nHost: {own}\r\n{AGENT}Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n"));
    assert_explained(&client.answer_to("POST"), 400, "ambiguous_length");
    assert_eq!(client.rest(), b"");
    assert_eq!(at.origin.seen().len(), 0, "the request never arrived whole");
    let row = at.gate.row();
    assert_eq!(row.columns(["outcome", "status", "deployment_id"]), ["denied", "400", "dep1"]);
    // What policy decided was durable before the body began, so the reason is in `error` alone.
    assert_eq!(row.columns(["decision", "deny_reason"]), ["allow", ""]);
    assert!(row.get("error").contains("is not ended by CRLF"), "{row:?}");
}
