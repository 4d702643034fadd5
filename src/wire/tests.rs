//! The inspected stream under hyper's own HTTP/1 server, over an in-memory connection.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::{Inspected, Limits, ViolationReason as R, WireHandle};

mod interim;
mod leaving_http;

/// One request as the service saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Saw {
    Request { target: String, body: Result<Vec<u8>, Option<R>> },
    Violation { reason: R, target: Option<String>, user_agents: Vec<String> },
}

fn request(target: &str, body: &[u8]) -> Saw {
    Saw::Request { target: target.to_owned(), body: Ok(body.to_vec()) }
}

/// Everything that can be read from a connection that the other side keeps open would hang a wrong test for ever.
async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("the exchange hangs")
}

/// Answers every request with its number, and a violation with 400.
async fn answer(
    request: Request<Incoming>,
    handle: WireHandle,
    saw: Arc<Mutex<Vec<Saw>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let target = request.uri().to_string();
    let (status, seen) = match handle.violation(&request) {
        Some(violation) => {
            let (target, user_agents) = (violation.seen.target(), violation.seen.user_agents());
            (StatusCode::BAD_REQUEST, Saw::Violation { reason: violation.reason, target, user_agents })
        }
        None => match request.into_body().collect().await {
            Ok(body) => (StatusCode::OK, Saw::Request { target, body: Ok(body.to_bytes().to_vec()) }),
            Err(error) => (StatusCode::BAD_REQUEST, Saw::Request { target, body: Err(R::in_error(&error)) }),
        },
    };
    let mut saw = saw.lock().unwrap();
    saw.push(seen);
    let mut response = Response::new(Full::from(format!("<{}>", saw.len())));
    *response.status_mut() = status;
    Ok(response)
}

/// Sends `pieces` one after the other, closes the sending side if `close`, and returns what the service saw and what the
/// client got until the server closed.
async fn exchange(pieces: Vec<Vec<u8>>, close: bool) -> (Vec<Saw>, String) {
    let (client, server) = tokio::io::duplex(64);
    let io = Inspected::new(server, Limits::default());
    let (handle, saw) = (io.handle(), Arc::new(Mutex::new(Vec::new())));
    let service = service_fn(|request| answer(request, handle.clone(), Arc::clone(&saw)));
    let serve = hyper::server::conn::http1::Builder::new().half_close(true).serve_connection(TokioIo::new(io), service);
    let (mut reader, mut writer) = tokio::io::split(client);
    let send = async {
        for piece in pieces {
            // The server may have closed already; what it saw is what counts.
            if writer.write_all(&piece).await.is_err() {
                break;
            }
        }
        if close {
            let _ = writer.shutdown().await;
        }
    };
    let mut got = String::new();
    let receive = async {
        let mut bytes = Vec::new();
        let _ = reader.read_to_end(&mut bytes).await;
        got = String::from_utf8(bytes).unwrap();
    };
    let _ = in_time(async { tokio::join!(send, receive, serve) }).await;
    let saw = saw.lock().unwrap().clone();
    (saw, got)
}

fn count(haystack: &str, needle: &str) -> usize {
    haystack.matches(needle).count()
}

#[tokio::test]
async fn a_violation_is_answered_by_the_service_and_nothing_after_it_is_processed() {
    let stream = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\
        POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\
        POST /3 HTTP/1.1\r\nHost: a\r\nUser-Agent: elastic (project:p)\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n\
        GET /4 HTTP/1.1\r\nHost: a\r\n\r\n";
    let refused = Saw::Violation {
        reason: R::LengthAndTransferEncoding,
        target: Some("/3".to_owned()),
        user_agents: vec!["elastic (project:p)".to_owned()],
    };
    let expected = [request("/1", b""), request("/2", b"hi"), refused];
    for cut in [1, 7, stream.len()] {
        let pieces = stream.chunks(cut).map(<[u8]>::to_vec).collect();
        let (saw, got) = exchange(pieces, false).await;
        assert_eq!(saw, expected, "cut into {cut}");
        assert_eq!(count(&got, "HTTP/1.1 200 OK"), 2, "the earlier responses are whole: {got}");
        assert!(got.contains("<1>") && got.contains("<2>") && got.ends_with("<3>"), "{got}");
        assert_eq!(count(&got, "HTTP/1.1 400 Bad Request"), 1, "{got}");
        assert_eq!(count(&got, "connection: close"), 1, "{got}");
    }
}

