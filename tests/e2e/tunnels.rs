//! CONNECT: what is answered, what may come through it, and what a tunnel that is only relayed leaves behind.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

use crate::harness::{Client, DEADLINE, Gate, GateBuilder, Origin, TestCa};

const HOST: &str = "mail.test";
const TUNNEL: [&str; 6] = ["kind", "outcome", "decision", "status", "request_bytes", "response_bytes"];

/// Sends a banner, then answers each line with its length.
fn greeter() -> Origin {
    Origin::raw(|mut stream| {
        stream.write_all(b"220 mail.test ESMTP\r\n").unwrap();
        for line in BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok) {
            stream.write_all(format!("250 {}\r\n", line.len()).as_bytes()).unwrap();
        }
    })
}

/// Echoes whatever arrives.
fn echo() -> Origin {
    Origin::raw(|mut stream| {
        let mut chunk = [0; 1024];
        while let Ok(read @ 1..) = stream.read(&mut chunk) {
            stream.write_all(&chunk[..read]).unwrap();
        }
    })
}

fn tunnelling(origin: &Origin) -> GateBuilder {
    Gate::builder().resolve(HOST).flag("--tunnel-host", &format!("{HOST}:{}", origin.port()))
}

fn connect_bytes(authority: &str) -> String {
    format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n")
}

/// What arrives by a single read: all of an answer only if it was written at once.
fn read_once(client: &mut Client) -> String {
    let mut chunk = [0; 16 * 1024];
    let read = client.stream.read(&mut chunk).unwrap();
    String::from_utf8(chunk[..read].to_vec()).unwrap()
}

#[test]
fn a_server_that_speaks_first_is_heard_before_the_client_sends_anything() {
    let origin = greeter();
    let gate = tunnelling(&origin).start();
    let mut client = gate.client();
    let answer = client.open(&format!("{HOST}:{}", origin.port()));
    assert_eq!(answer.head, "HTTP/1.1 200 Connection established\r\n\r\n");
    assert_eq!(client.until(b"\r\n"), b"220 mail.test ESMTP\r\n");
    client.send("QUIT\r\n");
    assert_eq!(client.until(b"\r\n"), b"250 4\r\n");
    drop(client);

    assert_eq!(gate.row().columns(TUNNEL), ["tunnel", "completed", "would_deny", "200", "6", "28"]);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn bytes_sent_with_the_connect_reach_the_tunnels_server() {
    let origin = echo();
    let gate = tunnelling(&origin).allow(HOST).start();
    let mut client = gate.client();
    client.send(connect_bytes(&format!("{HOST}:{}", origin.port())) + "early");
    assert_eq!(client.answer_to("CONNECT").status, 200);
    assert_eq!(client.exactly(5), b"early");
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.rest(), b"");

    let row = gate.row();
    assert_eq!(row.columns(TUNNEL), ["tunnel", "completed", "allow", "200", "5", "5"]);
    assert_eq!(
        row.columns(["upstream_ip", "upstream_reused", "policy_rule"]),
        ["127.0.0.1", "false", "flag:--allow-host"]
    );
}

#[test]
fn a_relayed_tls_session_is_untouched_and_its_row_has_bytes_and_time_but_no_server_name() {
    let ca = TestCa::new();
    let origin = Origin::https(&ca, &[HOST]);
    let gate = tunnelling(&origin).allow(HOST).start();
    let mut tunnel = gate.client();
    assert_eq!(tunnel.open(&format!("{HOST}:{}", origin.port())).status, 200);
    // It trusts the origin's CA alone: what answers is the origin itself.
    let pem = gate.dir.path().join("origin-ca.pem");
    ca.write_pem(&pem);
    let mut client = tunnel.secure(&pem, HOST).unwrap();
    let body = "x".repeat(20_000);
    let length = body.len();
    let answer = client.ask(format!("POST /in HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {length}\r\n\r\n{body}"));
    assert_eq!(answer.body, "hello");
    drop(client);

    let row = gate.row();
    assert_eq!(row.columns(["kind", "outcome", "decision", "sni"]), ["tunnel", "completed", "allow", ""]);
    assert_eq!(row.columns(["path", "url_fingerprint", "tls_version", "upstream_cert_sha256"]), ["", "", "", ""]);
    let number = |column: &str| row.get(column).parse::<usize>().unwrap();
    assert!((20_000..25_000).contains(&number("request_bytes")), "{row:?}");
    assert!((500..5_000).contains(&number("response_bytes")), "certificate and answer: {row:?}");
    assert!(number("duration_us") > 0 && number("connect_us") > 0, "{row:?}");
}

