//! Decisions against a naive evaluator, and every message a policy file can earn.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::attribution::Claim;
use crate::connectors::Catalogue;
use crate::record::Decision;

fn destination(authority: &str) -> Destination {
    authority.parse().unwrap()
}

/// A subject by its claimed deployment and recognised client.
fn subject(deployment: Option<&str>, client: Option<&str>) -> Subject {
    let claim = deployment.map_or(Claim::Absent, |id| Claim::Deployment(DeploymentId::parse(id).unwrap()));
    Subject { client: client.map(Arc::from), ..Subject::new(claim, None) }
}

fn policy(yaml: &str) -> Policy {
    Policy::parse(yaml, "policy.yml", &Catalogue::default()).unwrap_or_else(|error| panic!("{error}"))
}

const SAMPLE: &str = "
mode: enforce
default: deny
rules:
  - name: slack
    hosts: [hooks.slack.com]
    for:
      deployments: [alpha]
  - name: jira
    hosts: ['*.atlassian.net:443', '[2001:db8::1]']
    for: {deployments: [beta], clients: [batch]}
  - name: ticketing
    hosts: ['*.atlassian.net']
    for: {projects: [p1]}
  - name: open
    hosts: [status.example.com]
";

#[test]
fn the_first_rule_that_admits_the_subject_allows() {
    let policy = policy(SAMPLE);
    let project = Subject::new(Claim::Project(ProjectId::parse("p1").unwrap()), None);
    let cases = [
        (subject(Some("alpha"), None), "hooks.slack.com:443", Ok("slack")),
        (subject(Some("alpha"), None), "hooks.slack.com:8443", Ok("slack")),
        (subject(Some("beta"), None), "hooks.slack.com:443", Err((DenyReason::SubjectNotAllowed, Some("slack")))),
        (subject(None, None), "hooks.slack.com:443", Err((DenyReason::SubjectNotAllowed, Some("slack")))),
        (subject(Some("beta"), None), "a.atlassian.net:443", Ok("jira")),
        (subject(None, Some("batch")), "a.b.atlassian.net:443", Ok("jira")),
        (subject(Some("beta"), None), "a.atlassian.net:80", Err((DenyReason::SubjectNotAllowed, Some("ticketing")))),
        (project.clone(), "a.atlassian.net:443", Ok("ticketing")),
        (project, "a.atlassian.net:80", Ok("ticketing")),
        (subject(Some("beta"), None), "atlassian.net:443", Err((DenyReason::HostNotAllowed, None))),
        (subject(Some("beta"), None), "evilatlassian.net:443", Err((DenyReason::HostNotAllowed, None))),
        (subject(Some("beta"), None), "[2001:db8::1]:443", Ok("jira")),
        (subject(None, None), "status.example.com:80", Ok("open")),
        (subject(None, None), "x.status.example.com:80", Err((DenyReason::HostNotAllowed, None))),
    ];
    for (subject, authority, expected) in cases {
        let judged = policy.decide(&subject, &destination(authority));
        let judged = match &judged {
            Ok(permit) => {
                assert_eq!((permit.decision(), permit.would_deny()), (Decision::Allow, None));
                assert_eq!(permit.destination(), &destination(authority));
                Ok(permit.rule().map(|rule| &**rule).unwrap())
            }
            Err(deny) => Err((deny.reason, deny.rule.as_deref())),
        };
        assert_eq!(judged, expected, "{subject:?} {authority}");
    }
}

#[test]
fn observing_permits_everything_and_says_what_enforcing_would_refuse() {
    let policy = policy(SAMPLE).with_mode(Mode::Observe);
    let permit = policy.decide(&subject(Some("beta"), None), &destination("hooks.slack.com:443")).unwrap();
    assert_eq!(permit.decision(), Decision::WouldDeny);
    assert_eq!(permit.would_deny(), Some(DenyReason::SubjectNotAllowed));
    assert_eq!(permit.rule().map(|rule| &**rule), Some("slack"));
    let permit = policy.decide(&subject(None, None), &destination("evil.example:443")).unwrap();
    assert_eq!((permit.would_deny(), permit.rule()), (Some(DenyReason::HostNotAllowed), None));
    let permit = policy.decide(&subject(Some("alpha"), None), &destination("hooks.slack.com:443")).unwrap();
    assert_eq!(permit.decision(), Decision::Allow);
}

