//! Every message a policy file can earn, at its line and column.

use std::fmt::Write as _;

use proptest::prelude::*;

use crate::attribution::{Claim, Subject};
use crate::client::DeploymentId;
use crate::connectors::Catalogue;
use crate::destination::Destination;
use crate::policy::{Mode, Policy, PolicyLoadError, read_text};

fn policy(yaml: &str) -> Policy {
    Policy::parse(yaml, "policy.yml", &Catalogue::embedded().unwrap()).unwrap_or_else(|error| panic!("{error}"))
}

fn messages(yaml: &str) -> String {
    Policy::parse(yaml, "policy.yml", &Catalogue::embedded().unwrap()).unwrap_err().to_string()
}

/// Name of the rule that allows `deployment` to reach `authority`.
fn allowing_rule(policy: &Policy, deployment: &str, authority: &str) -> Option<String> {
    let claim = Claim::Deployment(DeploymentId::parse(deployment).unwrap());
    let permit = policy.decide(&Subject::new(claim, None), &authority.parse::<Destination>().unwrap()).ok()?;
    permit.rule().map(ToString::to_string)
}

#[test]
fn files_without_rules_and_ids_that_look_like_numbers() {
    for empty in ["", "\n", "# nothing\n", "{}", "rules: []", "mode: observe"] {
        let policy = policy(empty);
        assert_eq!((policy.mode(), policy.rule_count()), (Mode::Observe, 0), "{empty:?}");
    }
    let numbers = policy("mode: enforce\nrules: [{name: 1, hosts: [a.test], for: {deployments: [0123e45, 12]}}]");
    assert_eq!(allowing_rule(&numbers, "0123e45", "a.test:443").as_deref(), Some("1"));
}

#[test]
fn every_problem_of_a_file_is_reported_at_its_place() {
    let yaml = "\
mode: enforcing
default: allow
rule: x
rules:
  - name: slack
    hosts: [Hooks.Slack.com, 'https://hooks.slack.com/services/x', '*', '*.com', a.test, a.test]
    to: everyone
    for: {deployments: [], project: [p], projects: ['a b']}
  - name: slack
    hosts: []
  - hosts: ['b.*.test', 'b.test:0', 'b..test', 127.1]
    for: {}
  - name: flag:x
  - name: everyone
    hosts: ['*.c.test']
  - name: hidden
    hosts: [x.c.test, c.test, '*.x.c.test:443']
    for: {clients: [k, k, '']}
";
    let expected = "\
policy.yml:1:7: mode \"enforcing\" does not exist; write `observe` or `enforce`
policy.yml:2:10: default \"allow\" does not exist; to let everything through and record it, write `mode: observe`
policy.yml:3:1: unknown key \"rule\"; the keys here are mode, default, rules
policy.yml:6:13: host \"Hooks.Slack.com\" is not canonical; write \"hooks.slack.com\"
policy.yml:6:30: host \"https://hooks.slack.com/services/x\" is a URL; write only its host: \"hooks.slack.com\"
policy.yml:6:68: host \"*\" would match every host; name the hosts, or use `mode: observe`
policy.yml:6:73: host \"*.com\" would match a whole top-level domain; add a label, as in \"*.example.com\"
policy.yml:6:90: host \"a.test\" is listed twice in this rule; remove one
policy.yml:7:5: unknown key \"to\"; the keys here are name, hosts, connectors, for
policy.yml:8:24: `deployments` is an empty list; name at least one, or remove the key
policy.yml:8:28: unknown key \"project\"; the keys here are deployments, projects, clients
policy.yml:8:53: id \"a b\": the id contains whitespace, a parenthesis or a control character
policy.yml:9:11: rule \"slack\" is already defined in line 5; rename one or merge them
policy.yml:10:12: rule \"slack\" names no hosts; add `hosts` or `connectors` with at least one, or remove the rule
policy.yml:11:5: the rule has no name; add `name`, it is recorded with every call the rule allows
policy.yml:11:13: host \"b.*.test\" has a `*` that is not a whole first label; write a suffix such as \"*.example.com\"
policy.yml:11:25: host \"b.test:0\": the port is not a decimal number from 1 to 65535 without leading zeros
policy.yml:11:37: host \"b..test\": the name has an empty label (two dots in a row, or a leading dot)
policy.yml:11:48: host \"127.1\": the host ends in a number but is not an IPv4 address of four decimal numbers
policy.yml:12:10: `for` names nobody; list deployments, projects or clients, or remove `for` to mean everyone
policy.yml:13:5: rule \"flag:x\" names no hosts; add `hosts` or `connectors` with at least one, or remove the rule
policy.yml:13:11: rule names starting with `flag:` stand for command line flags; choose another name
policy.yml:17:13: host \"x.c.test\" never decides here: rule \"everyone\" in line 14 allows it for everyone; remove one
policy.yml:17:31: host \"*.x.c.test:443\" never decides here: rule \"everyone\" in line 14 allows it for everyone; remove one
policy.yml:18:24: \"k\" is listed twice; remove one
policy.yml:18:27: the client name is empty";
    let found = messages(yaml);
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.lines().count(), expected.lines().count(), "{found}");
}

