//! A leaked URL: whether it was used, by whom, when and how often, without it being written anywhere.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::json;

use crate::harness::{Gate, Origin, TestCa};

const HOST: &str = "hooks.test";
const SECRET: &str = "/services/T024BE7LD/B024BE7LD/zq7Yw0canaryXk3f";

fn tollgate(args: &[&str], data_dir: &Path, stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(args)
        .arg("--data-dir")
        .arg(data_dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses does not read on.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

/// Exit code, stdout and stderr; none of them has the secret.
fn look_up(gate: &Gate, flags: &[&str], urls: &str) -> (Option<i32>, String, String) {
    let output = tollgate(&[&["records", "--url-stdin"], flags].concat(), &gate.data_dir(), urls);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert!(!format!("{stdout}{stderr}").contains("canary"), "{stdout}{stderr}");
    (output.status.code(), stdout, stderr)
}

fn call(gate: &Gate, origin: &Origin, target: &str, deployment: &str) {
    let agent = format!("axios/1.7.2 elastic (deployment:{deployment})");
    let request = format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: {agent}\r\n\r\n");
    assert_eq!(gate.secured(HOST, origin.port()).ask(request).status, 200);
}

#[test]
fn a_leaked_url_is_found_with_its_callers_before_and_after_the_key_was_rotated() {
    let ca = TestCa::new();
    let origin = Origin::https(&ca, &[HOST]);
    let mut gate = Gate::builder().resolve(HOST).upstream_ca(&ca).start();
    let port = origin.port();
    call(&gate, &origin, SECRET, "d1");
    call(&gate, &origin, SECRET, "d1");
    call(&gate, &origin, "/services/other", "d3");
    assert_eq!(gate.stop(), Some(0));
    let rotated = tollgate(&["fingerprint-key", "rotate"], &gate.data_dir(), "");
    assert!(rotated.status.success(), "{rotated:?}");
    gate.spawn();
    call(&gate, &origin, SECRET, "d2");
    gate.rows_of(4);

    let urls = format!("HTTPS://{}:{port}{SECRET}#x\nhttps://{HOST}:{port}/never/canary\n", HOST.to_uppercase());
    let (code, said, _) = look_up(&gate, &[], &urls);
    assert_eq!(code, Some(0));
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("URL 1: 3 calls, first 20") && lines[0].ends_with(" (UTC)"), "{said}");
    assert_eq!(lines[1..5], ["       2  deployment:d1", "       1  deployment:d2", "URL 2: no call is recorded", ""]);
    assert_eq!(lines.len(), 5 + 1 + 3, "the heading and three rows: {said}");

    let (code, said, _) = look_up(&gate, &["--json", "--deployment", "d1", "--limit", "1"], &urls);
    assert_eq!((code, said.lines().count()), (Some(0), 1));
    let row: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!([&row["url"], &row["deployment_id"], &row["host"]], [&json!(1), &json!("d1"), &json!(HOST)]);
    assert_eq!(row["path"].as_str().map(|path| path.matches("{redacted}").count()), Some(3));
}

#[test]
fn what_cannot_be_looked_up_is_an_error_that_repeats_nothing() {
    let gate = Gate::builder().start();
    let (code, said, complaint) = look_up(&gate, &[], "htps://hooks.test/canary\n");
    assert_eq!((code, said.as_str()), (Some(64), ""));
    assert!(complaint.contains("stdin, line 1: the scheme is neither https nor http"), "{complaint}");
    let (code, _, complaint) = look_up(&gate, &[], "\n");
    assert_eq!(code, Some(64), "{complaint}");
    let (code, _, complaint) = look_up(&gate, &["--fingerprint-key", "/nonexistent"], "https://hooks.test/canary");
    assert_eq!(code, Some(74), "{complaint}");
    assert!(complaint.contains("/nonexistent: there is no fingerprint key"), "{complaint}");
}
