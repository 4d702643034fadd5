//! `tollgate doctor` beside a running gate, healthy and broken in ways that happen.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
use serde_json::Value;

use crate::harness::{Gate, Origin, TestCa, respond};

/// A finding: its status and what was seen.
type Seen = (String, String);

struct Report {
    code: Option<i32>,
    json: Value,
}

impl Report {
    fn of(output: &Output) -> Self {
        let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        Self { code: output.status.code(), json }
    }

    /// The findings of a check.
    fn check(&self, name: &str) -> Vec<Seen> {
        let checks = self.json["checks"].as_array().unwrap().iter().filter(|check| check["check"] == name);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        checks.map(|check| (text(&check["status"]), text(&check["seen"]))).collect()
    }

    /// The only finding of a check has this status, and this in its text.
    fn assert(&self, name: &str, status: &str, part: &str) {
        let found = self.check(name);
        assert!(found.len() == 1 && found[0].0 == status && found[0].1.contains(part), "{name}: {found:?}");
    }
}

fn doctor(gate: &Gate, address: SocketAddr, flags: &[&str]) -> Report {
    let path = |name: &str| gate.dir.path().join(name).to_str().unwrap().to_owned();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.args(["doctor", "--json", "--listen", &address.to_string(), "--data-dir", &path("data")]);
    command.args(["--ca-cert", &path("ca.pem"), "--ca-key", &path("ca.key")]).args(flags);
    Report::of(&command.output().unwrap())
}

#[test]
fn a_healthy_gate_passes_and_has_a_row_of_the_probe_that_went_nowhere() {
    let gate = Gate::builder().start();
    let report = doctor(&gate, gate.address(), &["--allow-address", "127.0.0.0/8"]);
    report.assert("running", "ok", "a process holds");
    report.assert("listeners", "ok", "a tunnel opens with a certificate of the CA");
    report.assert("leaf", "ok", "accepts a certificate it signs");
    report.assert("trust", "ok", "no client refused");
    assert_eq!((report.code, report.json["worst"].as_str()), (Some(0), Some("warn")), "observing is a warning");
    let row = gate.row();
    assert_eq!(row.columns(["kind", "method", "status", "outcome"]), ["intercepted", "GET", "403", "denied"]);
    assert_eq!(row.columns(["deny_reason", "upstream_ip"]), ["own_listener", ""]);
    assert!(row.get("user_agent").starts_with("tollgate-doctor/"), "{row:?}");
}

#[test]
fn without_loopback_and_when_enforcing_the_probe_is_refused_as_well() {
    for gate in [Gate::builder().start(), crate::harness::GateBuilder::without_loopback().enforce().start()] {
        doctor(&gate, gate.address(), &[]).assert("listeners", "ok", "refused inside");
        assert_eq!(gate.row().columns(["outcome", "upstream_ip"]), ["denied", ""]);
    }
}

#[test]
fn a_gate_that_wants_credentials_is_reachable_and_records_the_challenge() {
    let clients = "clients: [{name: kibana, username: elastic, password: changeme}]";
    let gate = Gate::builder().config(clients).start();
    doctor(&gate, gate.address(), &[]).assert("listeners", "ok", "wants clients to identify themselves");
    assert_eq!(gate.row().columns(["outcome", "deny_reason"]), ["denied", "client_not_authenticated"]);
}

/// Certificate and key of a listener, in files.
fn listener_certificate(dir: &Path) {
    let made = rcgen::generate_simple_self_signed(vec!["gate.test".to_owned()]).unwrap();
    fs::write(dir.join("listener.pem"), made.cert.pem()).unwrap();
    fs::write(dir.join("listener.key"), made.signing_key.serialize_pem()).unwrap();
}

fn tls_config(dir: &Path, address: &str) -> String {
    let file = |name: &str| dir.join(name).display().to_string();
    format!(
        "listeners: [{{ name: tls, address: '{address}', tls: {{ cert_file: {}, key_file: {} }} }}]\n",
        file("listener.pem"),
        file("listener.key")
    )
}

fn doctor_over(gate: &Gate, config: &str) -> Report {
    let path = |name: &str| gate.dir.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("doctor.yml"), config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.args(["doctor", "--json", "--config", &path("doctor.yml"), "--data-dir", &path("data")]);
    command.args(["--ca-cert", &path("ca.pem"), "--ca-key", &path("ca.key")]);
    Report::of(&command.output().unwrap())
}