#[test]
fn a_mismatch_is_refused_whatever_the_rules_say() {
    let policy = policy(SAMPLE);
    let mismatch = Subject { assurance: IdAssurance::Mismatch, ..subject(Some("alpha"), Some("kibana")) };
    for (authority, rule) in
        [("hooks.slack.com:443", Some("slack")), ("status.example.com:443", Some("open")), ("x.test:1", None)]
    {
        let deny = policy.decide(&mismatch, &destination(authority)).unwrap_err();
        assert_eq!((deny.reason, deny.rule.as_deref()), (DenyReason::IdentityMismatch, rule));
    }
    let observed = policy.with_mode(Mode::Observe).decide(&mismatch, &destination("status.example.com:443")).unwrap();
    assert_eq!(observed.would_deny(), Some(DenyReason::IdentityMismatch));
}

#[test]
fn tolerance_is_for_observing_only() {
    let policy = policy(SAMPLE);
    let smtp = destination("status.example.com:25");
    let deny = policy.tolerate(&smtp, DenyReason::UnknownProtocol).unwrap_err();
    assert_eq!(deny.reason, DenyReason::UnknownProtocol);
    let permit = policy.with_mode(Mode::Observe).tolerate(&smtp, DenyReason::UnknownProtocol).unwrap();
    assert_eq!((permit.decision(), permit.would_deny()), (Decision::WouldDeny, Some(DenyReason::UnknownProtocol)));
}

#[test]
fn refusals_explain_themselves() {
    let policy = policy(SAMPLE);
    let deny = policy.decide(&subject(None, None), &destination("evil.example:443")).unwrap_err();
    assert_eq!(deny.to_string(), "no policy rule allows evil.example:443");
    assert_eq!(deny.remedy(), "Add \"evil.example\" to the hosts of a rule in the Tollgate policy.");
    let deny = policy.decide(&subject(None, None), &destination("hooks.slack.com:443")).unwrap_err();
    assert_eq!(
        deny.to_string(),
        "policy rule \"slack\" allows hooks.slack.com:443, but not for this deployment, project or client"
    );
    assert!(deny.remedy().contains("rule \"slack\""), "{}", deny.remedy());
}

#[test]
fn flags_make_a_policy_of_one_rule() {
    let hosts = ["a.test", "*.b.test:8443", "a.test"].map(|host| HostPattern::parse(host).unwrap());
    let policy = Policy::from_flags(false, &hosts);
    assert_eq!(policy.mode(), Mode::Enforce);
    let permit = policy.decide(&subject(None, None), &destination("x.b.test:8443")).unwrap();
    assert_eq!(permit.rule().map(|rule| &**rule), Some("flag:--allow-host"));
    assert_eq!(permit.policy_hash(), policy.hash());
    assert!(policy.decide(&subject(None, None), &destination("x.b.test:443")).is_err());
    assert_eq!(Policy::from_flags(false, &[]).mode(), Mode::Observe);
    assert!(Policy::from_flags(true, &[]).decide(&subject(None, None), &destination("a.test:443")).is_err());
}

#[test]
fn the_hash_follows_meaning_not_spelling() {
    let base = "mode: enforce\nrules:\n- {name: a, hosts: [x.test, y.test], for: {deployments: [d, e]}}\n";
    let respelled = "# same\nrules:\n  - for:\n      deployments: [e, 'd']\n    hosts: [y.test, x.test]\n    name: a\nmode: enforce\n";
    assert_eq!(policy(base).hash(), policy(respelled).hash());
    assert_eq!(policy(base).hash().len(), 64);
    for changed in [
        base.replace("enforce", "observe"),
        base.replace("name: a", "name: b"),
        base.replace("y.test", "z.test"),
        base.replace("y.test", "'y.test:443'"),
        base.replace("deployments", "projects"),
        base.replace("[d, e]", "[d]"),
    ] {
        assert_ne!(policy(base).hash(), policy(&changed).hash(), "{changed}");
    }
    // The documented form, so that the value can be recomputed elsewhere.
    let form = "tollgate-policy-1\nmode enforce\nrule \"a\"\nhost \"x.test\"\nhost \"y.test\"\ndeployment \"d\"\ndeployment \"e\"\n";
    let mut expected = String::new();
    for byte in aws_lc_rs::digest::digest(&SHA256, form.as_bytes()).as_ref() {
        write!(expected, "{byte:02x}").unwrap();
    }
    assert_eq!(**policy(base).hash(), *expected);
}

