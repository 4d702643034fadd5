//! Connections that leave HTTP/1.1: Upgrade, and HTTP/2 inside the tunnel.

use std::io::{Read, Write};
use std::sync::{Arc, Barrier};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use crate::harness::{Client, Gate, Origin, TestCa, respond, trusting, turnstile};

const HOST: &str = "api.test";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

/// A request head in lower case.
fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap().to_ascii_lowercase()
}

/// Reads a request head, switches protocols, greets, and echoes until the end.
fn switch_and_echo(stream: &mut (impl Read + Write)) {
    let head = read_head(stream);
    for kept in ["\r\nupgrade: websocket\r\n", "\r\nconnection: upgrade\r\n", "\r\nsec-websocket-version: 13\r\n"] {
        assert!(head.contains(kept), "{head}");
    }
    // The first frame comes in the same segment as the head.
    stream.write_all(format!("{SWITCHING}hi").as_bytes()).unwrap();
    let mut chunk = [0; 1024];
    while let Ok(read @ 1..) = stream.read(&mut chunk) {
        stream.write_all(&chunk[..read]).unwrap();
    }
}

/// Switches, sending the first bytes with the request as clients do that do not wait, and is echoed.
fn converse<IO: Read + Write>(client: &mut Client<IO>, target: &str, host: &str) {
    let head = format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    client.send(head + "early");
    let answer = client.answer_to("GET");
    assert_eq!((answer.status, answer.field("upgrade")), (101, Some("websocket")));
    assert_eq!(client.exactly(7), b"hiearly");
    // Bytes that would be a refused request head if they were still looked at.
    client.send(b"\x81\x00GET / HTTP/9.9\r\n\r\n");
    assert_eq!(client.exactly(20), b"\x81\x00GET / HTTP/9.9\r\n\r\n");
}

const COLUMNS: [&str; 6] = ["kind", "outcome", "status", "path", "request_bytes", "response_bytes"];