#[test]
fn a_denied_tunnel_is_refused_at_its_connect_in_one_write() {
    let origin = greeter();
    let gate = tunnelling(&origin).allow("elsewhere.test").start();
    let mut client = gate.client();
    client.send(connect_bytes(&format!("{HOST}:{}", origin.port())));
    let answer = read_once(&mut client);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{head}");
    let explained: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(explained["reason"], "host_not_allowed");
    assert_eq!(client.rest(), b"", "closed after the answer");

    let row = gate.row();
    assert_eq!(explained["event_id"], row.get("event_id").as_str());
    assert_eq!(row.columns(TUNNEL), ["tunnel", "denied", "deny", "403", "0", "0"]);
    assert_eq!(row.columns(["deny_reason", "dns_us", "upstream_ip"]), ["host_not_allowed", "", ""]);
    gate.assert_untouched(&origin);
}

#[test]
fn mail_ports_are_tunnels_without_being_configured() {
    let gate = Gate::builder().resolve(HOST).allow("elsewhere.test").start();
    for port in ["25", "465", "587", "2525"] {
        // Only a tunnel is refused at its CONNECT: an intercepted destination is refused inside.
        assert_eq!(gate.client().open(&format!("{HOST}:{port}")).status, 403);
    }
    for (row, port) in gate.rows_of(4).iter().zip(["25", "465", "587", "2525"]) {
        assert_eq!(row.columns(["kind", "port", "deny_reason"]), ["tunnel", port, "host_not_allowed"]);
    }
}

#[test]
fn a_tunnel_to_a_dead_port_is_a_502_at_its_connect() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let gate = Gate::builder().resolve(HOST).flag("--tunnel-host", HOST).start();
    let mut client = gate.client();
    let answer = client.open(&format!("{HOST}:{port}"));
    assert_eq!((answer.status, answer.json()["reason"].as_str()), (502, Some("upstream_failed")));
    assert_eq!(client.rest(), b"", "closed after the answer");
    let row = gate.row();
    assert_eq!(row.columns(TUNNEL), ["tunnel", "upstream_failed", "would_deny", "502", "0", "0"]);
    assert!(row.get("error").contains("refused"), "{row:?}");
}

#[test]
fn an_unknown_protocol_is_relayed_and_noted_when_observing() {
    let origin = echo();
    let gate = Gate::builder().resolve(HOST).start();
    let mut client = gate.client();
    assert_eq!(client.open(&format!("{HOST}:{}", origin.port())).status, 200);
    client.send("SSH-2.0-client\r\n");
    assert_eq!(client.exactly(16), b"SSH-2.0-client\r\n");
    drop(client);
    let row = gate.row();
    assert_eq!(row.columns(TUNNEL), ["tunnel", "completed", "would_deny", "200", "16", "16"]);
    assert_eq!(row.get("deny_reason"), "unknown_protocol");
}

#[test]
fn an_unknown_protocol_is_closed_and_recorded_when_enforcing() {
    let origin = echo();
    let gate = Gate::builder().resolve(HOST).allow(HOST).start();
    let mut client = gate.client();
    assert_eq!(client.open(&format!("{HOST}:{}", origin.port())).status, 200);
    client.send("SSH-2.0-client\r\n");
    assert_eq!(client.rest(), b"");
    let row = gate.row();
    assert_eq!(
        row.columns(["kind", "outcome", "decision", "deny_reason", "status"]),
        ["tunnel", "denied", "deny", "unknown_protocol", ""]
    );
    gate.assert_untouched(&origin);
}

const TWO_DEPLOYMENTS: &str = "
policy:
  mode: enforce
  rules:
    - name: mail-api
      hosts: [mail.test]
      for: { deployments: [d1] }
";

fn get_as(deployment: &str, port: u16) -> String {
    let agent = format!("undici elastic (deployment:{deployment})");
    format!("GET /inbox HTTP/1.1\r\nHost: {HOST}:{port}\r\nUser-Agent: {agent}\r\n\r\n")
}

#[test]
fn plain_http_inside_a_connect_is_judged_request_by_request() {
    let origin = Origin::http();
    let gate = Gate::builder().resolve(HOST).config(TWO_DEPLOYMENTS).start();
    let authority = format!("{HOST}:{}", origin.port());
    let mut client = gate.client();
    assert_eq!(client.open(&authority).status, 200);
    assert_eq!(client.ask(get_as("d1", origin.port())).body, "hello");
    let refused = client.ask(get_as("d2", origin.port()));
    assert_eq!((refused.status, refused.json()["deployment"].as_str()), (403, Some("d2")));
    assert_eq!(client.ask(get_as("d1", origin.port())).body, "hello");

    let rows = gate.rows_of(3);
    let columns = ["kind", "outcome", "deployment_id", "decision", "deny_reason", "policy_rule"];
    let relayed = ["http", "completed", "d1", "allow", "", "mail-api"];
    assert_eq!(rows[0].columns(columns), relayed);
    assert_eq!(rows[1].columns(columns), ["http", "denied", "d2", "deny", "subject_not_allowed", "mail-api"]);
    assert_eq!(rows[1].columns(["connect_host", "status"]), [authority.as_str(), "403"]);
    assert_eq!(rows[2].columns(columns), relayed);
    assert_eq!(origin.seen().len(), 2);
}

