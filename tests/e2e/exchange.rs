//! One call, passed or refused: what each side sees and what the row says.

use std::fs;
use std::path::Path;

use crate::harness::{Client, Gate, Origin, Row, TestCa};

const DEPLOYMENT_UA: &str = "axios/1.7.2 elastic (deployment:0763c7f3a5cf4fc78981d801d2b8af6a)";

fn post(target: &str, host: &str, body: &str) -> String {
    format!(
        "POST {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {DEPLOYMENT_UA}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn an_http_call_passes_and_its_row_is_complete() {
    let origin = Origin::http();
    let gate = Gate::builder().allow("hub.test").resolve("hub.test").start();
    let authority = format!("hub.test:{}", origin.port());

    let answer = gate.client().ask(post(&format!("http://{authority}/conn/elastic?x=1"), &authority, "{\"alert\":1}"));
    assert_eq!((answer.status, answer.body.as_str()), (200, "hello"));

    let seen = origin.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].method.as_str(), seen[0].target.as_str()), ("POST", "/conn/elastic?x=1"));
    assert_eq!(seen[0].body, b"{\"alert\":1}");
    assert_eq!(seen[0].field("host"), Some(authority.as_str()));
    assert_eq!(seen[0].field("user-agent"), Some(DEPLOYMENT_UA));

    assert_complete(&gate.row(), &authority, &origin.port().to_string());
}

/// Every column that applies to a plain call.
fn assert_complete(row: &Row, authority: &str, port: &str) {
    assert_eq!(
        row.columns(["kind", "scheme", "method", "host", "port", "host_header", "path", "query", "http_version"]),
        ["http", "http", "POST", "hub.test", port, authority, "/conn/elastic", "x={redacted}", "HTTP/1.1"]
    );
    assert_eq!(
        row.columns(["deployment_id", "project_id", "id_assurance", "user_agent_product", "client_ip"]),
        ["0763c7f3a5cf4fc78981d801d2b8af6a", "", "claimed", "axios/1.7.2", "127.0.0.1"]
    );
    assert_eq!(
        row.columns(["decision", "policy_rule", "deny_reason", "status", "outcome", "error"]),
        ["allow", "flag:--allow-host", "", "200", "completed", ""]
    );
    assert_eq!(
        row.columns(["request_bytes", "response_bytes", "request_content_type", "response_content_type"]),
        ["11", "5", "application/json", "text/plain"]
    );
    assert_eq!(row.columns(["upstream_ip", "upstream_port", "upstream_reused"]), ["127.0.0.1", port, "false"]);
    for column in ["policy_hash", "url_fingerprint"] {
        assert_eq!(row.get(column).len(), 64, "{column}");
    }
    for column in ["seq", "dns_us", "connect_us", "first_byte_us", "audit_wait_us", "duration_us", "client_port"] {
        assert!(row.get(column).parse::<u64>().is_ok(), "{column} is {:?}", row.get(column));
    }
}

#[test]
fn an_https_call_is_intercepted_and_its_row_names_both_sessions() {
    let ca = TestCa::new();
    let origin = Origin::https(&ca, &["hooks.test"]);
    let gate = Gate::builder().allow("hooks.test").resolve("hooks.test").upstream_ca(&ca).start();
    let authority = format!("hooks.test:{}", origin.port());

    let mut client = gate.client();
    let opened = client.open(&authority);
    assert_eq!(opened.head, "HTTP/1.1 200 Connection established\r\n\r\n");
    let mut client = client.secure(&gate.ca_pem(), "hooks.test").unwrap();
    let answer = client.ask(post("/services/T024BE7LD/B024BE7LD/xyzSecret42", &authority, "{}"));
    assert_eq!((answer.status, answer.body.as_str()), (200, "hello"));
    assert_eq!(origin.seen()[0].target, "/services/T024BE7LD/B024BE7LD/xyzSecret42");

    let row = gate.row();
    assert_eq!(
        row.columns(["kind", "scheme", "method", "host", "connect_host", "sni", "path"]),
        [
            "intercepted",
            "https",
            "POST",
            "hooks.test",
            &authority,
            "hooks.test",
            "/services/{redacted}/{redacted}/{redacted}"
        ]
    );
    assert_eq!(
        row.columns(["decision", "outcome", "status", "tls_version", "upstream_reused"]),
        ["allow", "completed", "200", "TLSv1.3", "false"]
    );
    assert_eq!(row.get("upstream_cert_sha256").len(), 64);
    assert!(row.get("tls_cipher").starts_with("TLS13_"), "{}", row.get("tls_cipher"));
}

#[test]
fn what_a_signature_covers_is_forwarded_byte_for_byte() {
    let ca = TestCa::new();
    let origin = Origin::https(&ca, &["bedrock.test"]);
    let gate = Gate::builder().allow("bedrock.test").resolve("bedrock.test").upstream_ca(&ca).start();
    let authority = format!("bedrock.test:{}", origin.port());
    let mut client = gate.client();
    client.open(&authority);
    let mut client = client.secure(&gate.ca_pem(), "bedrock.test").unwrap();

    let target = "/model/anthropic.claude-v1%3A0/../a//b/invoke?X=%2f&&y=a+b&empty=&%7e";
    let request = format!(
        "POST {target} HTTP/1.1\r\nhOsT: {authority}\r\nX-Amz-Date: 20260101T000000Z\r\nauthorization: AWS4-HMAC-SHA256 x\r\n\
         X-Twice: 1\r\nX-Twice: 2\r\nAccept-Encoding: gzip, compress, deflate, br\r\nContent-Length: 4\r\n\r\nbody"
    );
    assert_eq!(client.ask(request).status, 200);
    let seen = &origin.seen()[0];
    assert_eq!(seen.target, target);
    let mut fields = seen.fields.clone();
    fields.sort();
    assert_eq!(
        fields,
        [
            "Accept-Encoding: gzip, compress, deflate, br",
            "Content-Length: 4",
            "X-Amz-Date: 20260101T000000Z",
            "X-Twice: 1",
            "X-Twice: 2",
            "authorization: AWS4-HMAC-SHA256 x",
            format!("hOsT: {authority}").as_str(),
        ]
    );
}