#[test]
fn yaml_errors_have_a_place_too() {
    for (yaml, start) in [
        ("rules: {a: b}", "policy.yml:1:8: "),
        ("mode: [x]", "policy.yml:1:7: "),
        ("mode: observe\nmode: enforce\n", "policy.yml:2:1: "),
        ("rules:\n  - name: a\n   hosts: [b]\n", "policy.yml:3:"),
        ("rules: [", "policy.yml:1:"),
        ("just text", "policy.yml:1:1: "),
        ("mode: observe\n---\nmode: enforce\n", "policy.yml:"),
    ] {
        let found = messages(yaml);
        assert!(found.starts_with(start) && found.lines().count() == 1, "{yaml:?}: {found}");
    }
}

#[test]
fn files_are_read_up_to_their_limit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("policy.yml");
    std::fs::write(&path, "mode: enforce\n").unwrap();
    assert_eq!(read_text(&path, 14).unwrap(), "mode: enforce\n");
    assert!(matches!(read_text(&path, 13), Err(PolicyLoadError::TooLarge { max_bytes: 13, .. })));
    std::fs::write(&path, b"\xff").unwrap();
    assert!(matches!(read_text(&path, 100), Err(PolicyLoadError::Unreadable { .. })));
    assert!(matches!(read_text(&dir.path().join("none"), 100), Err(PolicyLoadError::Unreadable { .. })));
}

#[test]
fn many_rules_are_read_whole() {
    let mut yaml = String::from("mode: enforce\nrules:\n");
    for rule in 0..2_000 {
        writeln!(yaml, "- {{name: r{rule}, hosts: [h{rule}.test, '*.s{rule}.test'], for: {{deployments: [d{rule}]}}}}")
            .unwrap();
    }
    let policy = policy(&yaml);
    assert_eq!(policy.rule_count(), 2_000);
    assert_eq!(allowing_rule(&policy, "d1999", "x.s1999.test:443").as_deref(), Some("r1999"));
}

proptest! {
    #[test]
    fn any_text_is_a_policy_or_a_list_of_problems(text in "([a-z]{1,6}|mode|rules|hosts|for|[:\\-\\[\\]{}&*!|>'\"%@#,? \n]){0,40}") {
        if let Err(error) = Policy::parse(&text, "p", &Catalogue::default()) {
            prop_assert!(!error.problems.is_empty() && error.problems.iter().all(|problem| problem.line > 0));
        }
    }
}

#[test]
fn connectors_of_a_rule_are_hosts_that_a_verdict_names() {
    let yaml = "mode: enforce\nrules:\n  - { name: alerts, hosts: [own.test], connectors: [.slack, .pagerduty], for: { clients: [k] } }\n";
    let policy = policy(yaml);
    assert_eq!(policy.rule_count(), 1);
    let presets: Vec<String> = policy.presets().map(|(rule, hosts)| format!("{rule}: {}", hosts[0])).collect();
    assert_eq!(presets, ["alerts (.slack): hooks.slack.com:443", "alerts (.pagerduty): events.pagerduty.com:443"]);
    let k = crate::attribution::Subject::new(crate::attribution::Claim::Absent, None);
    let refused = policy.decide(&k, &"hooks.slack.com:443".parse().unwrap()).unwrap_err();
    assert_eq!((refused.reason.code(), refused.rule.as_deref()), ("subject_not_allowed", Some("alerts (.slack)")));
    let other_port = policy.decide(&k, &"hooks.slack.com:8443".parse().unwrap()).unwrap_err();
    assert_eq!(other_port.reason.code(), "host_not_allowed");
}

#[test]
fn what_a_preset_stands_for_is_part_of_the_hash() {
    let yaml = "rules: [{ name: a, connectors: [.own] }]\n";
    let hash = |hosts: &str| {
        let own = format!("connectors: [{{ id: .own, hosts: [{hosts}] }}]\n");
        Policy::parse(yaml, "p", &Catalogue::extended(&own).unwrap()).unwrap().hash().clone()
    };
    assert_eq!(hash("a.test"), hash("a.test"));
    assert_ne!(hash("a.test"), hash("b.test"));
    assert_ne!(hash("a.test"), hash("a.test, b.test"));
}

#[test]
fn connectors_without_hosts_are_problems_at_their_place() {
    let yaml =
        "rules:\n  - { name: a, connectors: [.slak, .zendesk, .slack, .slack] }\n  - { name: b, connectors: [] }\n";
    assert_eq!(
        messages(yaml),
        "policy.yml:2:29: there is no connector type \".slak\"; did you mean `.slack`?\n\
         policy.yml:2:36: connector \".zendesk\" has a host for each tenant, and `*.zendesk.com:443` would allow everybody's; \
         list yours in `hosts`\n\
         policy.yml:2:54: connector \".slack\" is listed twice in this rule; remove one\n\
         policy.yml:3:28: `connectors` is an empty list; name at least one, or remove the key"
    );
}
