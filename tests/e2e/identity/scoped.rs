//! Rules for some: each deployment reaches its own host and not the other's, whichever connection its calls share.

use super::{IDENTITY, agent};
use crate::harness::{Answer, Gate, GateBuilder, Origin, Row, TestCa};

const POLICY: &str = "
policy:
  mode: enforce
  rules:
    - {name: one, hosts: [one.test], for: {deployments: [d1]}}
    - {name: two, hosts: [two.test], for: {deployments: [d2]}}
    - {name: both, hosts: [both.test], for: {deployments: [d1], projects: [p1]}}";

fn gate(mode: &str) -> GateBuilder {
    let gate = Gate::builder().config(&POLICY.replace("enforce", mode));
    gate.resolve("one.test").resolve("two.test").resolve("both.test").resolve("other.test")
}

/// What a request is, and what is to come of it.
struct Call {
    host: &'static str,
    deployment: &'static str,
    allowed: bool,
}

const CALLS: [Call; 4] = [
    Call { host: "one.test", deployment: "d1", allowed: true },
    Call { host: "two.test", deployment: "d2", allowed: true },
    Call { host: "two.test", deployment: "d1", allowed: false },
    Call { host: "one.test", deployment: "d2", allowed: false },
];

fn request(target: &str, authority: &str, deployment: &str) -> String {
    let agent = agent(&format!("axios/1.7.2 elastic (deployment:{deployment})"));
    format!("GET {target} HTTP/1.1\r\nHost: {authority}\r\n{agent}\r\n")
}

fn assert_refused_by(answer: &Answer, rule: &str, deployment: &str) {
    assert_eq!(answer.status, 403, "{answer:?}");
    let json = answer.json();
    let told = ["reason", "rule", "deployment"].map(|key| json[key].as_str().unwrap().to_owned());
    assert_eq!(told, ["subject_not_allowed", rule, deployment]);
    let (message, event) = (json["message"].as_str().unwrap(), json["event_id"].as_str().unwrap());
    assert!(message.contains(&format!("policy rule \"{rule}\"")) && message.contains(event), "{message}");
}

fn assert_row(row: &Row, rule: &str, deployment: &str, allowed: bool) {
    let expected = if allowed { ["completed", "allow", ""] } else { ["denied", "deny", "subject_not_allowed"] };
    assert_eq!(row.columns(["outcome", "decision", "deny_reason"]), expected, "{row:#?}");
    assert_eq!(row.columns(IDENTITY), ["claimed", deployment, "", ""]);
    assert_eq!(row.get("policy_rule"), rule);
    assert_eq!(row.get("policy_hash").len(), 64);
}

#[test]
fn each_deployment_reaches_its_own_host_and_not_the_others_over_one_connection() {
    let origin = Origin::http();
    let gate = gate("enforce").start();
    let mut client = gate.client();
    for call in &CALLS {
        let authority = format!("{}:{}", call.host, origin.port());
        let answer = client.ask(request(&format!("http://{authority}/"), &authority, call.deployment));
        if call.allowed {
            assert_eq!((answer.status, answer.body.as_str()), (200, "hello"));
        } else {
            assert_refused_by(&answer, call.host.trim_end_matches(".test"), call.deployment);
        }
    }
    let rows = gate.rows_of(CALLS.len());
    for (row, call) in rows.iter().zip(&CALLS) {
        assert_row(row, call.host.trim_end_matches(".test"), call.deployment, call.allowed);
    }
    assert!(rows.iter().all(|row| row.get("client_port") == rows[0].get("client_port")), "one connection");
    assert_eq!(origin.seen().len(), 2);
}