#[test]
fn a_denied_host_is_refused_inside_its_tunnel_where_the_caller_is_known() {
    let ca = TestCa::new();
    let origin = Origin::https(&ca, &[HOST]);
    let gate = Gate::builder().resolve(HOST).upstream_ca(&ca).config(TWO_DEPLOYMENTS).start();
    let mut client = gate.secured(HOST, origin.port());
    let refused = client.ask(get_as("d2", origin.port()));
    let explained = refused.json();
    assert_eq!((refused.status, explained["deployment"].as_str()), (403, Some("d2")));
    assert_eq!((refused.field("content-type"), refused.field("connection")), (Some("application/json"), None));

    let row = gate.row();
    assert_eq!(explained["event_id"], row.get("event_id").as_str());
    assert_eq!(
        row.columns(["kind", "outcome", "deny_reason", "deployment_id", "id_assurance", "sni"]),
        ["intercepted", "denied", "subject_not_allowed", "d2", "claimed", HOST]
    );
    assert_eq!(row.columns(["dns_us", "upstream_ip"]), ["", ""], "nothing was resolved or dialled");
    gate.assert_untouched(&origin);
}

#[test]
fn a_client_that_sends_nothing_through_its_tunnel_is_cut_off() {
    let gate = Gate::builder().config("limits:\n  connect_wait_s: 1\n").start();
    let mut client = gate.client();
    assert_eq!(client.open("silent.test:443").status, 200);
    assert_eq!(client.rest(), b"");
    let row = gate.row();
    assert_eq!(row.columns(["kind", "outcome", "host", "upstream_ip"]), ["connect", "timed_out", "silent.test", ""]);
    assert!(row.get("error").contains("tunnel_hosts"), "the row names the remedy: {row:?}");
}

#[test]
fn a_client_that_closes_its_tunnel_unused_leaves_a_row() {
    let gate = Gate::builder().start();
    let mut client = gate.client();
    assert_eq!(client.open("unused.test:443").status, 200);
    drop(client);
    let row = gate.row();
    assert_eq!(row.columns(["kind", "outcome", "host"]), ["connect", "client_aborted", "unused.test"]);
}

#[test]
fn a_client_that_closes_a_relayed_tunnel_closes_it_upstream() {
    let (ended, upstream_end) = std::sync::mpsc::channel();
    let origin = Origin::raw(move |mut stream| ended.send(stream.read(&mut [0; 8]).unwrap_or(0)).unwrap());
    let gate = tunnelling(&origin).start();
    let mut client = gate.client();
    assert_eq!(client.open(&format!("{HOST}:{}", origin.port())).status, 200);
    drop(client);
    assert_eq!(upstream_end.recv_timeout(DEADLINE), Ok(0));
    assert_eq!(gate.row().columns(TUNNEL), ["tunnel", "completed", "would_deny", "200", "0", "0"]);
}

/// A listener on loopback that completes no further connection: its queue is full.
struct Unresponsive {
    listener: socket2::Socket,
    _queued: Vec<socket2::Socket>,
}

impl Unresponsive {
    fn new() -> Self {
        let socket = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let listener = socket();
        listener.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let queued = (0..4).map(|_| {
            let filling = socket();
            filling.set_nonblocking(true).unwrap();
            // In progress, or refused a place: both is what is wanted.
            let _ = filling.connect(&address);
            filling
        });
        Self { _queued: queued.collect(), listener }
    }

    fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().as_socket().unwrap().port()
    }
}

#[test]
fn a_destination_that_never_answers_is_504_within_the_dial_deadline() {
    let destination = Unresponsive::new();
    let gate = Gate::builder()
        .config("limits: { dial_timeout_s: 1, dns_timeout_s: 1 }\n")
        .flag("--tunnel-host", HOST)
        .resolve(HOST)
        .start();
    let authority = format!("{HOST}:{}", destination.port());
    let began = std::time::Instant::now();
    let refused = gate.client().open(&authority);
    assert_eq!((refused.status, refused.json()["reason"].as_str()), (504, Some("timed_out")));
    let request = format!("GET http://{authority}/ HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    assert_eq!(gate.client().ask(request).status, 504);
    assert!(began.elapsed() < DEADLINE, "the deadline was not kept");
    for row in gate.rows_of(2) {
        assert_eq!(
            row.columns(["outcome", "status", "decision", "upstream_ip"]),
            ["timed_out", "504", "would_deny", ""]
        );
        assert!(row.get("error").contains("limits.dial_timeout_s"), "{row:?}");
    }
}
