//! Where a name leads: internal addresses are refused after resolution, in observe mode too, and are never dialled.

use serde_json::Value;

use crate::harness::{Answer, Client, GateBuilder, Origin, Row, TestCa};

const AGENT: &str = "User-Agent: axios/1.7.2 elastic (deployment:dep1)\r\n";

/// Addresses that a connector has no business at, and the class that the message names.
const INTERNAL: [(&str, &str); 22] = [
    ("127.0.0.1", "loopback"),
    ("127.255.0.1", "loopback"),
    ("::1", "loopback"),
    ("::ffff:127.0.0.1", "loopback"),
    ("64:ff9b::7f00:1", "loopback"),
    ("2002:7f00:1::", "loopback"),
    ("10.1.2.3", "private"),
    ("172.31.0.1", "private"),
    ("192.168.0.1", "private"),
    ("::ffff:10.1.2.3", "private"),
    ("fd00::1", "unique local"),
    ("169.254.169.254", "cloud metadata"),
    ("::ffff:169.254.169.254", "cloud metadata"),
    ("64:ff9b::a9fe:a9fe", "cloud metadata"),
    ("fd00:ec2::254", "cloud metadata"),
    ("100.100.100.200", "cloud metadata"),
    ("169.254.1.1", "link-local"),
    ("fe80::1", "link-local"),
    ("100.64.0.1", "carrier-grade NAT"),
    ("0.0.0.0", "unspecified"),
    ("224.0.0.1", "multicast"),
    ("2002:0808:0808::", "transition"),
];

fn ask(client: &mut Client, authority: &str) -> Answer {
    client.ask(format!("GET http://{authority}/ HTTP/1.1\r\nHost: {authority}\r\n{AGENT}\r\n"))
}

/// A 403 with this reason, whose message has all these texts.
fn assert_explained(answer: &Answer, reason: &str, texts: &[&str]) {
    assert_eq!((answer.status, &answer.json()["reason"]), (403, &Value::from(reason)), "{answer:?}");
    let json = answer.json();
    let message = json["message"].as_str().unwrap();
    assert!(texts.iter().all(|text| message.contains(text)), "{texts:?} in {message:?}");
    assert!(message.contains(json["event_id"].as_str().unwrap()), "{message:?}");
}

/// A row that says it was refused, and that nothing was dialled.
fn assert_never_dialled(row: &Row, reason: &str) {
    assert_eq!(row.columns(["outcome", "decision", "deny_reason"]), ["denied", "deny", reason], "{row:#?}");
    assert_eq!(row.columns(["status", "deployment_id"]), ["403", "dep1"], "{row:#?}");
    assert_eq!(row.columns(["connect_us", "upstream_ip", "upstream_port"]), ["", "", ""], "{row:#?}");
    assert_ne!(row.get("dns_us"), "", "{row:#?}");
}

fn pinned(gate: GateBuilder, host: &str, addresses: &[&str]) -> GateBuilder {
    addresses.iter().fold(gate, |gate, address| gate.flag("--resolve", &format!("{host}={address}")))
}

#[test]
fn a_name_that_leads_to_an_internal_address_is_refused_although_policy_only_observes() {
    let origin = Origin::http();
    let host = |number: usize| format!("n{number}.test");
    let named = INTERNAL
        .iter()
        .enumerate()
        .fold(GateBuilder::without_loopback(), |gate, (number, (address, _))| pinned(gate, &host(number), &[address]));
    let gate = named.start();
    for (number, (address, class)) in INTERNAL.iter().enumerate() {
        let answer = ask(&mut gate.client(), &format!("{}:{}", host(number), origin.port()));
        assert_explained(&answer, "address_not_allowed", &[class, "upstream.allow_addresses"]);
        let row = gate.rows_of(number + 1).pop().unwrap();
        assert_never_dialled(&row, "address_not_allowed");
        assert_eq!(row.get("host"), host(number));
        assert!(row.get("error").contains(class), "{address}: {row:?}");
    }
    gate.assert_untouched(&origin);
}

#[test]
fn an_internal_address_written_into_the_url_is_refused_although_policy_only_observes() {
    let origin = Origin::http();
    let gate = GateBuilder::without_loopback().start();
    for (number, (address, class)) in INTERNAL.iter().enumerate() {
        let host = if address.contains(':') { format!("[{address}]") } else { (*address).to_owned() };
        let answer = ask(&mut gate.client(), &format!("{host}:{}", origin.port()));
        assert_explained(&answer, "address_not_allowed", &[class]);
        let row = gate.rows_of(number + 1).pop().unwrap();
        assert_never_dialled(&row, "address_not_allowed");
        assert_eq!(row.get("host_raw"), format!("{host}:{}", origin.port()));
    }
    gate.assert_untouched(&origin);
}

