//! Clients in the configuration file: how they are recognised, and what their bound ids do to a claim.

use serde_json::Value;

use super::{IDENTITY, agent, ask, newest};
use crate::harness::{Answer, Client, Gate, GateBuilder, Origin, TestCa};

/// `elastic:changeme`
const RIGHT: &str = "Proxy-Authorization: Basic ZWxhc3RpYzpjaGFuZ2VtZQ==\r\n";
/// `elastic:wrong`
const WRONG: &str = "Proxy-Authorization: Basic ZWxhc3RpYzp3cm9uZw==\r\n";

/// A client with Basic credentials, bound to the deployments `d1` and `d2`.
const BASIC: &str = "
clients: [{name: kibana, username: elastic, password: changeme, deployments: [d1, d2]}]";

const ENFORCING: &str = "
policy: {mode: enforce, rules: [{name: all, hosts: [a.test]}]}";

fn gate(config: &str) -> GateBuilder {
    Gate::builder().config(config).resolve("a.test")
}

fn assert_challenged(answer: &Answer) {
    assert_eq!(
        (answer.status, &answer.json()["reason"]),
        (407, &Value::from("client_not_authenticated")),
        "{answer:?}"
    );
    assert_eq!(answer.field("proxy-authenticate"), Some("Basic realm=\"tollgate\""));
    assert_eq!(answer.field("connection"), Some("close"));
}

#[test]
fn a_request_without_the_right_credentials_is_challenged_and_recorded_with_what_it_claimed() {
    let origin = Origin::http();
    let gate = gate(BASIC).start();
    let unreadable = "Proxy-Authorization: Bearer x\r\n".to_owned();
    let twice = format!("{RIGHT}{RIGHT}");
    let inner = RIGHT.replace("Proxy-", "");
    for (number, credentials) in ["", WRONG, &unreadable, &twice, &inner].iter().enumerate() {
        let fields = format!("{credentials}{}", agent("axios/1 elastic (deployment:d1)"));
        assert_challenged(&ask(&mut gate.client(), "a.test", &origin, &fields));
        let row = newest(&gate, number + 1);
        assert_eq!(row.columns(["outcome", "decision", "deny_reason"]), ["denied", "deny", "client_not_authenticated"]);
        assert_eq!(row.columns(IDENTITY), ["claimed", "d1", "", ""], "{credentials}");
        assert_eq!(row.columns(["kind", "host", "status", "dns_us"]), ["http", "a.test", "407", ""]);
    }
    gate.assert_untouched(&origin);
}

#[test]
fn a_connect_without_the_right_credentials_is_challenged_and_closed() {
    let origin = Origin::http();
    let gate = gate(BASIC).start();
    let authority = format!("a.test:{}", origin.port());
    for (number, credentials) in ["", WRONG].iter().enumerate() {
        let mut client = gate.client();
        client.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{credentials}\r\n"));
        assert_challenged(&client.answer_to("CONNECT"));
        assert_eq!(client.rest(), b"");
        let row = newest(&gate, number + 1);
        assert_eq!(row.columns(["kind", "deny_reason", "host"]), ["connect", "client_not_authenticated", "a.test"]);
        assert_eq!(row.columns(["connect_host", "status"]), [&authority, "407"]);
    }
    gate.assert_untouched(&origin);
}

#[test]
fn a_claim_is_verified_against_the_ids_the_client_is_bound_to() {
    let origin = Origin::http();
    let gate = gate(&format!("{BASIC}{ENFORCING}")).start();
    let mut client = gate.client();
    let fields = |value: &str| format!("{RIGHT}{}", agent(value));
    assert_eq!(ask(&mut client, "a.test", &origin, &fields("axios/1 elastic (deployment:d2)")).status, 200);
    assert_eq!(ask(&mut client, "a.test", &origin, &fields("axios/1")).status, 200);
    for (claim, named) in [("deployment:d3", "deployment"), ("project:d1", "project")] {
        let answer = ask(&mut gate.client(), "a.test", &origin, &fields(&format!("axios/1 elastic ({claim})")));
        assert_eq!((answer.status, &answer.json()["reason"]), (403, &Value::from("identity_mismatch")));
        assert_eq!(answer.json()[named], claim.split_once(':').unwrap().1);
    }
    let rows = gate.rows_of(4);
    assert_eq!(rows[0].columns(IDENTITY), ["verified", "d2", "", "kibana"]);
    assert_eq!(rows[1].columns(IDENTITY), ["absent", "", "", "kibana"], "two bound ids: which one is not known");
    assert_eq!(rows[2].columns(IDENTITY), ["mismatch", "d3", "", "kibana"]);
    assert_eq!(rows[3].columns(IDENTITY), ["mismatch", "", "d1", "kibana"]);
    assert_eq!(rows[2].columns(["outcome", "decision", "deny_reason"]), ["denied", "deny", "identity_mismatch"]);
    assert_eq!(rows[2].columns(["policy_rule", "dns_us"]), ["all", ""]);
    assert_eq!(origin.seen().len(), 2);
}