#[tokio::test]
async fn what_hyper_would_repair_or_answer_itself_reaches_the_service() {
    let cases: [(&str, R); 7] = [
        ("GET /x HTTP/1.1\nHost: a\n\n", R::BareLf),
        ("GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", R::RepeatedHost),
        ("GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", R::RepeatedContentLength),
        ("GET /x HTTP/1.1\r\nHost : a\r\n\r\n", R::WhitespaceBeforeColon),
        ("GET /x#y HTTP/1.1\r\nHost: a\r\n\r\n", R::FragmentInTarget),
        ("PRI /x HTTP/2.0\r\n\r\nSM\r\n\r\n", R::UnsupportedVersion),
        ("\x16\x03\x01 /x ", R::InvalidMethod),
    ];
    for (bytes, reason) in cases {
        let (saw, got) = exchange(vec![bytes.into()], false).await;
        assert!(matches!(&saw[..], [Saw::Violation { reason: found, .. }] if *found == reason), "{bytes:?}: {saw:?}");
        assert!(got.starts_with("HTTP/1.1 400"), "{got}");
    }
}

#[tokio::test]
async fn a_head_that_never_ends_is_refused_at_the_limit_or_the_end_of_the_stream() {
    let endless = format!("GET /x HTTP/1.1\r\nX: {}", "y".repeat(200_000));
    let (saw, _) = exchange(vec![endless.into()], false).await;
    assert!(
        matches!(&saw[..], [Saw::Violation { reason: R::HeadTooLarge, target: Some(target), .. }] if target == "/x")
    );

    let (saw, got) = exchange(vec![b"GET /x HTTP/1.1\r\nHo".to_vec()], true).await;
    assert!(matches!(&saw[..], [Saw::Violation { reason: R::TruncatedHead, .. }]), "{saw:?}");
    assert!(got.starts_with("HTTP/1.1 400"), "{got}");

    let (saw, got) = exchange(vec![b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n\r\n".to_vec()], true).await;
    assert_eq!(saw, [request("/x", b"")], "a stray empty line at the end is no head");
    assert_eq!(count(&got, "HTTP/1.1"), 1);
}

#[tokio::test]
async fn a_violation_inside_a_body_fails_the_body_with_its_reason() {
    let head = "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let cases = [
        ("3\r\nabc\r\n+1\r\nx\r\n0\r\n\r\n", R::InvalidChunkSize),
        ("3\r\nabc\n0\r\n\r\n", R::InvalidChunkEnd),
        ("0\r\nTransfer-Encoding: chunked\r\n\r\n", R::ForbiddenTrailer),
    ];
    for (body, reason) in cases {
        let bytes = format!("{head}{body}GET /y HTTP/1.1\r\nHost: a\r\n\r\n");
        let (saw, _) = exchange(vec![bytes.into()], false).await;
        assert_eq!(saw, [Saw::Request { target: "/x".to_owned(), body: Err(Some(reason)) }]);
    }
}

/// A valid message and what the service must see of it.
fn message() -> impl Strategy<Value = (Vec<u8>, Saw)> {
    let data = || proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'\r'), Just(b'\n')], 0..90);
    let target = "/[a-z0-9/._~=&%-]{0,12}(\\?[a-z0-9=&]{0,8})?";
    let chunks = proptest::collection::vec((data(), "(;[a-z]{1,3}(=\"[a-z;]{0,3}\")?)?"), 0..4);
    let content = prop_oneof![
        Just((String::new(), Vec::new(), Vec::new())),
        data().prop_map(|body| (format!("Content-Length: {}\r\n", body.len()), body.clone(), body)),
        (chunks, prop_oneof![Just(""), Just("X-Sum: 1\r\n")]).prop_map(|(chunks, trailers)| {
            let (mut wire, mut body) = (Vec::new(), Vec::new());
            for (data, extension) in chunks.iter().filter(|(data, _)| !data.is_empty()) {
                wire.extend([format!("{:X}{extension}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat());
                body.extend(data);
            }
            wire.extend(format!("0\r\n{trailers}\r\n").as_bytes());
            ("transfer-encoding: Chunked\r\n".to_owned(), wire, body)
        }),
    ];
    let fields = "(X-[A-Z]{1,5}:[ \t]{0,2}[a-zA-Z0-9 ;,\"]{0,12}\r\n){0,3}";
    (target, fields, content, prop_oneof![Just(""), Just("\r\n")]).prop_map(
        |(target, fields, (length, wire, body), empty_line)| {
            let head = format!("{empty_line}POST {target} HTTP/1.1\r\n{fields}Host: a.test\r\n{length}\r\n");
            ([head.as_bytes(), &wire].concat(), request(&target, &body))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// hyper and the inspector agree on where every message ends: one that they framed differently would turn body bytes
    /// into a request, or a request into body bytes.
    #[test]
    fn hyper_sees_exactly_the_messages_that_were_sent(
        messages in proptest::collection::vec(message(), 1..6),
        cut in 1usize..200,
    ) {
        let (wire, expected): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
        let pieces = wire.concat().chunks(cut).map(<[u8]>::to_vec).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (saw, got) = runtime.block_on(exchange(pieces, true));
        prop_assert_eq!(count(&got, "HTTP/1.1 200 OK"), expected.len());
        prop_assert_eq!(saw, expected);
    }

    /// Whatever a client sends, the service answers it: hyper never refuses by itself, without a row.
    #[test]
    fn hyper_never_answers_in_place_of_the_service(
        message in message(),
        version in proptest::sample::select(vec!["HTTP/1.1", "HTTP/1.0", "HTTP/1.1", "HTTP/2.0"]),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>(), any::<bool>()), 0..4),
    ) {
        let (mut wire, _) = message;
        let at = wire.windows(8).position(|window| window == b"HTTP/1.1").unwrap();
        wire.splice(at..at + 8, version.bytes());
        for (index, byte, replace) in changes {
            let at = index.index(wire.len());
            wire.splice(at..at + usize::from(replace), [byte]);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (saw, got) = runtime.block_on(exchange(vec![wire], true));
        prop_assert!(!saw.is_empty());
        prop_assert!(count(&got, "HTTP/1.") <= saw.len(), "{:?}: {}", saw, got);
    }

    /// What comes out of the stream is what went in, byte for byte, whatever the sizes of reads and buffers.
    #[test]
    fn cleared_bytes_are_released_unchanged(
        messages in proptest::collection::vec(message(), 1..5),
        cut in 1usize..100,
        room in 1usize..100,
    ) {
        let wire = messages.into_iter().map(|(wire, _)| wire).collect::<Vec<_>>().concat();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let released = runtime.block_on(in_time(async {
            let (mut client, server) = tokio::io::duplex(1 << 20);
            for piece in wire.chunks(cut) {
                client.write_all(piece).await.unwrap();
            }
            drop(client);
            read_all(&mut Inspected::new(server, Limits::default()), room).await.unwrap()
        }));
        prop_assert_eq!(released, wire);
    }
}

/// Reads to the end with a buffer of `room` bytes.
async fn read_all(io: &mut Inspected<DuplexStream>, room: usize) -> io::Result<Vec<u8>> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; room]);
    loop {
        match io.read(&mut buffer).await? {
            0 => return Ok(all),
            len => all.extend_from_slice(&buffer[..len]),
        }
    }
}

