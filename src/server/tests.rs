//! The whole proxy on one thread, and a clock that the test moves: silences that last minutes.
#![expect(clippy::disallowed_methods, reason = "the client of a test opens a connection of its own")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::SystemTime;

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use super::*;
use crate::config::Overrides;
use crate::record::OutcomeKind;
use crate::search::{self, Query};

const HOST: &str = "mcp.test";
/// Kibana's MCP client gives a silent stream up after 10 minutes.
const SURVIVED: Duration = Duration::from_secs(11 * 60);
/// `limits.idle_timeout_s` is 900 by default.
const TOO_LONG: Duration = Duration::from_secs(15 * 60 + 1);
/// How long the parts that are not silence may take.
const DEADLINE: Duration = Duration::from_secs(20);

const FIRST: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n\
                     9\r\ndata: 1\n\n\r\n";
const SECOND: &str = "9\r\ndata: 2\n\n\r\n0\r\n\r\n";

/// A server that sends its second event when it is told to.
fn event_source() -> (u16, Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (let_through, told) = channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        until(&mut stream, "\r\n\r\n");
        stream.write_all(FIRST.as_bytes()).unwrap();
        // Not told: the test is over.
        if told.recv().is_ok() {
            stream.write_all(SECOND.as_bytes()).unwrap();
        }
    });
    (port, let_through)
}

/// Reads until `end` was read, or the connection ends; all that was read.
fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    while !text.ends_with(end.as_bytes()) && stream.read(&mut byte).unwrap() == 1 {
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap()
}

/// Asks for the stream as the `.mcp` connector does, inside a CONNECT, and reads up to the first event.
fn ask(gate: SocketAddr, port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(gate).unwrap();
    write!(stream, "CONNECT {HOST}:{port} HTTP/1.1\r\nHost: {HOST}:{port}\r\n\r\n").unwrap();
    assert!(until(&mut stream, "\r\n\r\n").starts_with("HTTP/1.1 200 "));
    write!(stream, "GET /mcp HTTP/1.1\r\nHost: {HOST}:{port}\r\nAccept: text/event-stream\r\n\r\n").unwrap();
    assert!(until(&mut stream, "data: 1\n\n\r\n").ends_with("data: 1\n\n\r\n"));
    stream
}

/// Moves the clock at once, and lets everything that this wakes run.
async fn pass(silence: Duration) {
    tokio::time::pause();
    tokio::time::advance(silence).await;
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    tokio::time::resume();
}

/// Outcome, bytes of the response and error of the only row, once it is there.
async fn row(data_dir: &Path) -> (OutcomeKind, i64, Option<String>) {
    let asked = tokio::time::Instant::now();
    loop {
        let found = search::run(data_dir, &Query { limit: 10, ..Query::default() }).unwrap();
        if let [row] = found.rows.as_slice() {
            return (row.outcome.outcome, row.outcome.response_bytes, row.outcome.error.clone());
        }
        assert!(asked.elapsed() < DEADLINE && found.rows.is_empty(), "{:?}", found.rows);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A stream through a gate with default limits that is silent for this long: what the client read after the first event,
/// and its row.
async fn silent_stream(silence: Duration, tunnel: bool) -> (String, (OutcomeKind, i64, Option<String>)) {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| Some(dir.path().join(name));
    let overrides = Overrides {
        listen: vec!["127.0.0.1:0".to_owned()],
        data_dir: path("data"),
        ca_cert: path("ca.pem"),
        ca_key: path("ca.key"),
        allow_host: vec![HOST.to_owned()],
        tunnel_host: if tunnel { vec![HOST.to_owned()] } else { Vec::new() },
        allow_address: vec!["127.0.0.1/32".to_owned()],
        resolve: vec![format!("{HOST}=127.0.0.1")],
        ..Overrides::default()
    };
    let config = Config::load(None, &overrides).unwrap();
    let data_dir = config.data_dir.root().to_owned();
    let authority = Authority::load_or_create(&config.interception.authority, SystemTime::now()).unwrap();
    let evidence = Evidence::open(&config).unwrap();
    let (announce, listening) = oneshot::channel();
    let (port, let_through) = event_source();
    let (policy, connectors) = (Arc::clone(&config.policy), Arc::clone(&config.connectors));
    let maintenance = config.audit.maintenance.clone();
    let reload: Reload = Arc::new(move || {
        Ok(Reloaded {
            policy: Arc::clone(&policy),
            connectors: Arc::clone(&connectors),
            maintenance: maintenance.clone(),
        })
    });
    let serving = serve(config, authority, reload, &evidence, |bound| announce.send(bound.listeners[0]).unwrap());
    let talking = async {
        let gate = listening.await.unwrap();
        let mut client = spawn_blocking(move || ask(gate, port)).await.unwrap();
        pass(silence).await;
        // When the gate has given up, nobody listens.
        let _ = let_through.send(());
        let rest = spawn_blocking(move || until(&mut client, "0\r\n\r\n")).await.unwrap();
        (rest, row(&data_dir).await)
    };
    tokio::select! {
        ended = serving => panic!("the gate stopped: {ended:?}"),
        seen = talking => seen,
    }
}

#[tokio::test]
async fn a_silent_event_stream_survives_eleven_minutes() {
    let (rest, row) = silent_stream(SURVIVED, false).await;
    assert_eq!(rest, SECOND);
    assert_eq!(row, (OutcomeKind::Completed, 18, None));
}

#[tokio::test]
async fn a_silent_tunnel_survives_eleven_minutes() {
    let (rest, (outcome, bytes, error)) = silent_stream(SURVIVED, true).await;
    assert_eq!(rest, SECOND);
    let all = (FIRST.len() + SECOND.len()) as i64;
    assert_eq!((outcome, bytes, error), (OutcomeKind::Completed, all, None));
}

#[tokio::test]
async fn an_event_stream_that_is_silent_beyond_the_limit_ends_and_its_row_says_so() {
    let (rest, (outcome, bytes, error)) = silent_stream(TOO_LONG, false).await;
    assert_eq!(rest, "");
    assert_eq!((outcome, bytes), (OutcomeKind::TimedOut, 9));
    assert_eq!(error.as_deref(), Some("nothing arrived from the upstream for 900s (limits.idle_timeout_s)"));
}