#[test]
fn an_upgraded_connection_echoes_through_plain_http() {
    let origin = Origin::raw(|mut stream| switch_and_echo(&mut stream));
    let gate = Gate::builder().resolve(HOST).start();
    let host = format!("{HOST}:{}", origin.port());
    converse(&mut gate.client(), &format!("http://{host}/socket"), &host);
    assert_eq!(gate.row().columns(COLUMNS), ["http", "completed", "101", "/socket", "25", "27"]);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn an_upgraded_connection_echoes_through_an_intercepted_tunnel() {
    let ca = TestCa::new();
    let origin = Origin::raw_tls(ca.server(&[HOST]), switch_and_echo);
    let gate = Gate::builder().resolve(HOST).upstream_ca(&ca).start();
    let mut client = gate.secured(HOST, origin.port());
    converse(&mut client, "/socket", HOST);
    client.stream.conn.send_close_notify();
    client.send("");
    assert_eq!(gate.row().columns(COLUMNS), ["intercepted", "completed", "101", "/socket", "25", "27"]);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn an_upgrade_that_the_origin_declines_stays_http() {
    let origin = Origin::http();
    let gate = Gate::builder().resolve(HOST).start();
    let host = format!("{HOST}:{}", origin.port());
    let fields = format!("Host: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    let mut client = gate.client();
    for _ in 0..2 {
        let answer = client.ask(format!("GET http://{host}/ HTTP/1.1\r\n{fields}"));
        assert_eq!((answer.status, answer.body.as_str()), (200, "hello"));
    }
    for row in gate.rows_of(2) {
        assert_eq!(row.columns(["outcome", "status"]), ["completed", "200"]);
    }
    assert_eq!(origin.seen().len(), 2);
}

#[test]
fn an_upstream_that_switches_protocols_unasked_is_a_502() {
    let origin = Origin::raw(|mut stream| {
        read_head(&mut stream);
        stream.write_all(format!("{SWITCHING}hi").as_bytes()).unwrap();
    });
    let gate = Gate::builder().resolve(HOST).start();
    let host = format!("{HOST}:{}", origin.port());
    let answer = gate.client().ask(format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    assert_eq!((answer.status, answer.json()["reason"].as_str()), (502, Some("upstream_failed")));
    assert_eq!(gate.row().columns(["outcome", "status"]), ["upstream_failed", "502"]);
}

/// An HTTP/2 session inside an intercepted tunnel, negotiated by ALPN.
async fn http2_session(gate: &Gate, port: u16) -> SendRequest<Full<Bytes>> {
    let mut client = gate.client();
    assert_eq!(client.open(&format!("{HOST}:{port}")).status, 200);
    client.stream.set_nonblocking(true).unwrap();
    let stream = tokio::net::TcpStream::from_std(client.stream).unwrap();
    let connector = TlsConnector::from(trusting(&gate.ca_pem(), &[b"h2", b"http/1.1"]));
    let stream = connector.connect(ServerName::try_from(HOST).unwrap(), stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn ask_http2(
    mut sender: SendRequest<Full<Bytes>>,
    authority: String,
    path: String,
) -> (http::response::Parts, String) {
    let request = http::Request::post(format!("https://{authority}{path}"))
        .header("user-agent", "undici elastic (deployment:d1)")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .body(Full::new(Bytes::from(path)))
        .unwrap();
    let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
    (parts, String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap())
}

#[tokio::test]
async fn concurrent_http_2_streams_are_an_exchange_each() {
    const STREAMS: usize = 16;
    let ca = TestCa::new();
    // Nobody is answered before everybody has asked.
    let all_here = Arc::new(Barrier::new(STREAMS));
    let origin = Origin::serving(Some(ca.server(&[HOST])), move |seen, stream| {
        all_here.wait();
        stream.write_all(&respond(200, &seen.target)).is_ok()
    });
    let gate = Gate::builder().resolve(HOST).upstream_ca(&ca).start();
    let authority = format!("{HOST}:{}", origin.port());
    let sender = http2_session(&gate, origin.port()).await;
    let asked: Vec<_> = (0..STREAMS)
        .map(|number| tokio::spawn(ask_http2(sender.clone(), authority.clone(), format!("/v{number}"))))
        .collect();
    for (number, asked) in asked.into_iter().enumerate() {
        let (parts, body) = asked.await.unwrap();
        assert_eq!((parts.status.as_u16(), body), (200, format!("/v{number}")));
    }

    let rows = tokio::task::spawn_blocking(move || gate.rows_of(STREAMS)).await.unwrap();
    let columns = ["kind", "http_version", "outcome", "deployment_id", "host", "upstream_reused"];
    for row in &rows {
        assert_eq!(row.columns(columns), ["intercepted", "HTTP/2", "completed", "d1", HOST, "false"]);
    }
    assert_eq!(origin.seen().len(), STREAMS);
    for seen in origin.seen() {
        assert_eq!(String::from_utf8(seen.body.clone()).unwrap(), seen.target);
        assert_eq!((seen.field("host"), seen.field("cookie")), (Some(authority.as_str()), Some("a=1; b=2")));
    }
}

#[tokio::test]
async fn an_http_2_stream_for_another_authority_is_refused_alone() {
    let ca = TestCa::new();
    let origin = Origin::https(&ca, &[HOST]);
    let gate = Gate::builder().resolve(HOST).resolve("other.test").upstream_ca(&ca).start();
    let port = origin.port();
    let sender = http2_session(&gate, port).await;
    let (parts, body) = ask_http2(sender.clone(), format!("other.test:{port}"), "/v1".to_owned()).await;
    let explained: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((parts.status.as_u16(), explained["reason"].as_str()), (400, Some("host_mismatch")));
    let (parts, body) = ask_http2(sender, format!("{HOST}:{port}"), "/v2".to_owned()).await;
    assert_eq!((parts.status.as_u16(), body.as_str()), (200, "hello"));

    let rows = tokio::task::spawn_blocking(move || gate.rows_of(2)).await.unwrap();
    assert_eq!(
        rows[0].columns(["outcome", "deny_reason", "host", "connect_host"]),
        ["denied", "host_mismatch", "other.test", &format!("{HOST}:{port}")]
    );
    assert_eq!(rows[1].columns(["outcome", "status"]), ["completed", "200"]);
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test]
async fn a_reset_http_2_stream_is_recorded_and_the_others_go_on() {
    let ca = TestCa::new();
    let (let_through, wait) = turnstile();
    let origin = Origin::serving(Some(ca.server(&[HOST])), move |seen, stream| {
        if seen.target == "/v1" {
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nten bytes.";
            stream.write_all(head.as_bytes()).unwrap();
            stream.flush().unwrap();
            wait();
            return false;
        }
        stream.write_all(&respond(200, "hello")).is_ok()
    });
    let gate = Gate::builder().resolve(HOST).upstream_ca(&ca).start();
    let authority = format!("{HOST}:{}", origin.port());
    let mut sender = http2_session(&gate, origin.port()).await;
    let request = http::Request::get(format!("https://{authority}/v1"));
    let request = request.body(Full::default()).unwrap();
    let mut response = sender.send_request(request).await.unwrap();
    let first = response.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "ten bytes.");
    drop(response);
    let (parts, body) = ask_http2(sender, authority, "/v2".to_owned()).await;
    assert_eq!((parts.status.as_u16(), body.as_str()), (200, "hello"));
    let_through.send(()).unwrap();

    let rows = tokio::task::spawn_blocking(move || gate.rows_of(2)).await.unwrap();
    assert_eq!(rows[0].columns(["outcome", "status", "response_bytes"]), ["client_aborted", "200", "10"]);
    assert_eq!(rows[1].columns(["outcome", "upstream_reused"]), ["completed", "false"]);
}