#[test]
fn calls_of_two_deployments_in_one_tunnel_are_judged_one_by_one() {
    let ca = TestCa::new();
    let origin = Origin::https(&ca, &["one.test", "two.test"]);
    for (host, own, other) in [("one.test", "d1", "d2"), ("two.test", "d2", "d1")] {
        let gate = gate("enforce").upstream_ca(&ca).start();
        let authority = format!("{host}:{}", origin.port());
        let before = origin.seen().len();
        let mut client = gate.client();
        assert_eq!(client.open(&authority).status, 200);
        let mut client = client.secure(&gate.ca_pem(), host).unwrap();
        let rule = host.trim_end_matches(".test");
        assert_eq!(client.ask(request("/first", &authority, own)).status, 200);
        assert_refused_by(&client.ask(request("/second", &authority, other)), rule, other);
        assert_eq!(client.ask(request("/third", &authority, own)).status, 200);
        let rows = gate.rows_of(3);
        for (row, (deployment, allowed)) in rows.iter().zip([(own, true), (other, false), (own, true)]) {
            assert_row(row, rule, deployment, allowed);
            assert_eq!(row.columns(["kind", "connect_host", "host"]), ["intercepted", &authority, host]);
        }
        assert_eq!(rows[1].get("dns_us"), "", "nothing is resolved for a refused call");
        assert_eq!(origin.seen().len() - before, 2);
    }
}

#[test]
fn a_host_that_no_rule_names_is_refused_for_everyone_by_no_rule() {
    let origin = Origin::http();
    let gate = gate("enforce").start();
    let authority = format!("other.test:{}", origin.port());
    let answer = gate.client().ask(request(&format!("http://{authority}/"), &authority, "d1"));
    assert_eq!((answer.status, answer.json()["reason"].as_str()), (403, Some("host_not_allowed")));
    assert_eq!(answer.json()["rule"], serde_json::Value::Null);
    gate.assert_untouched(&origin);
    let row = gate.row();
    assert_eq!(row.columns(["outcome", "deny_reason", "policy_rule"]), ["denied", "host_not_allowed", ""]);
    assert_eq!((row.get("deployment_id").as_str(), row.get("policy_hash").len()), ("d1", 64));
}

#[test]
fn the_same_calls_pass_when_observing_and_the_rows_say_what_enforcing_would_refuse() {
    let origin = Origin::http();
    let gate = gate("observe").start();
    let mut client = gate.client();
    let calls = [("one.test", "d1"), ("one.test", "d2"), ("other.test", "d1")];
    for (host, deployment) in calls {
        let authority = format!("{host}:{}", origin.port());
        assert_eq!(client.ask(request(&format!("http://{authority}/"), &authority, deployment)).status, 200);
    }
    let rows = gate.rows_of(3);
    let verdicts = rows.iter().map(|row| row.columns(["decision", "deny_reason", "policy_rule"]));
    let expected =
        [["allow", "", "one"], ["would_deny", "subject_not_allowed", "one"], ["would_deny", "host_not_allowed", ""]];
    assert!(verdicts.eq(expected.map(|row| row.map(str::to_owned))), "{rows:#?}");
    assert!(rows.iter().all(|row| row.columns(["outcome", "status"]) == ["completed", "200"]));
    assert_eq!(origin.seen().len(), 3);
}

#[test]
fn a_rule_for_a_deployment_and_a_project_admits_either_but_no_deployment_named_like_the_project() {
    let origin = Origin::http();
    let gate = gate("enforce").start();
    let authority = format!("both.test:{}", origin.port());
    let cases = [("deployment:d1", 200), ("project:p1", 200), ("deployment:p1", 403), ("project:d1", 403)];
    for (number, (claim, status)) in cases.iter().enumerate() {
        let agent = agent(&format!("axios/1 elastic ({claim})"));
        let request = format!("GET http://{authority}/ HTTP/1.1\r\nHost: {authority}\r\n{agent}\r\n");
        assert_eq!(gate.client().ask(request).status, *status, "{claim}");
        let row = gate.rows_of(number + 1).pop().unwrap();
        assert_eq!(row.columns(["policy_rule", "status"]), ["both".to_owned(), status.to_string()], "{claim}");
    }
    assert_eq!(origin.seen().len(), 2);
}

#[test]
fn the_flag_enforces_a_policy_whose_file_only_observes() {
    let origin = Origin::http();
    let gate = gate("observe").enforce().start();
    let authority = format!("one.test:{}", origin.port());
    let answer = gate.client().ask(request(&format!("http://{authority}/"), &authority, "d2"));
    assert_refused_by(&answer, "one", "d2");
    gate.assert_untouched(&origin);
    assert_row(&gate.row(), "one", "d2", false);
}