#[test]
fn a_claim_the_client_is_not_bound_to_passes_when_observing_and_is_recorded_as_what_would_be_refused() {
    let origin = Origin::http();
    let gate = gate(&format!("{BASIC}{}", ENFORCING.replace("enforce", "observe"))).start();
    let fields = format!("{RIGHT}{}", agent("axios/1 elastic (deployment:d3)"));
    assert_eq!(ask(&mut gate.client(), "a.test", &origin, &fields).status, 200);
    let row = gate.row();
    assert_eq!(row.columns(["outcome", "decision", "deny_reason"]), ["completed", "would_deny", "identity_mismatch"]);
    assert_eq!(row.columns(IDENTITY), ["mismatch", "d3", "", "kibana"]);
}

#[test]
fn a_client_bound_to_one_id_speaks_for_it_without_saying_so() {
    let origin = Origin::http();
    let bound = BASIC.replace("[d1, d2]", "[d1]");
    let rule = "
policy: {mode: enforce, rules: [{name: only-d1, hosts: [a.test], for: {deployments: [d1]}}]}";
    let gate = gate(&format!("{bound}{rule}")).start();
    let answer = ask(&mut gate.client(), "a.test", &origin, &format!("{RIGHT}{}", agent("nodemailer/8")));
    assert_eq!(answer.status, 200);
    let row = gate.row();
    assert_eq!(row.columns(IDENTITY), ["bound", "d1", "", "kibana"]);
    assert_eq!(row.columns(["decision", "policy_rule"]), ["allow", "only-d1"]);
}

#[test]
fn credentials_never_reach_the_origin_nor_the_audit_trail() {
    let header = ", header: {name: X-Tollgate-Client, value: t0ken}";
    let config = BASIC.replace(", deployments", &format!("{header}, deployments"));
    let origin = Origin::http();
    let gate = gate(&config).start();
    let fields = format!("{RIGHT}x-tollgate-client: t0ken\r\nAuthorization: Basic b3JpZ2luOnM=\r\nX-Other: stays\r\n");
    assert_eq!(ask(&mut gate.client(), "a.test", &origin, &fields).status, 200);
    let seen = origin.seen().remove(0);
    assert_eq!((seen.field("proxy-authorization"), seen.field("x-tollgate-client")), (None, None));
    assert_eq!((seen.field("authorization"), seen.field("x-other")), (Some("Basic b3JpZ2luOnM="), Some("stays")));
    let row = gate.row();
    assert_eq!(row.get("client_identity"), "kibana");
    for secret in ["t0ken", "changeme", "ZWxhc3RpYzpjaGFuZ2VtZQ", "b3JpZ2luOnM"] {
        assert!(!row.0.to_string().contains(secret), "{secret} in {row:?}");
        assert!(!gate.log().contains(secret), "{secret} in the log");
    }
}

/// `xpack.actions.proxyHeaders` arrive on the CONNECT only, so the tunnel carries the identity.
#[test]
fn a_header_on_the_connect_identifies_every_request_in_the_tunnel() {
    let ca = TestCa::new();
    let origin = Origin::https(&ca, &["a.test"]);
    let clients = "clients: [{name: cloud, header: {name: X-Elastic-Client, value: kbn-1}, projects: [p1]}]";
    let gate = gate(&format!("{clients}{ENFORCING}")).upstream_ca(&ca).start();
    let authority = format!("a.test:{}", origin.port());
    let connect = |header: &str| format!("CONNECT {authority} HTTP/1.1\r\nHost: a.test\r\n{header}\r\n");
    let mut client = gate.client();
    client.send(connect("X-Elastic-Client: kbn-2\r\n"));
    assert_challenged(&client.answer_to("CONNECT"));
    let mut client = gate.client();
    client.send(connect("x-elastic-client: kbn-1\r\n"));
    assert_eq!(client.answer_to("CONNECT").status, 200);
    let mut client = client.secure(&gate.ca_pem(), "a.test").unwrap();
    for (claim, status) in [("elastic (project:p1)", 200), ("", 200), ("elastic (project:p2)", 403)] {
        // Sent again inside, the credentials are still for the proxy alone.
        let fields = agent(&format!("axios/1 {claim}")) + RIGHT + "X-Elastic-Client: kbn-1\r\n";
        let answer = client.ask(format!("GET / HTTP/1.1\r\nHost: {authority}\r\n{fields}\r\n"));
        assert_eq!(answer.status, status, "{claim}");
    }
    let rows = gate.rows_of(4);
    let assurances: Vec<_> =
        rows.iter().map(|row| row.columns(["id_assurance", "project_id", "client_identity"])).collect();
    let expected =
        [["absent", "", ""], ["verified", "p1", "cloud"], ["bound", "p1", "cloud"], ["mismatch", "p2", "cloud"]];
    assert_eq!(assurances, expected);
    assert_eq!(origin.seen().len(), 2);
    assert!(
        origin
            .seen()
            .iter()
            .all(|seen| seen.field("x-elastic-client").is_none() && seen.field("proxy-authorization").is_none())
    );
}