#[tokio::test]
async fn a_request_that_copies_the_synthetic_one_is_no_violation() {
    let io = Inspected::new(tokio::io::duplex(1).0, Limits::default());
    let handle = io.handle();
    let synthetic = std::str::from_utf8(super::state::synthetic_request()).unwrap();
    let path = synthetic.split(' ').nth(1).unwrap();
    assert_eq!(path.len(), 33);
    let request = Request::get(path).header("host", "malformed.invalid").body(()).unwrap();
    assert_eq!(handle.violation(&request), None, "nothing was refused on this connection");
}

#[tokio::test]
async fn bytes_read_and_not_given_out_are_returned_with_the_stream() {
    let (mut client, server) = tokio::io::duplex(1024);
    client.write_all(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTT").await.unwrap();
    let mut io = Inspected::new(server, Limits::default());
    let mut first = [0; 64];
    assert_eq!(io.read(&mut first).await.unwrap(), "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n".len());
    let (mut inner, held) = io.into_inner();
    assert!(matches!((&first[..6], &held[..]), (b"GET /1", b"GET /2 HTT")), "{held:?}");
    drop(client);
    assert_eq!(inner.read(&mut first).await.unwrap(), 0);
}

#[tokio::test]
async fn what_follows_a_refused_head_is_read_and_dropped_up_to_the_limit() {
    let (mut client, server) = tokio::io::duplex(64);
    let limits = Limits { head_bytes_max: 1024, ..Limits::default() };
    let mut io = Inspected::new(server, limits);
    let synthetic = super::state::synthetic_request();
    let serve = async {
        let mut seen = vec![0; synthetic.len()];
        io.read_exact(&mut seen).await.unwrap();
        assert_eq!(seen, synthetic);
        io.read(&mut seen).await
    };
    let send = async {
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        client.write_all(&[b'x'; 1000]).await.unwrap();
    };
    tokio::select! {
        () = in_time(send) => {}
        read = serve => panic!("neither data nor the end of the stream may follow: {read:?}"),
    }
}
