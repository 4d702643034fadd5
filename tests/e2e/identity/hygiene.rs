//! What destinations learn of the caller's id, and claims of clients that are bound to none.

use super::{IDENTITY, agent, ask, newest};
use crate::harness::{Client, Gate, Origin, TestCa};

const AGENT: &str = "axios/1.7.2 elastic (deployment:d1)";
const STRIP: &str = "identity: { strip_elastic_fragment: ['*.vendor.test'] }\n";

#[test]
fn a_host_that_need_not_know_is_not_told_and_every_other_octet_is_as_it_came() {
    let ca = TestCa::new();
    let origin = Origin::https(&ca, &["api.vendor.test", "own.test"]);
    let gate = Gate::builder().config(STRIP).upstream_ca(&ca).resolve("api.vendor.test").resolve("own.test").start();
    let fields = |agent: &str| {
        ["x-FIRST: 1", "Accept: */*", agent, "Content-Type: text/plain", "x-Last:  two  words", "Content-Length: 0"]
            .map(str::to_owned)
    };
    for host in ["api.vendor.test", "own.test"] {
        let mut client = gate.secured(host, origin.port());
        let fields = fields(&format!("User-agent: {AGENT}")).join("\r\n");
        assert_eq!(client.ask(format!("POST /a HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n\r\n")).status, 200);
    }
    let seen = origin.seen();
    let trimmed = |fields: [String; 6]| fields.map(|field| field.replace("x-Last:  two", "x-Last: two"));
    assert_eq!(seen[0].fields[1..], trimmed(fields("User-agent: axios/1.7.2")));
    assert_eq!(seen[1].fields[1..], trimmed(fields(&format!("User-agent: {AGENT}"))));
    for row in gate.rows_of(2) {
        assert_eq!(row.columns(["user_agent", "deployment_id", "id_assurance"]), [AGENT, "d1", "claimed"]);
        assert_eq!(row.columns(["outcome", "error"]), ["completed", ""]);
    }
}

#[test]
fn a_signed_user_agent_is_sent_as_it_came_and_the_row_says_so() {
    let origin = Origin::http();
    let gate = Gate::builder().config(STRIP).resolve("api.vendor.test").start();
    let signed = "Authorization: AWS4-HMAC-SHA256 Credential=A/B, SignedHeaders=host;user-agent, Signature=00\r\n";
    assert_eq!(ask(&mut gate.client(), "api.vendor.test", &origin, &(agent(AGENT) + signed)).status, 200);
    assert_eq!(origin.seen()[0].field("user-agent"), Some(AGENT));
    let row = gate.row();
    assert_eq!(
        row.columns(["outcome", "error"]),
        ["completed", "the User-Agent is signed, so its Elastic fragment was sent"]
    );
}

const REFUSE: &str = "
identity: { refuse_unbound_claims: true }
clients:
  - { name: bound, sources: [127.0.0.2/32], deployments: [d1] }
  - { name: unbound, sources: [127.0.0.1/32] }
policy: { mode: MODE, rules: [{ name: all, hosts: [a.test] }] }
";

fn from(source: &str, gate: &Gate) -> Client {
    Client::connect_from(source.parse().unwrap(), gate.address())
}

#[test]
fn a_claim_of_a_client_bound_to_no_id_is_refused_whatever_the_mode() {
    for mode in ["observe", "enforce"] {
        let origin = Origin::http();
        let config = REFUSE.replace("MODE", mode);
        let gate = Gate::builder().config(&config).flag("--admin", "127.0.0.1:0").resolve("a.test").start();
        let claims = [
            AGENT,
            "a/1 elastic (project:p1)",
            "a/1 elastic (deployment:",
            "elastic (project:p1) elastic (project:p2)",
        ];
        for (number, claim) in claims.into_iter().enumerate() {
            let answer = ask(&mut from("127.0.0.1", &gate), "a.test", &origin, &agent(claim));
            assert_eq!((answer.status, answer.json()["reason"].as_str()), (403, Some("unbound_claim")), "{claim}");
            let message = answer.json()["message"].as_str().unwrap().to_owned();
            assert!(message.contains("identity.refuse_unbound_claims"), "{message}");
            let row = newest(&gate, number + 1);
            assert_eq!(
                row.columns(["outcome", "decision", "deny_reason", "status"]),
                ["denied", "deny", "unbound_claim", "403"]
            );
            assert_eq!(row.columns(["client_identity", "host"]), ["unbound", "a.test"]);
        }
        gate.assert_untouched(&origin);
        let metrics = gate.admin("/metrics").body;
        assert!(metrics.contains("tollgate_refusals_total{reason=\"unbound_claim\"} 4\n"), "{metrics}");
    }
}

#[test]
fn who_claims_nothing_or_is_bound_is_not_refused() {
    let origin = Origin::http();
    let gate = Gate::builder().config(&REFUSE.replace("MODE", "enforce")).resolve("a.test").start();
    assert_eq!(ask(&mut from("127.0.0.1", &gate), "a.test", &origin, &agent("axios/1.7.2")).status, 200);
    assert_eq!(ask(&mut from("127.0.0.2", &gate), "a.test", &origin, &agent(AGENT)).status, 200);
    let other = ask(&mut from("127.0.0.2", &gate), "a.test", &origin, &agent("a/1 elastic (deployment:d2)"));
    assert_eq!((other.status, other.json()["reason"].as_str()), (403, Some("identity_mismatch")));
    let rows = gate.rows_of(3);
    assert_eq!(rows[0].columns(IDENTITY), ["absent", "", "", "unbound"]);
    assert_eq!(rows[1].columns(IDENTITY), ["verified", "d1", "", "bound"]);
    assert_eq!(rows[2].get("deny_reason"), "identity_mismatch");
}

#[test]
fn a_claim_inside_a_tunnel_is_refused_to_the_caller_who_can_read_it() {
    let ca = TestCa::new();
    let origin = Origin::https(&ca, &["a.test"]);
    let config = "identity: { refuse_unbound_claims: true }\n";
    let gate = Gate::builder().config(config).upstream_ca(&ca).resolve("a.test").start();
    let mut client = gate.secured("a.test", origin.port());
    let answer = client.ask(format!("GET / HTTP/1.1\r\nHost: a.test\r\n{}\r\n", agent(AGENT)));
    assert_eq!((answer.status, answer.json()["reason"].as_str()), (403, Some("unbound_claim")));
    let row = gate.row();
    assert_eq!(row.columns(["kind", "deny_reason", "deployment_id"]), ["intercepted", "unbound_claim", "d1"]);
    gate.assert_untouched(&origin);
}
