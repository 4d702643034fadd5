//! Messages that arrive in pieces or have no body: nothing is held back, nothing is changed, every byte is counted.

use std::io::Write;

use crate::harness::{Gate, Origin, Row, TestCa, eventually, respond, turnstile};

const HOST: &str = "api.test";
const LARGE: usize = 8 * 1024 * 1024;

/// A gate and an intercepted origin that writes these pieces in answer to each request, waiting before all but the first.
fn origin_in_pieces(pieces: &'static [&'static str]) -> (Gate, Origin, std::sync::mpsc::Sender<()>) {
    let (let_through, wait) = turnstile();
    let (gate, origin) = intercepted(move |_, stream| {
        for (number, piece) in pieces.iter().enumerate() {
            if number > 0 {
                wait();
            }
            stream.write_all(piece.as_bytes()).unwrap();
            stream.flush().unwrap();
        }
        true
    });
    (gate, origin, let_through)
}

fn intercepted(
    handler: impl Fn(&crate::harness::Seen, &mut dyn Write) -> bool + Send + Sync + 'static,
) -> (Gate, Origin) {
    let ca = TestCa::new();
    let origin = Origin::serving(Some(ca.server(&[HOST])), handler);
    (Gate::builder().resolve(HOST).upstream_ca(&ca).start(), origin)
}

fn request(method: &str, path: &str, fields: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n")
}

/// Text in which a lost, repeated or moved piece shows.
fn long_text(length: usize) -> Vec<u8> {
    (0..length).map(|at| b'a' + ((at ^ (at >> 8) ^ (at >> 16)) % 26) as u8).collect()
}

