//! The row names the connector, and the secret in its URL is nowhere on disk.

use rustix::process::Signal;

use crate::harness::{Client, Gate, Origin, TestCa, eventually};
use crate::secrets::is_stored;

const SECRET: &str = "cAnArY7f3a5cf4fc78981d801d2b8af6a";

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

/// A configuration with an own connector at this origin and one rule that allows it by name.
fn own_connector(port: u16) -> (String, &'static str) {
    let own =
        format!("connectors: [{{ id: .own, hosts: ['hub.test:{port}'], endpoints: ['POST /a/{{x:secret}}'] }}]\n");
    (own, "connectors_file: own.yml\npolicy: { mode: enforce, rules: [{ name: r, connectors: [.own] }] }\n")
}

#[test]
fn a_rule_allows_a_connectors_hosts_by_its_name_and_the_verdict_names_both() {
    let (origin, other) = (Origin::http(), Origin::http());
    let (own, config) = own_connector(origin.port());
    let gate = Gate::builder().file("own.yml", &own).config(config).resolve("hub.test").start();
    let ask = |port: u16| {
        let authority = format!("hub.test:{port}");
        gate.client().ask(post(&format!("http://{authority}/a/b"), &authority, "")).status
    };
    assert_eq!((ask(origin.port()), ask(other.port())), (200, 403));
    gate.assert_untouched(&other);
    let rows = gate.rows_of(2);
    assert_eq!(rows[0].columns(["decision", "policy_rule", "connector_type"]), ["allow", "r (.own)", ".own"]);
    assert_eq!(rows[1].columns(["decision", "policy_rule", "deny_reason"]), ["deny", "", "host_not_allowed"]);
}

#[test]
fn connectors_are_reloaded_with_the_policy_or_not_at_all() {
    let origin = Origin::http();
    let (own, config) = own_connector(origin.port());
    let gate = Gate::builder().file("own.yml", &own).config(config).resolve("hub.test").start();
    let authority = format!("hub.test:{}", origin.port());
    let ask = |path: &str| gate.client().ask(post(&format!("http://{authority}{path}"), &authority, "")).status;
    assert_eq!(ask("/a/b"), 200);

    let write = |text: &str| std::fs::write(gate.dir.path().join("own.yml"), text).unwrap();
    write("connectors: [{ id: .own, hosts: [Hub.Test] }]\n");
    gate.signal(Signal::HUP);
    eventually("the bad catalogue is refused", || gate.log().contains("policy not reloaded").then_some(()));
    assert!(gate.log().contains("write \"hub.test\""), "the remedy is missing: {}", gate.log());
    assert_eq!(ask("/a/b"), 200);

    write(&own.replace("/a/{x:secret}", "/c/{y:secret}").replace("hub.test:", "other.test:"));
    gate.signal(Signal::HUP);
    eventually("the good catalogue applies", || gate.log().contains("policy reloaded").then_some(()));
    assert_eq!(ask("/a/b"), 403);
    let rows = gate.rows_of(3);
    let of = |row: usize| rows[row].columns(["policy_rule", "connector_type", "path"]);
    assert_eq!((of(0), of(1)), (["r (.own)", ".own", "/a/{x}"].map(str::to_owned), of(0)));
    assert_eq!(of(2)[..2], ["", ""]);
    assert_ne!(rows[1].get("policy_hash"), rows[2].get("policy_hash"));
}

#[test]
fn calls_are_counted_by_connector() {
    let origin = Origin::http();
    let (own, config) = own_connector(origin.port());
    let reserved = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = reserved.local_addr().unwrap();
    drop(reserved);
    let config = format!("admin: '{admin}'\n{config}");
    let gate = Gate::builder().file("own.yml", &own).config(&config).resolve("hub.test").start();
    let authority = format!("hub.test:{}", origin.port());
    gate.client().ask(post(&format!("http://{authority}/a/b"), &authority, ""));
    gate.client().ask(post("http://elsewhere.test/x", "elsewhere.test", ""));
    gate.rows_of(2);
    let metrics = Client::connect(admin).ask("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").body;
    for line in [
        "tollgate_connector_exchanges_total{connector=\".own\",decision=\"allow\"} 1",
        "tollgate_connector_exchanges_total{connector=\"unknown\",decision=\"deny\"} 1",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
}