#[test]
fn a_tunnel_refused_for_its_server_name_says_whose_it_was() {
    let origin = Origin::http();
    let clients = "clients: [{name: cloud, header: {name: X-Elastic-Client, value: kbn-1}, projects: [p1]}]";
    let gate = gate(clients).start();
    let mut client = gate.client();
    let authority = format!("a.test:{}", origin.port());
    client.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: a.test\r\nX-Elastic-Client: kbn-1\r\n\r\n"));
    assert_eq!(client.answer_to("CONNECT").status, 200);
    assert!(client.secure(&gate.ca_pem(), "b.test").is_err());
    gate.assert_untouched(&origin);
    let row = gate.row();
    assert_eq!(row.columns(["deny_reason", "sni", "host"]), ["sni_mismatch", "b.test", "a.test"]);
    assert_eq!(row.columns(IDENTITY), ["bound", "", "p1", "cloud"]);
}

#[test]
fn a_client_is_recognised_by_the_listener_it_uses() {
    let config = "
listeners: [{name: one, address: '127.0.0.1:0'}, {name: two, address: '127.0.0.1:0'}, {name: three, address: '127.0.0.1:0'}]
clients: [{name: kibana-one, listener: one, deployments: [d1]}, {name: kibana-two, listener: two, deployments: [d2]}]";
    let origin = Origin::http();
    let gate = gate(&format!("{config}{ENFORCING}")).start();
    let fields = agent("axios/1 elastic (deployment:d1)");
    let ask = |listener: usize| ask(&mut Client::connect(gate.listener(listener)), "a.test", &origin, &fields);
    assert_eq!(ask(0).status, 200);
    assert_eq!(ask(1).json()["reason"], "identity_mismatch");
    assert_challenged(&ask(2));
    let rows = gate.rows_of(3);
    assert_eq!(rows[0].columns(IDENTITY), ["verified", "d1", "", "kibana-one"]);
    assert_eq!(rows[1].columns(IDENTITY), ["mismatch", "d1", "", "kibana-two"]);
    assert_eq!(rows[2].columns(IDENTITY), ["claimed", "d1", "", ""]);
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn a_client_is_recognised_by_its_source_network_the_narrowest_first() {
    let config = "
clients:
  - {name: site, sources: [127.0.2.0/24], deployments: [d2]}
  - {name: rack, sources: [127.0.2.8/29], deployments: [d1]}";
    let origin = Origin::http();
    let gate = gate(&format!("{config}{ENFORCING}")).start();
    let fields = agent("axios/1 elastic (deployment:d1)");
    let from = |last: u8| {
        let mut client = Client::connect_from([127, 0, 2, last].into(), gate.address());
        ask(&mut client, "a.test", &origin, &fields)
    };
    assert_eq!(from(9).status, 200);
    assert_eq!(from(1).json()["reason"], "identity_mismatch");
    assert_challenged(&ask(&mut gate.client(), "a.test", &origin, &fields));
    let rows = gate.rows_of(3);
    assert_eq!(rows[0].columns(["client_ip", "client_identity", "id_assurance"]), ["127.0.2.9", "rack", "verified"]);
    assert_eq!(rows[1].columns(["client_ip", "client_identity", "id_assurance"]), ["127.0.2.1", "site", "mismatch"]);
    assert_eq!(rows[2].columns(["client_ip", "client_identity", "id_assurance"]), ["127.0.0.1", "", "claimed"]);
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn a_malformed_request_is_recorded_with_the_client_that_sent_it() {
    let origin = Origin::http();
    let gate = gate(&format!("{BASIC}{ENFORCING}")).start();
    let url = format!("http://a.test:{}/", origin.port());
    let request = format!(
        "GET {url} HTTP/1.1\r\nHost: a.test:{}\r\n{RIGHT}{}X-Bad : 1\r\n\r\n",
        origin.port(),
        agent("axios/1 elastic (deployment:d1)")
    );
    assert_eq!(gate.client().ask(request).status, 400);
    let connect = format!("CONNECT a.test%2e:443 HTTP/1.1\r\nHost: a.test\r\n{RIGHT}\r\n");
    assert_eq!(gate.client().ask(connect).status, 400);
    let rows = gate.rows_of(2);
    assert_eq!(rows[0].columns(IDENTITY), ["verified", "d1", "", "kibana"]);
    assert_eq!(rows[0].columns(["kind", "deny_reason", "outcome"]), ["http", "malformed_request", "denied"]);
    assert_eq!(rows[1].columns(["kind", "client_identity", "connect_host"]), ["connect", "kibana", "a.test%2e:443"]);
    gate.assert_untouched(&origin);
}