#[test]
fn a_tls_listener_is_spoken_to_as_kibana_does_and_must_show_the_certificate_of_its_file() {
    let dir = tempfile::tempdir().unwrap();
    listener_certificate(dir.path());
    let gate = Gate::builder().config(&tls_config(dir.path(), "127.0.0.1:0")).start();
    let config = tls_config(dir.path(), &gate.address().to_string());
    let report = doctor_over(&gate, &config);
    report.assert("listener TLS", "ok", "listener.pem, valid until");
    report.assert("listeners", "ok", "a tunnel opens");
    assert_eq!(gate.row().columns(["kind", "outcome"]), ["intercepted", "denied"]);

    listener_certificate(dir.path());
    let report = doctor_over(&gate, &config);
    report.assert("listeners", "fail", "the TLS handshake fails");
    assert_eq!(report.code, Some(1));
}

#[test]
fn a_ca_that_was_replaced_under_a_running_gate_is_found() {
    let gate = Gate::builder().start();
    for name in ["ca.pem", "ca.key"] {
        fs::remove_file(gate.dir.path().join(name)).unwrap();
    }
    let mut other = Gate::builder().start();
    for name in ["ca.pem", "ca.key"] {
        fs::copy(other.dir.path().join(name), gate.dir.path().join(name)).unwrap();
    }
    assert_eq!(other.stop(), Some(0));
    let report = doctor(&gate, gate.address(), &[]);
    report.assert("interception CA", "ok", "valid until");
    report.assert("listeners", "fail", "UnknownIssuer");
    assert_eq!(report.code, Some(1));
}

#[test]
fn a_closed_port_fails_while_the_gate_runs_and_not_when_it_was_stopped() {
    let mut gate = Gate::builder().start();
    // Port 1 needs privileges that nobody has who runs tests.
    let closed = SocketAddr::from(([127, 0, 0, 1], 1));
    let report = doctor(&gate, closed, &[]);
    report.assert("listeners", "fail", "cannot be connected to");
    assert_eq!(report.code, Some(1));
    assert_eq!(gate.stop(), Some(0));
    let report = doctor(&gate, closed, &[]);
    report.assert("running", "warn", "no process holds");
    report.assert("listeners", "skip", "Tollgate does not run");
    assert_eq!(report.code, Some(0));
}

