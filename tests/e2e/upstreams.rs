//! Upstream connections: used again, closed meanwhile, broken off, and silent.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Instant;

use crate::harness::{Client, DEADLINE, Gate, Origin, TestCa, eventually, respond, turnstile};

const HOST: &str = "api.test";

fn gate() -> Gate {
    Gate::builder().resolve(HOST).start()
}

fn post(origin: &Origin, body: &str) -> String {
    let (port, length) = (origin.port(), body.len());
    format!("POST http://{HOST}:{port}/calls HTTP/1.1\r\nHost: {HOST}:{port}\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// Reads one request with a short body as far as its empty line; `false` when the connection was closed instead.
fn read_head(stream: &mut BufReader<TcpStream>) -> bool {
    stream.lines().map_while(Result::ok).any(|line| line.is_empty())
}

#[test]
fn a_second_request_uses_the_same_upstream_connection() {
    let ca = TestCa::new();
    let origin = Origin::https(&ca, &[HOST]);
    let gate = Gate::builder().resolve(HOST).upstream_ca(&ca).start();
    let request = format!("GET /again HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    for _ in 0..2 {
        // A tunnel each, as Kibana's clients open one: only the upstream side is kept.
        assert_eq!(gate.secured(HOST, origin.port()).ask(&request).body, "hello");
    }

    let rows = gate.rows_of(2);
    assert_eq!([rows[0].get("upstream_reused"), rows[1].get("upstream_reused")], ["false", "true"]);
    assert_eq!(rows[0].columns(["outcome", "tls_version"]), ["completed", "TLSv1.3"]);
    assert_eq!(rows[1].get("connect_us"), "", "nothing was connected for the second");
    let session = ["tls_version", "tls_cipher", "upstream_cert_sha256", "upstream_ip", "upstream_port"];
    assert_eq!(rows[0].columns(session), rows[1].columns(session));
    assert_eq!((origin.connections(), origin.seen().len()), (1, 2));
}

#[test]
fn a_pooled_connection_that_the_upstream_closed_loses_no_request_and_doubles_none() {
    let (closed, wait_closed) = mpsc::channel();
    let origin = Origin::raw(move |stream| {
        let mut stream = BufReader::new(stream);
        assert!(read_head(&mut stream));
        stream.read_exact(&mut [0; 4]).unwrap();
        stream.get_mut().write_all(&respond(200, "once")).unwrap();
        stream.get_mut().shutdown(std::net::Shutdown::Write).unwrap();
        // The end has arrived when the gate ends its side too.
        closed.send(stream.read(&mut [0]).unwrap()).unwrap();
    });
    // Without spares: the gate may still hold the closed connection when the next call comes, and one in use calls for one.
    let gate = Gate::builder().resolve(HOST).config("upstream: { pool_spare: false }\n").start();
    let mut client = gate.client();
    for _ in 0..10 {
        let answer = client.ask(post(&origin, "body"));
        assert_eq!((answer.status, answer.body.as_str()), (200, "once"));
        assert_eq!(wait_closed.recv_timeout(DEADLINE), Ok(0));
    }

    for row in gate.rows_of(10) {
        assert_eq!(row.columns(["outcome", "status", "upstream_reused"]), ["completed", "200", "false"]);
    }
    assert_eq!(origin.connections(), 10);
}

#[test]
fn a_request_that_may_have_been_processed_is_never_sent_twice() {
    let (processed, arrivals) = mpsc::channel();
    let origin = Origin::raw(move |stream| {
        let mut stream = BufReader::new(stream);
        let mut answers = [Some(respond(200, "first")), None].into_iter();
        while read_head(&mut stream) {
            stream.read_exact(&mut [0; 4]).unwrap();
            processed.send(()).unwrap();
            match answers.next().flatten() {
                Some(answer) => stream.get_mut().write_all(&answer).unwrap(),
                None => return,
            }
        }
    });
    let gate = gate();
    let mut client = gate.client();
    assert_eq!(client.ask(post(&origin, "1234")).body, "first");
    let failed = client.ask(post(&origin, "5678"));
    assert_eq!((failed.status, failed.json()["reason"].as_str()), (502, Some("upstream_failed")));

    let rows = gate.rows_of(2);
    assert_eq!(
        rows[1].columns(["outcome", "status", "upstream_reused", "request_bytes"]),
        ["upstream_failed", "502", "true", "4"]
    );
    assert_eq!((arrivals.try_iter().count(), origin.connections()), (2, 1));
}

/// An origin whose connections answer once, and end when the second request has come whole: without a byte, or with these.
fn ends_under_the_second(last: &'static [u8]) -> (Origin, mpsc::Receiver<()>) {
    let (processed, arrivals) = mpsc::channel();
    let origin = Origin::raw(move |stream| {
        let mut stream = BufReader::new(stream);
        for answer in [respond(200, "hello"), last.to_vec()] {
            if !read_head(&mut stream) {
                return;
            }
            processed.send(()).unwrap();
            stream.get_mut().write_all(&answer).unwrap();
        }
    });
    (origin, arrivals)
}

fn get(origin: &Origin, method: &str) -> String {
    let authority = format!("{HOST}:{}", origin.port());
    format!("{method} http://{authority}/calls HTTP/1.1\r\nHost: {authority}\r\nContent-Length: 0\r\n\r\n")
}

#[test]
fn a_request_that_only_reads_is_sent_once_more_when_its_reused_connection_ends_and_the_row_says_so() {
    for method in ["GET", "HEAD", "OPTIONS"] {
        let (origin, arrivals) = ends_under_the_second(b"");
        let gate = gate();
        let mut client = gate.client();
        assert_eq!(client.ask(get(&origin, "GET")).body, "hello");
        assert_eq!(client.ask(get(&origin, method)).status, 200, "{method}");
        let rows = gate.rows_of(2);
        assert_eq!(rows[1].columns(["outcome", "status", "upstream_reused"]), ["completed", "200", "false"]);
        assert_eq!(
            rows[1].get("error"),
            "the request was sent twice: a reused upstream connection ended before anything of its response came"
        );
        assert_eq!((arrivals.try_iter().count(), origin.connections()), (3, 2), "{method}");
    }
}

#[test]
fn a_request_whose_response_has_begun_or_that_changes_something_is_not_sent_again() {
    for (method, last) in [("GET", &b"HTTP/1.1 200"[..]), ("DELETE", b""), ("PUT", b""), ("POST", b"")] {
        let (origin, arrivals) = ends_under_the_second(last);
        let gate = gate();
        let mut client = gate.client();
        assert_eq!(client.ask(get(&origin, "GET")).body, "hello");
        assert_eq!(client.ask(get(&origin, method)).status, 502, "{method}");
        let rows = gate.rows_of(2);
        assert_eq!(rows[1].columns(["outcome", "status", "upstream_reused"]), ["upstream_failed", "502", "true"]);
        assert_eq!((arrivals.try_iter().count(), origin.connections()), (2, 1), "{method}");
    }
}

#[test]
fn a_request_on_a_connection_that_was_never_used_is_not_sent_again() {
    let origin = Origin::raw(|stream| assert!(read_head(&mut BufReader::new(stream))));
    let gate = gate();
    assert_eq!(gate.client().ask(get(&origin, "GET")).status, 502);
    assert_eq!(gate.row().columns(["outcome", "upstream_reused"]), ["upstream_failed", "false"]);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_client_that_leaves_a_download_is_recorded_with_what_was_passed_on() {
    let (let_through, wait) = turnstile();
    let (ended, upstream_end) = mpsc::channel();
    let origin = Origin::raw(move |stream| {
        let mut stream = BufReader::new(stream);
        assert!(read_head(&mut stream));
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
        stream.get_mut().write_all(format!("{head}{}", "x".repeat(1000)).as_bytes()).unwrap();
        wait();
        ended.send(stream.read(&mut [0]).unwrap_or(0)).unwrap();
    });
    let port = origin.port();
    let gate = gate();
    let mut client = gate.client();
    client.send(format!("GET http://{HOST}:{port}/big HTTP/1.1\r\nHost: {HOST}:{port}\r\n\r\n"));
    client.until(b"\r\n\r\n");
    client.exactly(1000);
    drop(client);

    let row = gate.row();
    assert_eq!(row.columns(["outcome", "status", "response_bytes"]), ["client_aborted", "200", "1000"]);
    assert_eq!(row.get("error"), "the client closed the connection before the exchange ended");
    let_through.send(()).unwrap();
    assert_eq!(upstream_end.recv_timeout(DEADLINE), Ok(0), "the upstream connection was closed, not kept");
}

#[test]
fn a_client_that_leaves_an_upload_is_recorded_and_its_upstream_connection_dropped() {
    let (ended, upstream_end) = mpsc::channel();
    let origin = Origin::raw(move |stream| {
        let mut stream = BufReader::new(stream);
        assert!(read_head(&mut stream));
        let mut body = Vec::new();
        let _ = stream.read_to_end(&mut body);
        ended.send(body.len()).unwrap();
    });
    let port = origin.port();
    let gate = gate();
    let mut client = gate.client();
    let head = format!("PUT http://{HOST}:{port}/ HTTP/1.1\r\nHost: {HOST}:{port}\r\nContent-Length: 1000\r\n\r\n");
    client.send(head + &"x".repeat(400));
    eventually("the upload begins", || (origin.connections() == 1).then_some(()));
    drop(client);

    let row = gate.row();
    assert_eq!(row.columns(["outcome", "request_bytes", "response_bytes"]), ["client_aborted", "400", "0"]);
    assert!(upstream_end.recv_timeout(DEADLINE).unwrap() <= 400);
}

/// Asks an origin that sends this and closes; what the client received after the head, and the row.
fn broken_off(response: &'static str) -> (Vec<u8>, crate::harness::Row) {
    let origin = Origin::raw(move |stream| {
        let mut stream = BufReader::new(stream);
        assert!(read_head(&mut stream));
        stream.get_mut().write_all(response.as_bytes()).unwrap();
    });
    let port = origin.port();
    let gate = gate();
    let mut client = gate.client();
    client.send(format!("GET http://{HOST}:{port}/ HTTP/1.1\r\nHost: {HOST}:{port}\r\n\r\n"));
    client.until(b"\r\n\r\n");
    (client.rest(), gate.row())
}

#[test]
fn a_response_that_breaks_off_before_its_length_is_recorded_and_never_looks_whole() {
    let (body, row) = broken_off("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nten bytes.");
    assert_eq!(body, b"ten bytes.");
    assert_eq!(row.columns(["outcome", "status", "response_bytes"]), ["upstream_failed", "200", "10"]);
}

#[test]
fn a_chunked_response_that_breaks_off_has_no_last_chunk() {
    let (body, row) = broken_off("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\nten bytes.\r\n");
    assert_eq!(String::from_utf8(body).unwrap().to_ascii_uppercase(), "A\r\nTEN BYTES.\r\n");
    assert_eq!(row.columns(["outcome", "status", "response_bytes"]), ["upstream_failed", "200", "10"]);
}

#[test]
fn an_upstream_that_does_not_speak_http_is_a_502() {
    let origin = Origin::raw(|mut stream| stream.write_all(b"220 mail.test ESMTP\r\n").unwrap());
    let gate = gate();
    let answer = gate.client().ask(post(&origin, ""));
    assert_eq!((answer.status, answer.json()["reason"].as_str()), (502, Some("upstream_failed")));
    let row = gate.row();
    assert_eq!(row.columns(["outcome", "status"]), ["upstream_failed", "502"]);
}

#[test]
fn an_upstream_that_never_answers_is_a_504() {
    let (ended, upstream_end) = mpsc::channel();
    let origin = Origin::raw(move |stream| {
        let mut stream = BufReader::new(stream);
        assert!(read_head(&mut stream));
        stream.read_exact(&mut [0; 4]).unwrap();
        ended.send(stream.read(&mut [0]).unwrap_or(0)).unwrap();
    });
    let gate = Gate::builder().resolve(HOST).config("limits:\n  response_head_timeout_s: 1\n").start();
    let answer = gate.client().ask(post(&origin, "body"));
    assert_eq!((answer.status, answer.json()["reason"].as_str()), (504, Some("timed_out")));

    let row = gate.row();
    assert_eq!(
        row.columns(["outcome", "status", "decision", "request_bytes"]),
        ["timed_out", "504", "would_deny", "4"]
    );
    assert!(row.get("error").contains("limits.response_head_timeout_s"), "{row:?}");
    assert_eq!(upstream_end.recv_timeout(DEADLINE), Ok(0), "the silent connection was closed, not kept");
    assert_eq!(origin.connections(), 1);
}

#[test]
fn an_answer_before_the_end_of_an_upload_reaches_the_client() {
    let (let_through, wait) = turnstile();
    let origin = Origin::raw(move |stream| {
        let mut stream = BufReader::new(stream);
        assert!(read_head(&mut stream));
        stream.get_mut().write_all(&respond(413, "too large")).unwrap();
        wait();
    });
    let port = origin.port();
    let gate = gate();
    let mut client = gate.client();
    let head = format!("PUT http://{HOST}:{port}/ HTTP/1.1\r\nHost: {HOST}:{port}\r\nContent-Length: 67108864\r\n\r\n");
    client.send(head);
    let mut uploading = client.stream.try_clone().unwrap();
    // More than all buffers on the way hold; it ends with an error when the connection is closed.
    let upload = std::thread::spawn(move || uploading.write_all(&vec![b'x'; 64 * 1024 * 1024]).is_err());
    let answer = client.answer_to("PUT");
    assert_eq!((answer.status, answer.body.as_str()), (413, "too large"));
    let_through.send(()).unwrap();
    assert!(upload.join().unwrap(), "the upload ends with the upstream connection");
    let row = gate.row();
    assert_eq!(row.columns(["outcome", "status", "response_bytes"]), ["completed", "413", "9"]);
    assert!(row.get("error").contains("the response ended before the request body did"), "{row:?}");
}

/// An upload that never ends, although the origin has answered it and leaves the connection open; `reads` says whether the origin
/// goes on reading. Both ends learn that it was cut off, the client after it has its answer.
fn an_upload_outlasts_its_answer(reads: bool) {
    let (let_through, wait) = turnstile();
    let (told, cut_off) = mpsc::channel();
    let origin = Origin::raw(move |stream| {
        let mut stream = BufReader::new(stream);
        assert!(read_head(&mut stream));
        stream.get_mut().write_all(&respond(413, "too large")).unwrap();
        if !reads {
            wait();
        }
        let end = std::io::copy(&mut stream, &mut std::io::sink());
        told.send(end.is_ok()).unwrap();
    });
    let port = origin.port();
    let gate = Gate::builder().resolve(HOST).config("limits: { keep_alive_timeout_s: 1 }").start();
    let mut client = gate.client();
    let head = format!(
        "PUT http://{HOST}:{port}/ HTTP/1.1\r\nHost: {HOST}:{port}\r\nContent-Length: {}\r\n\r\n",
        u64::MAX / 4
    );
    client.send(head);
    let mut uploading = client.stream.try_clone().unwrap();
    uploading.set_write_timeout(Some(DEADLINE)).unwrap();
    let upload = std::thread::spawn(move || {
        let (chunk, until) = (vec![b'x'; 64 * 1024], Instant::now() + DEADLINE);
        while Instant::now() < until {
            if let Err(error) = uploading.write_all(&chunk) {
                return error.kind();
            }
        }
        ErrorKind::TimedOut
    });
    let answer = client.answer_to("PUT");
    assert_eq!((answer.status, answer.body.as_str()), (413, "too large"));
    let row = gate.row();
    assert_eq!(row.columns(["outcome", "status", "response_bytes"]), ["completed", "413", "9"]);
    assert!(row.get("error").contains("request_bytes counts what was read until then"), "{row:?}");

    let end = upload.join().unwrap();
    assert!(
        matches!(end, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset),
        "the client is cut off, not let wait: {end}"
    );
    if !reads {
        let_through.send(()).unwrap();
    }
    cut_off.recv_timeout(DEADLINE).unwrap();
    assert_eq!(origin.connections(), 1);
}

#[test]
fn an_upload_that_nobody_reads_is_cut_off_after_its_answer() {
    an_upload_outlasts_its_answer(false);
}

#[test]
fn an_upload_that_is_read_for_ever_is_cut_off_after_its_answer() {
    an_upload_outlasts_its_answer(true);
}

#[test]
fn a_whole_request_is_not_taken_for_one_that_goes_on() {
    let ca = TestCa::new();
    let origin = Origin::https(&ca, &[HOST]);
    let gate = Gate::builder().resolve(HOST).upstream_ca(&ca).start();
    for request in [
        format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"),
        format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\n\r\n"),
        format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 4\r\n\r\nbody"),
        format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"),
        format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nx: y\r\n\r\n"),
    ] {
        assert_eq!(gate.secured(HOST, origin.port()).ask(&request).status, 200);
    }
    for row in gate.rows_of(5) {
        assert_eq!(row.columns(["outcome", "error"]), ["completed", ""], "{row:?}");
    }
}

/// An origin that holds every request until it may answer.
fn holding_origin() -> (Origin, mpsc::Sender<()>) {
    let (let_pass, pass) = turnstile();
    let origin = Origin::raw(move |stream| {
        let mut stream = BufReader::new(stream);
        while read_head(&mut stream) {
            stream.read_exact(&mut [0; 4]).unwrap();
            pass();
            stream.get_mut().write_all(&respond(200, "held")).unwrap();
        }
    });
    (origin, let_pass)
}

/// The first call, held by the origin, and a second one that finds its connection in use.
fn two_calls_at_once(gate: &Gate, origin: &Origin) -> [Client; 2] {
    let mut clients = [gate.client(), gate.client()];
    for (count, client) in (1..).zip(&mut clients) {
        client.send(post(origin, "1234"));
        eventually("its connection", || (origin.connections() >= count).then_some(()));
    }
    clients
}

/// Lets as many pass as there are clients: which of them is first is not known.
fn all_answered<const N: usize>(clients: [Client; N], let_pass: &mpsc::Sender<()>) {
    for _ in &clients {
        let_pass.send(()).unwrap();
    }
    for mut client in clients {
        assert_eq!(client.answer_to("POST").body, "held");
    }
}

#[test]
fn a_call_that_finds_all_connections_in_use_opens_a_spare_one_for_the_next() {
    let (origin, let_pass) = holding_origin();
    let gate = gate();
    let clients = two_calls_at_once(&gate, &origin);
    eventually("the spare connection", || (origin.connections() == 3).then_some(()));
    all_answered(clients, &let_pass);
    gate.rows_of(2);

    // Three at once: none of them has to connect.
    let mut clients = [gate.client(), gate.client(), gate.client()];
    for client in &mut clients {
        client.send(post(&origin, "5678"));
    }
    all_answered(clients, &let_pass);
    let mut reused: Vec<_> = gate.rows_of(5).iter().map(|row| row.get("upstream_reused")).collect();
    reused.sort();
    assert_eq!(reused, ["false", "false", "true", "true", "true"]);
}

#[test]
fn spare_connections_can_be_switched_off_and_need_a_pool() {
    for upstream in ["pool_spare: false", "pool_idle_per_destination_max: 0"] {
        let (origin, let_pass) = holding_origin();
        let gate = Gate::builder().resolve(HOST).config(&format!("upstream: {{ {upstream} }}\n")).start();
        all_answered(two_calls_at_once(&gate, &origin), &let_pass);
        gate.rows_of(2);
        assert_eq!(origin.connections(), 2, "{upstream}");
    }
}