#[test]
fn patterns_have_one_spelling() {
    for pattern in
        ["a.test", "*.a.test", "a.test:443", "*.a.test:8443", "10.0.0.1", "[2001:db8::1]", "[::1]:443", "*.internal"]
    {
        assert_eq!(HostPattern::parse(pattern).unwrap().to_string(), pattern);
    }
    for (written, canonical) in [
        ("A.test", "a.test"),
        ("a.test.", "a.test"),
        ("2001:db8::1", "[2001:db8::1]"),
        ("[2001:DB8::1]:443", "[2001:db8::1]:443"),
        ("*.Bücher.example", "*.xn--bcher-kva.example"),
    ] {
        let expected = HostPatternError::NotCanonical { written: written.to_owned(), canonical: canonical.to_owned() };
        assert_eq!(HostPattern::parse(written), Err(expected));
    }
    for (written, host) in
        [("https://a.test", "a.test"), ("a.test/x", "a.test"), ("http://*.A.test:80/?", "*.a.test:80")]
    {
        let expected = HostPatternError::Url { written: written.to_owned(), host: host.to_owned() };
        assert_eq!(HostPattern::parse(written), Err(expected));
    }
    for refused in
        ["", "*", "*.", "*:443", "*a.test", "*.*.test", "*.com", "*.0.0.1", "*.1", "u@a.test", "a.test:", "a.test:080"]
    {
        let error = HostPattern::parse(refused).unwrap_err();
        assert!(
            !matches!(error, HostPatternError::NotCanonical { .. } | HostPatternError::Url { .. }),
            "{refused}: {error}"
        );
    }
}

#[test]
fn suffixes_match_whole_labels_and_never_the_apex() {
    let suffix = HostPattern::parse("*.a.test").unwrap();
    for (authority, matches) in [
        ("x.a.test:1", true),
        ("x.y.a.test:1", true),
        ("a.test:1", false),
        ("xa.test:1", false),
        ("a.test.evil.example:1", false),
    ] {
        assert_eq!(suffix.matches(&destination(authority)), matches, "{authority}");
    }
    assert!(!HostPattern::parse("x.a.test:443").unwrap().matches(&destination("x.a.test:80")));
}

#[test]
fn a_pattern_is_open_only_when_all_it_matches_is() {
    let rules = "rules: [{name: a, hosts: ['p.test:443', '*.s.test', '*.t.test:443', '10.0.0.1']},
                        {name: b, hosts: [q.test], for: {clients: [k]}}]";
    let policy = policy(rules);
    let open = |pattern: &str| policy.rules.index.open_to_everyone(&HostPattern::parse(pattern).unwrap()).is_some();
    for pattern in ["p.test:443", "x.s.test", "x.s.test:1", "*.s.test", "*.x.s.test:1", "x.t.test:443", "10.0.0.1:80"] {
        assert!(open(pattern), "{pattern}");
    }
    for pattern in ["p.test", "p.test:80", "s.test", "x.t.test", "*.t.test", "q.test", "*.p.test", "10.0.0.2", "*.test"]
    {
        assert!(!open(pattern), "{pattern}");
    }
}

/// Loops over all rules, as the file is read by a person.
fn naive(
    rules: &[Rule],
    subject: &Subject,
    destination: &Destination,
) -> Result<Arc<str>, (DenyReason, Option<Arc<str>>)> {
    let naming: Vec<_> = rules.iter().filter(|rule| rule.hosts.iter().any(|host| host.matches(destination))).collect();
    let admits = |subjects: &Subjects| {
        subject.deployment.as_ref().is_some_and(|id| subjects.deployments.contains(id))
            || subject.project.as_ref().is_some_and(|id| subjects.projects.contains(id))
            || subject.client.as_ref().is_some_and(|name| subjects.clients.contains(name))
    };
    let first = naming.first().map(|rule| Arc::clone(&rule.name));
    if subject.assurance == IdAssurance::Mismatch {
        return Err((DenyReason::IdentityMismatch, first));
    }
    match naming.iter().find(|rule| rule.subjects.as_deref().is_none_or(admits)) {
        Some(rule) => Ok(Arc::clone(&rule.name)),
        None if first.is_some() => Err((DenyReason::SubjectNotAllowed, first)),
        None => Err((DenyReason::HostNotAllowed, None)),
    }
}

