//! Who is calling: what the User-Agent claims, what the configuration knows of the client, and what follows for a call.

mod clients;
mod hygiene;
mod scoped;

use crate::harness::{Answer, Client, Gate, Origin, Row};

const IDENTITY: [&str; 4] = ["id_assurance", "deployment_id", "project_id", "client_identity"];

/// The field lines of a User-Agent.
fn agent(value: &str) -> String {
    format!("User-Agent: {value}\r\n")
}

/// Asks for `/` at a name with the origin's port, with these field lines.
fn ask(client: &mut Client, host: &str, origin: &Origin, fields: &str) -> Answer {
    let authority = format!("{host}:{}", origin.port());
    client.ask(format!("GET http://{authority}/ HTTP/1.1\r\nHost: {authority}\r\n{fields}\r\n"))
}

/// `n` rows, of which this is the newest.
fn newest(gate: &Gate, n: usize) -> Row {
    gate.rows_of(n).pop().unwrap()
}

#[test]
fn the_claim_in_the_user_agent_is_recorded_as_what_it_is() {
    let origin = Origin::http();
    let gate = Gate::builder().resolve("a.test").start();
    let long = "x".repeat(129);
    let longest = "x".repeat(128);
    let cases: [(String, [&str; 3]); 16] = [
        (agent("axios/1.7.2 elastic (deployment:d1)"), ["claimed", "d1", ""]),
        (agent("axios/1.7.2 elastic (project:p1)"), ["claimed", "", "p1"]),
        (agent("axios/1.7.2 elastic (deployment:d1) elastic (project:p1)"), ["claimed", "", "p1"]),
        (agent("axios/1.7.2 elastic (project:p1) elastic (deployment:d1)"), ["claimed", "", "p1"]),
        (agent("OpenAI/JS 4.1 elastic (deployment:d1) tail/1"), ["claimed", "d1", ""]),
        (agent("a/1 elastic (deployment:d1) elastic (deployment:d1)"), ["claimed", "d1", ""]),
        (agent("a/1 elastic (deployment:d1) elastic (deployment:d2)"), ["contradicting", "", ""]),
        (agent("a/1 elastic (project:p1) elastic (project:p2)"), ["contradicting", "", ""]),
        (agent("a/1 elastic (deployment:d1)") + &agent("elastic (deployment:d2)"), ["contradicting", "", ""]),
        (agent("a/1") + &agent("b/2 elastic (deployment:d1)"), ["claimed", "d1", ""]),
        (agent(&format!("a/1 elastic (deployment:{longest})")), ["claimed", &longest, ""]),
        (agent(&format!("a/1 elastic (deployment:{long})")), ["malformed", "", ""]),
        (agent("a/1 elastic (deployment:)"), ["malformed", "", ""]),
        (agent("a/1 elastic (deployment:d1"), ["malformed", "", ""]),
        (agent("axios/1.7.2"), ["absent", "", ""]),
        (String::new(), ["absent", "", ""]),
    ];
    let mut client = gate.client();
    for (number, (fields, [assurance, deployment, project])) in cases.iter().enumerate() {
        assert_eq!(ask(&mut client, "a.test", &origin, fields).status, 200, "{fields:?}");
        let row = newest(&gate, number + 1);
        assert_eq!(row.columns(IDENTITY), [assurance, deployment, project, ""], "{fields:?}");
        assert_eq!(row.columns(["decision", "outcome"]), ["would_deny", "completed"]);
        let lines = origin.seen()[number].fields.iter().filter(|line| line.starts_with("User-Agent:")).count();
        assert_eq!(lines, fields.matches("User-Agent:").count(), "forwarded as it came");
    }
}

#[test]
fn a_claim_inside_a_tunnel_counts_and_one_on_the_connect_does_not_stand_for_it() {
    let ca = crate::harness::TestCa::new();
    let origin = Origin::https(&ca, &["a.test"]);
    let gate = Gate::builder().resolve("a.test").upstream_ca(&ca).start();
    let authority = format!("a.test:{}", origin.port());
    let mut client = gate.client();
    client
        .send(format!("CONNECT {authority} HTTP/1.1\r\nHost: a.test\r\n{}\r\n", agent("x elastic (deployment:outer)")));
    assert_eq!(client.answer_to("CONNECT").status, 200);
    let mut client = client.secure(&gate.ca_pem(), "a.test").unwrap();
    for fields in [agent("axios/1 elastic (deployment:inner)"), agent("axios/1")] {
        assert_eq!(client.ask(format!("GET / HTTP/1.1\r\nHost: {authority}\r\n{fields}\r\n")).status, 200);
    }
    let rows = gate.rows_of(2);
    assert_eq!(rows[0].columns(IDENTITY), ["claimed", "inner", "", ""]);
    assert_eq!(rows[1].columns(IDENTITY), ["absent", "", "", ""]);
    assert_eq!(origin.seen()[1].field("user-agent"), Some("axios/1"));
}

#[test]
fn an_id_that_cannot_be_used_is_nobodys_so_a_rule_for_one_deployment_refuses_it() {
    let policy = "
policy:
  mode: enforce
  rules: [{name: d1, hosts: [a.test], for: {deployments: [d1]}}]";
    let origin = Origin::http();
    let gate = Gate::builder().config(policy).resolve("a.test").start();
    let agents = [
        "a/1 elastic (deployment:d1) elastic (deployment:d2)",
        "a/1 elastic (deployment:d1) elastic (deployment:)",
        "a/1 elastic (deployment:d1) elastic (project:p1)",
        "a/1",
    ];
    for (number, value) in agents.iter().enumerate() {
        let answer = ask(&mut gate.client(), "a.test", &origin, &agent(value));
        assert_eq!((answer.status, answer.json()["reason"].as_str()), (403, Some("subject_not_allowed")), "{value}");
        let row = newest(&gate, number + 1);
        assert_eq!(row.columns(["outcome", "policy_rule", "deployment_id"]), ["denied", "d1", ""], "{value}");
    }
    gate.assert_untouched(&origin);
}
