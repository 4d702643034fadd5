//! User-Agents as Kibana's connectors send them, forged and broken ones, and a regex as the second opinion.

use std::sync::LazyLock;

use proptest::prelude::*;
use regex::bytes::Regex;

use super::*;
use crate::client::{ClientSettings, Clients, Facts};

fn read(lines: &[&str]) -> Claim {
    Claim::read(lines.iter().map(|line| line.as_bytes()))
}

fn deployment(id: &str) -> Claim {
    Claim::Deployment(DeploymentId::parse(id).unwrap())
}

fn project(id: &str) -> Claim {
    Claim::Project(ProjectId::parse(id).unwrap())
}

#[test]
fn fragments_are_found_after_any_product() {
    let id = "0763c7f3a5cf4fc78981d801d2b8af6a";
    assert_eq!(read(&[&format!("axios/1.7.2 elastic (deployment:{id})")]), deployment(id));
    assert_eq!(read(&["kibana-mcp-client elastic (project:proj-abc)"]), project("proj-abc"));
    assert_eq!(read(&["elastic (project:p) axios/1.13.5"]), project("p"));
    assert_eq!(read(&["a/1 (x;(y)) elastic (deployment:d?q=1)"]), deployment("d?q=1"));
    assert_eq!(read(&["axios/1", "x elastic (deployment:d)"]), deployment("d"));
}

#[test]
fn user_agents_without_a_fragment_are_absent_claims() {
    for user_agent in [
        "",
        "axios/1.7.2",
        "@slack:webhook/7.2.0 node/20.20.2 linux/6",
        "ElasticKibana",
        "elastic",
        "elastic (",
        "Elastic (deployment:a)",
        "elastic(deployment:a)",
        "elastic  (deployment:a)",
        "elastic (Deployment:a)",
        "elastic (X11; Linux)",
        "notelastic (deployment:a)",
        "elastic (deployment a)",
        "elastic (id:deployment:a)",
    ] {
        assert_eq!(read(&[user_agent]), Claim::Absent, "{user_agent}");
    }
    assert_eq!(read(&[]), Claim::Absent);
}

#[test]
fn ids_have_exact_limits() {
    let longest = "é".repeat(128);
    assert_eq!(read(&[&format!("elastic (deployment:{longest})")]), deployment(&longest));
    for id in ["", " ", "a b", "a(b", "a\u{a0}b", "a\tb", "a\u{1}", &"a".repeat(129), &"é".repeat(129)] {
        assert_eq!(read(&[&format!("axios/1 elastic (deployment:{id})")]), Claim::Malformed, "{id:?}");
        assert_eq!(read(&[&format!("axios/1 elastic (project:{id})")]), Claim::Malformed, "{id:?}");
    }
    assert_eq!(read(&["elastic (deployment:abc"]), Claim::Malformed);
    assert_eq!(Claim::read([b"elastic (deployment:\xff)".as_slice()]), Claim::Malformed);
    assert_eq!(Claim::read([b"\xff\xfe elastic (deployment:a) \xff".as_slice()]), deployment("a"));
}

#[test]
fn several_fragments_agree_or_contradict() {
    assert_eq!(read(&["elastic (deployment:a) elastic (deployment:a)", "elastic (deployment:a)"]), deployment("a"));
    assert_eq!(read(&["elastic (deployment:a)", "elastic (project:p)"]), project("p"));
    assert_eq!(read(&["elastic (deployment:a) elastic (deployment:b)"]), Claim::Contradicting);
    assert_eq!(read(&["elastic (project:a)", "elastic (project:b)", "elastic (project:a)"]), Claim::Contradicting);
    assert_eq!(read(&["elastic (deployment:a) elastic (deployment:b) elastic (project:p)"]), Claim::Contradicting);
    assert_eq!(read(&["elastic (deployment:a) elastic (deployment:)"]), Claim::Malformed);
    // Equal text of different kinds is no contradiction.
    assert_eq!(read(&["elastic (deployment:a) elastic (project:a)"]), project("a"));
}

#[test]
fn a_line_full_of_unclosed_fragments_is_read_once() {
    let line = "elastic (deployment:".repeat(50_000);
    assert_eq!(read(&[&line]), Claim::Malformed);
}

/// The identity of a client on listener `l` with these bound ids, in YAML flow syntax.
fn subject(bound: &str, claim: Claim) -> Subject {
    let yaml = format!("[{{name: kibana, listener: l{bound}}}]");
    let clients = Clients::compile(serde_saphyr::from_str::<Vec<ClientSettings>>(&yaml).unwrap()).unwrap();
    let peer_ip = [10, 0, 0, 1].into();
    let facts = Facts { listener: "l", peer_ip, proxy_authorization: None, header: &|_| None };
    Subject::new(claim, clients.identify(&facts).unwrap())
}