#[test]
fn a_refused_name_is_neither_resolved_nor_dialled_and_the_answer_explains() {
    let origin = Origin::http();
    let gate = Gate::builder().allow("hub.test").resolve("evil.test").start();
    let authority = format!("evil.test:{}", origin.port());

    let answer = gate.client().ask(post(&format!("http://{authority}/"), &authority, "{}"));
    assert_eq!(answer.status, 403);
    assert_eq!(answer.field("content-type"), Some("application/json"));
    let explanation = answer.json();
    assert_eq!(explanation["reason"], "host_not_allowed");
    assert_eq!(explanation["deployment"], "0763c7f3a5cf4fc78981d801d2b8af6a");
    let message = explanation["message"].as_str().unwrap();
    assert!(message.contains(&authority) && message.contains("no policy rule allows"), "{message}");
    assert!(explanation["remedy"].as_str().unwrap().contains("evil.test"), "{explanation}");

    let row = gate.row();
    assert_eq!(explanation["event_id"], row.get("event_id"));
    assert_eq!(
        row.columns(["decision", "deny_reason", "status", "outcome", "dns_us", "upstream_ip", "deployment_id"]),
        ["deny", "host_not_allowed", "403", "denied", "", "", "0763c7f3a5cf4fc78981d801d2b8af6a"]
    );
    gate.assert_untouched(&origin);
}

#[test]
fn observing_refuses_nothing_and_records_what_would_be_refused() {
    let origin = Origin::http();
    let gate = Gate::builder().resolve("any.test").start();
    let authority = format!("any.test:{}", origin.port());
    assert_eq!(gate.client().ask(post(&format!("http://{authority}/"), &authority, "{}")).status, 200);
    assert_eq!(
        gate.row().columns(["decision", "deny_reason", "outcome", "status"]),
        ["would_deny", "host_not_allowed", "completed", "200"]
    );
}

#[test]
fn a_name_that_does_not_resolve_is_the_upstreams_failure() {
    let gate = Gate::builder().start();
    let answer = gate.client().ask(post("http://does-not-exist.invalid/", "does-not-exist.invalid", "{}"));
    assert_eq!(answer.status, 502);
    let row = gate.row();
    assert_eq!(row.columns(["outcome", "status", "decision"]), ["upstream_failed", "502", "would_deny"]);
    assert!(row.get("error").contains("could not be resolved"), "{}", row.get("error"));
}

#[test]
fn a_closed_port_is_the_upstreams_failure() {
    let gate = Gate::builder().allow("down.test").resolve("down.test").start();
    let answer = gate.client().ask(post("http://down.test:1/", "down.test:1", "{}"));
    assert_eq!(answer.status, 502);
    assert!(answer.json()["message"].as_str().unwrap().contains("Connection refused"), "{answer:?}");
    assert_eq!(
        gate.row().columns(["outcome", "status", "decision", "upstream_ip"]),
        ["upstream_failed", "502", "allow", ""]
    );
}

#[test]
fn secrets_reach_no_file_and_no_log() {
    let origin = Origin::http();
    let mut gate = Gate::builder().allow("hooks.test").resolve("hooks.test").start();
    let authority = format!("hooks.test:{}", origin.port());
    let secrets = ["pAthSecret0123456789", "queryS3cret", "bearerS3cret", "bodyS3cret", "userInfoS3cret"];
    let request = format!(
        "POST http://{authority}/services/T0/{}?token={} HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Bearer {}\r\n\
         Proxy-Authorization: Basic {}\r\nContent-Length: 10\r\n\r\n{}",
        secrets[0], secrets[1], secrets[2], secrets[4], secrets[3]
    );
    assert_eq!(gate.client().ask(request).status, 200);
    let refused = format!("GET http://user:{}@{authority}/ HTTP/1.1\r\nHost: {authority}\r\n\r\n", secrets[4]);
    assert_eq!(gate.client().ask(refused).status, 400);
    gate.rows_of(2);
    let unsealed = everything_below(&gate.data_dir());
    assert_eq!(gate.stop(), Some(0));
    let sealed = everything_below(&gate.data_dir());
    for secret in secrets {
        for (place, bytes) in unsealed.iter().chain(&sealed) {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in {place}");
        }
        assert!(!gate.log().contains(secret), "{secret} is in the log");
    }
    assert_eq!(origin.seen()[0].field("proxy-authorization"), None);
    assert_eq!(origin.seen()[0].field("authorization"), Some("Bearer bearerS3cret"));
}

fn everything_below(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(everything_below(&path));
        } else {
            files.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    files
}

#[test]
fn a_connection_that_says_nothing_leaves_a_row() {
    let gate = Gate::builder().start();
    drop(Client::connect(gate.address()));
    let row = gate.row();
    assert_eq!(row.columns(["kind", "outcome", "decision", "method"]), ["connect", "client_aborted", "", ""]);
    assert_eq!(row.get("error"), "closed before a request");
}