#[test]
fn an_event_reaches_the_client_before_the_next_is_sent() {
    let (gate, origin, let_through) = origin_in_pieces(&[
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n",
        "9\r\ndata: 2\n\n\r\n0\r\n\r\n",
    ]);
    let mut client = gate.secured(HOST, origin.port());
    client.send(request("GET", "/events", ""));
    let head = String::from_utf8(client.until(b"\r\n\r\n")).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    client.until(b"data: 1\n\n");
    let_through.send(()).unwrap();
    client.until(b"data: 2\n\n");

    let row = gate.row();
    assert_eq!(
        row.columns(["kind", "outcome", "status", "response_content_type", "response_bytes"]),
        ["intercepted", "completed", "200", "text/event-stream", "18"]
    );
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn a_large_upload_with_a_length_arrives_byte_for_byte() {
    let (gate, origin) = intercepted(|_, stream| stream.write_all(&respond(200, "stored")).is_ok());
    let body = long_text(LARGE);
    let mut client = gate.secured(HOST, origin.port());
    client.send(request("PUT", "/object", &format!("Content-Length: {LARGE}\r\n")));
    client.send(&body);
    assert_eq!(client.answer_to("PUT").body, "stored");

    let seen = origin.seen().remove(0);
    assert_eq!(seen.field("content-length"), Some("8388608"));
    assert!(seen.body == body, "the body arrived changed");
    let row = gate.row();
    assert_eq!(row.columns(["outcome", "request_bytes", "response_bytes"]), ["completed", "8388608", "6"]);
}

#[test]
fn a_large_chunked_upload_arrives_byte_for_byte() {
    let (gate, origin) = intercepted(|_, stream| stream.write_all(&respond(200, "stored")).is_ok());
    let body = long_text(LARGE);
    let mut client = gate.secured(HOST, origin.port());
    client.send(request("PUT", "/object", "Transfer-Encoding: chunked\r\n"));
    for chunk in body.chunks(70_001) {
        client.send([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.answer_to("PUT").body, "stored");

    let seen = origin.seen().remove(0);
    assert_eq!((seen.field("transfer-encoding"), seen.field("content-length")), (Some("chunked"), None));
    assert!(seen.body == body, "the body arrived changed");
    let row = gate.row();
    assert_eq!(row.columns(["outcome", "request_bytes", "response_bytes"]), ["completed", "8388608", "6"]);
}

#[test]
fn a_large_download_arrives_byte_for_byte() {
    let (gate, origin) = intercepted(|_, stream| {
        let body = String::from_utf8(long_text(LARGE)).unwrap();
        stream.write_all(&respond(200, &body)).is_ok()
    });
    let answer = gate.secured(HOST, origin.port()).ask(request("GET", "/object", ""));
    assert_eq!(answer.field("content-length"), Some("8388608"));
    assert!(answer.body.as_bytes() == long_text(LARGE), "the body arrived changed");
    let row = gate.row();
    assert_eq!(row.columns(["outcome", "request_bytes", "response_bytes"]), ["completed", "0", "8388608"]);
}

#[test]
fn trailers_pass_both_ways_when_the_client_accepts_them() {
    let (gate, origin) = intercepted(|_, stream| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Verdict\r\n\r\n";
        stream.write_all(format!("{head}2\r\nok\r\n0\r\nX-Verdict: clean\r\n\r\n").as_bytes()).is_ok()
    });
    let mut client = gate.secured(HOST, origin.port());
    let fields = "TE: trailers\r\nConnection: TE\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n";
    client.send(request("POST", "/scan", fields) + "4\r\nbody\r\n0\r\nX-Sum: 42\r\n\r\n");
    client.until(b"\r\n\r\n");
    let end = String::from_utf8(client.until(b"clean\r\n\r\n")).unwrap();
    assert_eq!(end.to_ascii_lowercase(), "2\r\nok\r\n0\r\nx-verdict: clean\r\n\r\n");

    let seen = origin.seen().remove(0);
    assert_eq!(String::from_utf8(seen.body.clone()).unwrap().to_ascii_lowercase(), "body\nx-sum: 42");
    assert_eq!((seen.field("te"), seen.field("trailer")), (Some("trailers"), Some("X-Sum")));
    assert_eq!(gate.row().columns(["outcome", "request_bytes", "response_bytes"]), ["completed", "4", "2"]);
}

#[test]
fn trailers_that_nobody_asked_for_are_left_out_and_the_call_is_complete() {
    let (gate, origin) = intercepted(|_, stream| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Verdict\r\n\r\n";
        stream.write_all(format!("{head}2\r\nok\r\n0\r\nX-Verdict: clean\r\n\r\n").as_bytes()).is_ok()
    });
    let mut client = gate.secured(HOST, origin.port());
    let rows = until_reused(&gate, 0, || {
        client.send(request("GET", "/scan", ""));
        client.until(b"\r\n\r\n");
        assert_eq!(client.until(b"0\r\n\r\n"), b"2\r\nok\r\n0\r\n\r\n");
    });
    for row in rows {
        assert_eq!(row.columns(["outcome", "response_bytes"]), ["completed", "2"]);
    }
}

#[test]
fn early_hints_are_passed_on_before_the_final_response() {
    let (gate, origin, let_through) = origin_in_pieces(&[
        "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ]);
    let mut client = gate.secured(HOST, origin.port());
    client.send(request("GET", "/", ""));
    let hints = String::from_utf8(client.until(b"\r\n\r\n")).unwrap();
    assert_eq!(hints.to_ascii_lowercase(), "http/1.1 103 early hints\r\nlink: </style.css>; rel=preload\r\n\r\n");
    let_through.send(()).unwrap();
    let answer = client.answer_to("GET");
    assert_eq!((answer.status, answer.body.as_str()), (200, "hello"));
    assert_eq!(gate.row().columns(["outcome", "status"]), ["completed", "200"]);
}

#[test]
fn a_client_that_waits_for_100_is_told_to_continue() {
    let (gate, origin) = intercepted(|_, stream| stream.write_all(&respond(201, "made")).is_ok());
    let mut client = gate.secured(HOST, origin.port());
    client.send(request("POST", "/", "Expect: 100-continue\r\nContent-Length: 4\r\n"));
    assert_eq!(client.until(b"\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(client.ask("body").status, 201);
    assert_eq!(origin.seen()[0].body, b"body");
    assert_eq!(gate.row().columns(["outcome", "status", "request_bytes"]), ["completed", "201", "4"]);
}

#[test]
fn a_client_that_waits_for_100_is_refused_before_its_body() {
    let origin = Origin::http();
    let gate = Gate::builder().resolve(HOST).allow("elsewhere.test").start();
    let port = origin.port();
    let head = format!("Host: {HOST}:{port}\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    let mut client = gate.client();
    let answer = client.ask(format!("POST http://{HOST}:{port}/ HTTP/1.1\r\n{head}"));
    assert_eq!((answer.status, answer.json()["reason"].as_str()), (403, Some("host_not_allowed")));
    assert_eq!(client.rest(), b"", "closed: nobody knows whether the body follows");
    gate.assert_untouched(&origin);
    let row = gate.row();
    assert_eq!(
        row.columns(["outcome", "deny_reason", "status", "request_bytes"]),
        ["denied", "host_not_allowed", "403", "0"]
    );
}

#[test]
fn responses_without_a_body_keep_their_fields_and_the_connection() {
    let (gate, origin) = intercepted(|seen, stream| {
        let response = match seen.target.as_str() {
            "/head" => "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n",
            "/none" => "HTTP/1.1 204 No Content\r\n\r\n",
            _ => "HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\nContent-Length: 99\r\n\r\n",
        };
        stream.write_all(response.as_bytes()).is_ok()
    });
    let mut client = gate.secured(HOST, origin.port());
    let mut before = 0;
    for (method, target, status) in [("HEAD", "/head", "200"), ("GET", "/none", "204"), ("GET", "/same", "304")] {
        let rows = until_reused(&gate, before, || {
            let answer = client.ask(request(method, target, ""));
            let fields = ["content-length", "transfer-encoding", "etag"].map(|name| answer.field(name).is_some());
            let expected = [target == "/head", false, target == "/same"];
            assert_eq!((answer.status.to_string().as_str(), fields), (status, expected));
        });
        for row in &rows[before..] {
            assert_eq!(row.columns(["outcome", "status", "response_bytes"]), ["completed", status, "0"]);
        }
        before = rows.len();
    }
    assert_eq!(origin.seen().len(), before, "a row for each request that arrived");
}

/// Calls twice, and again if it has to be, until the second call went over the connection of the first. It is free a moment
/// after the response's end has reached the client, so the next call may come too early for it. All rows; there were
/// `before`.
fn until_reused(gate: &Gate, before: usize, mut call: impl FnMut()) -> Vec<Row> {
    let mut calls = before;
    eventually("an upstream connection is used again after a call like this", || {
        call();
        call();
        calls += 2;
        let rows = gate.rows_of(calls);
        (rows[calls - 1].get("upstream_reused") == "true").then_some(rows)
    })
}

#[test]
fn an_http_1_0_client_gets_a_body_that_ends_with_the_connection() {
    let origin = Origin::serving(None, |_, stream| {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n";
        stream.write_all(chunked.as_bytes()).is_ok()
    });
    let gate = Gate::builder().resolve(HOST).start();
    let authority = format!("{HOST}:{}", origin.port());
    let answer = gate.client().ask(format!("GET http://{authority}/old HTTP/1.0\r\n\r\n"));
    assert_eq!((answer.status, answer.field("transfer-encoding"), answer.body.as_str()), (200, None, "abcdef"));

    let seen = origin.seen().remove(0);
    assert_eq!((seen.target.as_str(), seen.field("host")), ("/old", Some(authority.as_str())));
    assert_eq!(
        gate.row().columns(["kind", "http_version", "outcome", "response_bytes"]),
        ["http", "HTTP/1.0", "completed", "6"]
    );
}

#[test]
fn the_body_of_a_refused_request_is_never_taken_for_a_request() {
    let origin = Origin::http();
    let port = origin.port();
    let gate = Gate::builder().resolve(HOST).allow(HOST).start();
    let get = |path: &str| format!("GET http://{HOST}:{port}{path} HTTP/1.1\r\nHost: {HOST}:{port}\r\n\r\n");
    let hidden = get("/hidden");
    let fields = format!("Host: denied.test\r\nContent-Length: {}\r\n\r\n", hidden.len());
    let mut client = gate.client();
    client.send(format!("POST http://denied.test/ HTTP/1.1\r\n{fields}{hidden}"));
    assert_eq!(client.answer_to("POST").status, 403);
    assert_eq!(client.ask(get("/next")).body, "hello");

    let rows = gate.rows_of(2);
    assert_eq!(rows[0].columns(["outcome", "host"]), ["denied", "denied.test"]);
    assert_eq!(rows[1].columns(["outcome", "path"]), ["completed", "/next"]);
    let targets: Vec<_> = origin.seen().into_iter().map(|seen| seen.target).collect();
    assert_eq!(targets, ["/next"]);
}

#[test]
fn an_http_1_0_request_inside_a_tunnel_gets_the_tunnels_host() {
    let (gate, origin) = intercepted(|_, stream| stream.write_all(&respond(200, "old")).is_ok());
    let answer = gate.secured(HOST, origin.port()).ask("GET /old HTTP/1.0\r\n\r\n");
    assert_eq!((answer.status, answer.body.as_str()), (200, "old"));
    let authority = format!("{HOST}:{}", origin.port());
    assert_eq!(origin.seen()[0].field("host"), Some(authority.as_str()));
    assert_eq!(
        gate.row().columns(["kind", "http_version", "outcome", "host_header"]),
        ["intercepted", "HTTP/1.0", "completed", ""]
    );
}