fn any_pattern() -> impl Strategy<Value = HostPattern> {
    "(\\*\\.)?([ab]\\.){0,2}[ab]\\.test(:(80|443))?|10\\.0\\.0\\.[12]|\\[::1\\](:80)?"
        .prop_map(|pattern| HostPattern::parse(&pattern).unwrap())
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let ids = || proptest::collection::vec("[xyz]", 0..3);
    let subjects = proptest::option::of((ids(), ids(), ids()));
    (proptest::collection::vec(any_pattern(), 1..4), subjects).prop_map(|(hosts, subjects)| {
        let subjects = subjects.map(|(deployments, projects, clients)| Subjects {
            deployments: deployments.iter().map(|id| DeploymentId::parse(id).unwrap()).collect(),
            projects: projects.iter().map(|id| ProjectId::parse(id).unwrap()).collect(),
            clients: clients.iter().map(|name| Arc::from(name.as_str())).collect(),
        });
        Rule { connector: None, name: Arc::from(""), hosts, subjects: subjects.map(Arc::new) }
    })
}

fn enforcing(list: Vec<Rule>) -> Policy {
    let mut index = Index::default();
    for (position, rule) in (0..).zip(&list) {
        for host in &rule.hosts {
            index.insert(host, position, rule.subjects.as_deref());
        }
    }
    Policy::new(Mode::Enforce, Rules { list, index })
}

proptest! {
    #[test]
    fn the_index_agrees_with_a_loop_over_the_rules(
        mut rules in proptest::collection::vec(any_rule(), 0..8),
        host in "([ab]\\.){0,4}test|10\\.0\\.0\\.[12]|\\[::1\\]",
        port in prop_oneof![Just(80u16), Just(443), Just(25)],
        deployment in proptest::option::of("[xyz]"),
        client in proptest::option::of("[xyz]"),
        mismatch in proptest::bool::weighted(0.1),
    ) {
        for (position, rule) in rules.iter_mut().enumerate() {
            rule.name = Arc::from(position.to_string());
        }
        let mut subject = subject(deployment.as_deref(), client.as_deref());
        if mismatch {
            subject.assurance = IdAssurance::Mismatch;
        }
        let destination = destination(&format!("{host}:{port}"));
        let policy = enforcing(rules.clone());
        let judged = policy.decide(&subject, &destination);
        let judged = judged.map(|permit| permit.rule().cloned().unwrap()).map_err(|deny| (deny.reason, deny.rule));
        prop_assert_eq!(judged, naive(&rules, &subject, &destination));
    }

    #[test]
    fn a_host_reported_as_open_to_everyone_is_decided_by_that_rule_or_an_earlier_one(
        mut rules in proptest::collection::vec(any_rule(), 1..6),
        pattern in "(\\*\\.)?(a\\.){0,2}a\\.test(:443)?".prop_map(|pattern| HostPattern::parse(&pattern).unwrap()),
        host in "(a\\.){1,4}test",
        port in prop_oneof![Just(80u16), Just(443)],
        deployment in proptest::option::of("[xyz]"),
    ) {
        for (position, rule) in rules.iter_mut().enumerate() {
            rule.name = Arc::from(position.to_string());
        }
        let policy = enforcing(rules);
        let destination = destination(&format!("{host}:{port}"));
        if let Some(open) = policy.rules.index.open_to_everyone(&pattern).filter(|_| pattern.matches(&destination)) {
            let permit = policy.decide(&subject(deployment.as_deref(), None), &destination).unwrap();
            prop_assert!(permit.rule().unwrap().parse::<Position>().unwrap() <= open);
        }
    }
}

#[test]
fn two_patterns_meet_in_the_narrower_one() {
    for (one, another, expected) in [
        ("a.test", "a.test", Some("a.test")),
        ("a.test", "b.test", None),
        ("*.b.test", "a.b.test", Some("a.b.test")),
        ("*.b.test", "*.a.b.test:443", Some("*.a.b.test:443")),
        ("*.b.test:443", "a.b.test", Some("a.b.test:443")),
        ("*.b.test:443", "a.b.test:8443", None),
        ("*.b.test", "b.test", None),
        ("*.a.test", "*.b.test", None),
    ] {
        let pattern = |text: &str| HostPattern::parse(text).unwrap();
        let expected = expected.map(pattern);
        assert_eq!(pattern(one).meet(&pattern(another)), expected, "{one} {another}");
        assert_eq!(pattern(another).meet(&pattern(one)), expected, "{another} {one}");
    }
}
