//! The row names the connector, and the secret in its URL is nowhere on disk.

use std::fs;
use std::path::Path;

use crate::harness::{Gate, Origin, TestCa};

const SECRET: &str = "cAnArY7f3a5cf4fc78981d801d2b8af6a";

/// Whether any file below a directory holds the text.
fn is_stored(dir: &Path, text: &str) -> bool {
    fs::read_dir(dir).unwrap().flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return is_stored(&path, text);
        }
        let bytes = fs::read(&path).unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

fn post(target: &str, host: &str, field: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: {host}\r\n{field}Content-Length: 2\r\n\r\n{{}}")
}

#[test]
fn a_slack_webhook_is_named_and_its_secret_is_not_stored() {
    let ca = TestCa::new();
    let origin = Origin::https(&ca, &["hooks.slack.com"]);
    let gate = Gate::builder().upstream_ca(&ca).allow("hooks.slack.com").resolve("hooks.slack.com").start();
    let authority = format!("hooks.slack.com:{}", origin.port());
    let target = format!("/services/T024BE7LD/B024BE7LD/{SECRET}");

    let answer = gate.secured("hooks.slack.com", origin.port()).ask(post(&target, &authority, ""));
    assert_eq!(answer.status, 200);
    assert_eq!(origin.seen()[0].target, target);

    let row = gate.row();
    assert_eq!(
        row.columns(["kind", "connector_type", "connector_source", "path", "outcome"]),
        ["intercepted", ".slack", "host_path", "/services/{team}/{bot}/{secret}", "completed"]
    );
    assert!(!is_stored(gate.dir.path(), SECRET) && !gate.log().contains(SECRET));
}

#[test]
fn a_pagerduty_call_on_a_host_of_ones_own_is_told_by_path_and_header() {
    let origin = Origin::http();
    let gate = Gate::builder().allow("pager.test").resolve("pager.test").start();
    let authority = format!("pager.test:{}", origin.port());
    let target = format!("http://{authority}/v2/enqueue");
    for (field, expected) in [
        (format!("X-Routing-Key: {SECRET}\r\n"), [".pagerduty", "path_header", "/v2/enqueue"]),
        (String::new(), ["", "", "/v2/enqueue"]),
    ] {
        let before = gate.rows().len();
        assert_eq!(gate.client().ask(post(&target, &authority, &field)).status, 200);
        let rows = gate.rows_of(before + 1);
        assert_eq!(rows[before].columns(["connector_type", "connector_source", "path"]), expected);
    }
    assert_eq!(origin.seen()[0].field("x-routing-key"), Some(SECRET));
    assert!(!is_stored(gate.dir.path(), SECRET) && !gate.log().contains(SECRET));
}

#[test]
fn a_refused_call_is_named_too_and_an_own_entry_names_what_the_catalogue_cannot() {
    let builder = Gate::builder().allow("other.test");
    let own = "connectors: [{ id: .nybble, hosts: [hub.test], endpoints: ['POST /conn/{secret:secret}'] }]\n";
    let gate = builder.file("own.yml", own).config("connectors_file: own.yml\n").start();
    let answer = gate.client().ask(post(&format!("http://hub.test/conn/{SECRET}"), "hub.test", ""));
    assert_eq!(answer.status, 403);
    assert_eq!(
        gate.row().columns(["decision", "connector_type", "connector_source", "path"]),
        ["deny", ".nybble", "host_path", "/conn/{secret}"]
    );
    assert!(!is_stored(&gate.data_dir(), SECRET));
}