#[test]
fn an_allowlisted_name_is_refused_inside_the_tunnel_when_it_leads_to_an_internal_address() {
    let ca = TestCa::new();
    let origin = Origin::https(&ca, &["allowed.test"]);
    let gate = pinned(GateBuilder::without_loopback(), "allowed.test", &["127.0.0.1"]);
    let gate = gate.allow("allowed.test").upstream_ca(&ca).start();
    let authority = format!("allowed.test:{}", origin.port());
    let mut client = gate.client();
    assert_eq!(client.open(&authority).status, 200);
    let mut client = client.secure(&gate.ca_pem(), "allowed.test").unwrap();
    let answer = client.ask(format!("GET / HTTP/1.1\r\nHost: {authority}\r\n{AGENT}\r\n"));
    assert_explained(&answer, "address_not_allowed", &["loopback"]);
    gate.assert_untouched(&origin);
    let row = gate.row();
    assert_never_dialled(&row, "address_not_allowed");
    assert_eq!(row.columns(["kind", "policy_rule"]), ["intercepted", "flag:--allow-host"]);
}

#[test]
fn a_connect_that_is_not_intercepted_is_refused_when_it_leads_to_an_internal_address() {
    let origin = Origin::http();
    let gate = pinned(GateBuilder::without_loopback(), "pinned.test", &["127.0.0.1"]);
    let gate = gate.flag("--tunnel-host", "pinned.test").start();
    let mut client = gate.client();
    let authority = format!("pinned.test:{}", origin.port());
    client.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{AGENT}\r\n"));
    assert_explained(&client.answer_to("CONNECT"), "address_not_allowed", &["loopback"]);
    assert_eq!(client.rest(), b"", "closed: what is behind a refused CONNECT is not for the proxy");
    gate.assert_untouched(&origin);
    let row = gate.row();
    assert_never_dialled(&row, "address_not_allowed");
    assert_eq!(row.columns(["kind", "host"]), ["tunnel", "pinned.test"]);
}

#[test]
fn one_internal_address_among_the_answers_refuses_them_all_in_either_order() {
    let origin = Origin::http();
    let gate = GateBuilder::new();
    // Loopback is allowed here and would be reached: what refuses is the private address beside it.
    let gate = pinned(gate, "first.test", &["127.0.0.1", "10.0.0.1"]);
    let gate = pinned(gate, "last.test", &["10.0.0.1", "127.0.0.1"]);
    let gate = pinned(gate, "mapped.test", &["127.0.0.1", "::ffff:10.0.0.1"]).start();
    for (number, host) in ["first.test", "last.test", "mapped.test"].iter().enumerate() {
        let answer = ask(&mut gate.client(), &format!("{host}:{}", origin.port()));
        assert_explained(&answer, "mixed_addresses", &["10.0.0.1", "private"]);
        assert_never_dialled(&gate.rows_of(number + 1)[number], "mixed_addresses");
    }
    gate.assert_untouched(&origin);
}

#[test]
fn an_allowed_network_is_reached_also_where_the_address_is_written_as_ipv6() {
    let origin = Origin::http();
    let gate = GateBuilder::without_loopback().flag("--allow-address", "127.0.0.1");
    let gate = pinned(gate, "plain.test", &["127.0.0.1"]);
    let gate = pinned(gate, "mapped.test", &["::ffff:127.0.0.1"]);
    let gate = pinned(gate, "other.test", &["127.0.0.2"]).start();
    for (number, host) in ["plain.test", "mapped.test"].iter().enumerate() {
        let answer = ask(&mut gate.client(), &format!("{host}:{}", origin.port()));
        assert_eq!((answer.status, answer.body.as_str()), (200, "hello"));
        let row = gate.rows_of(number + 1).pop().unwrap();
        assert_eq!(row.columns(["outcome", "upstream_ip", "decision"]), ["completed", "127.0.0.1", "would_deny"]);
    }
    let answer = ask(&mut gate.client(), &format!("other.test:{}", origin.port()));
    assert_explained(&answer, "address_not_allowed", &["127.0.0.2"]);
    assert_never_dialled(&gate.rows_of(3)[2], "address_not_allowed");
    assert_eq!(origin.seen().len(), 2);
}

#[test]
fn tollgate_never_calls_its_own_listeners_even_when_their_address_is_allowed() {
    let listeners = "listeners: [{name: one, address: '127.0.0.1:0'}, {name: two, address: '127.0.0.1:0'}]";
    let gate = pinned(GateBuilder::new(), "self.test", &["127.0.0.1"]);
    let gate = pinned(gate, "mapped.test", &["::ffff:127.0.0.1"]).config(listeners).start();
    let targets = [
        format!("127.0.0.1:{}", gate.listener(0).port()),
        format!("127.0.0.1:{}", gate.listener(1).port()),
        format!("self.test:{}", gate.listener(0).port()),
        format!("mapped.test:{}", gate.listener(1).port()),
        format!("[::ffff:127.0.0.1]:{}", gate.listener(0).port()),
    ];
    for (number, target) in targets.iter().enumerate() {
        let answer = ask(&mut gate.client(), target);
        assert_explained(&answer, "own_listener", &["points at the proxy itself"]);
        // A call to itself would have left a row more.
        assert_never_dialled(&gate.rows_of(number + 1)[number], "own_listener");
    }
}

#[test]
fn tollgate_never_calls_its_own_listener_on_all_addresses_through_another_address() {
    let gate = GateBuilder::new().config("listeners: [{address: '0.0.0.0:0'}]").start();
    let port = gate.address().port();
    let mut client = Client::connect(([127, 0, 0, 1], port).into());
    assert_explained(&ask(&mut client, &format!("127.0.0.9:{port}")), "own_listener", &[]);
    assert_never_dialled(&gate.row(), "own_listener");
}