#[test]
fn an_expired_ca_and_a_key_of_another_ca_are_named_with_their_files() {
    let mut gate = Gate::builder().start();
    assert_eq!(gate.stop(), Some(0));
    let path = |name: &str| gate.dir.path().join(name);
    let good = fs::read_to_string(path("ca.pem")).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2020, 2, 1);
    fs::write(path("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    let report = doctor(&gate, gate.address(), &[]);
    report.assert("interception CA", "fail", "the CA expired on 2020-02-01");
    report.assert("leaf", "skip", "needs an interception CA");
    assert_eq!(report.code, Some(1));

    fs::write(path("ca.pem"), good).unwrap();
    fs::write(path("ca.key"), key.serialize_pem()).unwrap();
    let report = doctor(&gate, gate.address(), &[]);
    report.assert("interception CA", "fail", "ca.key is not the key of");
    assert_eq!(report.code, Some(1));
}

#[test]
fn a_disk_that_is_too_small_for_the_settings_fails() {
    let mut gate = Gate::builder().start();
    assert_eq!(gate.stop(), Some(0));
    let report = doctor_over(&gate, "audit: { free_bytes_min: 1099511627776 }\n");
    let disk = report.check("disk");
    let needed =
        disk.iter().any(|(status, seen)| status == "fail" && seen.contains("below audit.free_bytes_min (1048576 MiB)"));
    assert!(needed, "{disk:?}");
    assert_eq!(report.code, Some(1));
}

#[test]
fn a_client_that_refused_our_certificate_is_named_with_the_fix_for_its_version() {
    let gate = Gate::builder().resolve("hooks.slack.com").start();
    let mut client = gate.client();
    assert_eq!(client.open("hooks.slack.com:443").status, 200);
    let other = gate.dir.path().join("other-ca.pem");
    TestCa::new().write_pem(&other);
    assert!(client.secure(&other, "hooks.slack.com").is_err());
    assert_eq!(gate.row().get("outcome"), "client_rejected_ca");
    let report = doctor(&gate, gate.address(), &["--kibana-version", "8.15"]);
    report.assert("trust", "fail", "127.0.0.1 refused our certificate 1 times");
    assert!(report.check("trust")[0].1.ends_with("for hooks.slack.com"), "{:?}", report.check("trust"));
    let checks = report.json["checks"].as_array().unwrap();
    let fix = checks.iter().find(|check| check["check"] == "trust").unwrap()["fix"].as_str().unwrap();
    assert!(fix.contains("NODE_EXTRA_CA_CERTS") && fix.contains("Kibana 8.15 ignores customHostSettings"), "{fix}");
    assert_eq!(report.code, Some(1));
}

fn executed(connector_type: &str, id: &str, start: &str, end: &str) -> String {
    let document = serde_json::json!({
        "event": { "provider": "actions", "action": "execute", "outcome": "success", "start": start, "end": end },
        "kibana": { "saved_objects": [{ "type": "action", "id": id, "type_id": connector_type }] },
    });
    format!("{document}\n")
}

#[test]
fn an_execution_without_a_row_is_found_by_its_connector_and_time() {
    let ca = TestCa::new();
    let origin = Origin::serving(Some(ca.server(&["hooks.slack.com"])), |_, stream| {
        stream.write_all(&respond(200, "ok")).is_ok()
    });
    let mut gate = Gate::builder().resolve("hooks.slack.com").upstream_ca(&ca).start();
    let host = format!("hooks.slack.com:{}", origin.port());
    let request = format!("POST /services/T0/B0/x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(gate.secured("hooks.slack.com", origin.port()).ask(request).status, 200);
    let row = gate.row();
    assert_eq!(row.get("connector_type"), ".slack", "{row:?}");
    let (start, end) = (row.get("event_time"), row.get("end_time"));
    let event_log = gate.dir.path().join("events.ndjson");
    let early = "2026-01-01T00:00:00.000Z";
    let text = [
        executed(".slack", "seen", &start, &end),
        executed(".slack", "never-seen", early, early),
        executed(".server-log", "inside", &start, &end),
        "not json\n".to_owned(),
    ];
    fs::write(&event_log, text.concat()).unwrap();
    let flags = ["--event-log", event_log.to_str().unwrap(), "--kibana-version", "9.5"];
    // The same before and after the row is sealed.
    for sealed in [false, true] {
        if sealed {
            assert_eq!(gate.stop(), Some(0));
        }
        let report = doctor(&gate, gate.address(), &flags);
        let found = report.check("event log");
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(found[0].0, "warn");
        assert!(found[0].1.ends_with("3 executions in 3 documents; 1 cannot be used"), "{found:?}");
        let expected = ".slack: 2 executions, 1 with a row of this connector, 0 with some row at that time, 1 without";
        assert!(found[1].0 == "fail" && found[1].1.starts_with(expected), "{found:?}");
        assert_eq!(found[2].0, "ok");
        let checks = report.json["checks"].as_array().unwrap();
        let details: Vec<&str> = checks
            .iter()
            .filter(|check| check["check"] == "event log")
            .flat_map(|check| check["details"].as_array().unwrap())
            .map(|detail| detail.as_str().unwrap())
            .collect();
        assert!(details[0].starts_with("line 4: "), "{details:?}");
        assert_eq!(details[1], "connector never-seen from 2026-01-01T00:00:00Z to 2026-01-01T00:00:00Z");
        assert_eq!(report.code, Some(1));
        if !sealed {
            gate.rows_of(2);
        }
    }
}

#[test]
fn the_text_is_grouped_and_plain_when_it_is_not_a_terminal() {
    let gate = Gate::builder().start();
    let output = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(["doctor", "--config", "/nonexistent/tollgate.yml", "--data-dir"])
        .arg(gate.data_dir())
        .output()
        .unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(1), &b""[..]));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("Configuration\n  fail  configuration    /nonexistent/tollgate.yml: cannot be read"),
        "{text}"
    );
    assert!(text.contains("\nProcess\n  ok    running          a process holds"), "{text}");
    assert!(!text.contains('\x1b'), "{text}");
    let usage =
        Command::new(env!("CARGO_BIN_EXE_tollgate")).args(["doctor", "--kibana-version", "x"]).output().unwrap();
    assert_eq!(usage.status.code(), Some(64));
}