#[test]
fn bound_ids_verify_or_contradict_the_claim() {
    use IdAssurance as A;
    let cases = [
        ("", deployment("a"), A::Claimed, Some("a"), None),
        ("", Claim::Absent, A::Absent, None, None),
        (", deployments: [a, b]", deployment("b"), A::Verified, Some("b"), None),
        (", deployments: [a, b]", deployment("c"), A::Mismatch, Some("c"), None),
        (", deployments: [a, b]", project("a"), A::Mismatch, None, Some("a")),
        (", deployments: [a, b]", Claim::Absent, A::Absent, None, None),
        (", deployments: [a]", Claim::Absent, A::Bound, Some("a"), None),
        (", projects: [p]", Claim::Absent, A::Bound, None, Some("p")),
        (", projects: [p]", project("p"), A::Verified, None, Some("p")),
        (", deployments: [a], projects: [p]", Claim::Absent, A::Absent, None, None),
        (", deployments: [a]", Claim::Contradicting, A::Contradicting, None, None),
        (", deployments: [a]", Claim::Malformed, A::Malformed, None, None),
    ];
    for (bound, claim, assurance, deployment, project) in cases {
        let subject = subject(bound, claim.clone());
        assert_eq!(subject.assurance, assurance, "{bound} {claim:?}");
        assert_eq!(subject.deployment.as_ref().map(DeploymentId::as_str), deployment, "{bound} {claim:?}");
        assert_eq!(subject.project.as_ref().map(ProjectId::as_str), project, "{bound} {claim:?}");
        assert_eq!(subject.client.as_deref(), Some("kibana"));
    }
    assert_eq!(Subject::new(deployment("a"), None).assurance, A::Claimed);
    assert_eq!(Subject::new(deployment("a"), None).client, None);
}

#[test]
fn the_first_product_is_kept_as_written() {
    assert_eq!(product("axios/1.7.2 elastic (deployment:a)"), Some("axios/1.7.2"));
    assert_eq!(product("@slack:webhook/7.2.0 node/20"), Some("@slack:webhook/7.2.0"));
    assert_eq!(product("OpenAI/JS 4.104.0"), Some("OpenAI/JS"));
    assert_eq!(product("node"), Some("node"));
    assert_eq!(product("a(b)"), Some("a"));
    assert_eq!(product(""), None);
    assert_eq!(product("(comment) a/1"), None);
    assert_eq!(product(&"é".repeat(100)).map(str::len), Some(128));
    assert_eq!(product(&format!("a{}", "é".repeat(100))).map(str::len), Some(127));
}

/// What the scan means, written as regular expressions.
fn naive(line: &[u8]) -> Claim {
    static OPENED: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?-u:^|[^A-Za-z0-9!#$%&'*+.^_`|~-])elastic \((deployment|project):").unwrap());
    static CLOSED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^([^\s()\p{Cc}]{1,128})\)").unwrap());
    let (mut deployments, mut projects) = (Vec::new(), Vec::new());
    for opened in OPENED.captures_iter(line) {
        let Some(closed) = CLOSED.captures(&line[opened.get(0).unwrap().end()..]) else {
            return Claim::Malformed;
        };
        let id = std::str::from_utf8(&closed[1]).unwrap().to_owned();
        if &opened[1] == b"project" {
            projects.push(id);
        } else {
            deployments.push(id);
        }
    }
    for ids in [&mut projects, &mut deployments] {
        ids.sort();
        ids.dedup();
    }
    match (projects.as_slice(), deployments.as_slice()) {
        ([_, _, ..], _) | (_, [_, _, ..]) => Claim::Contradicting,
        ([id], _) => project(id),
        ([], [id]) => deployment(id),
        ([], []) => Claim::Absent,
    }
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"elastic (".to_vec()),
        Just(b"deployment:".to_vec()),
        Just(b"project:".to_vec()),
        Just(b" ".to_vec()),
        Just(b")".to_vec()),
        Just(b"elastic (deployment:a)".to_vec()),
        Just(b" elastic (project:p)".to_vec()),
        "[ab]{1,3}|[xé]{120,130}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..4),
    ]
}

proptest! {
    #[test]
    fn the_scan_agrees_with_regular_expressions(pieces in proptest::collection::vec(piece(), 0..12)) {
        let line = pieces.concat();
        prop_assert_eq!(Claim::read([line.as_slice()]), naive(&line));
    }

    #[test]
    fn products_are_prefixes(user_agent in "\\PC{0,200}") {
        if let Some(product) = product(&user_agent) {
            prop_assert!(user_agent.starts_with(product) && product.len() <= 128);
        }
    }
}
