//! Flags over the file.

use super::*;

#[test]
fn flags_override_the_file() {
    let file = "\
listeners: [{ name: default, address: 127.0.0.1:1 }]
admin: 127.0.0.1:2
data_dir: data
threads: 2
upstream: { resolve: { a.example: 192.0.2.1, b.example: 192.0.2.1 }, allow_addresses: [127.0.0.1] }
tunnel_hosts: [a.example.com]
audit: { durability: write }
";
    let overrides = Overrides {
        listen: strings(&["127.0.0.1:3", "127.0.0.1:4"]),
        admin: Some("127.0.0.1:5".to_owned()),
        data_dir: Some("elsewhere".into()),
        ca_cert: Some("c.pem".into()),
        ca_key: Some("c.key".into()),
        tunnel_host: strings(&["b.example.com"]),
        allow_address: strings(&["127.0.0.2"]),
        resolve: strings(&["B.example=2001:db8::1"]),
        durability: Some("fsync".to_owned()),
        threads: Some(4),
        ..Overrides::default()
    };
    let config = overridden(file, &overrides);
    let listeners: Vec<_> = config.listeners.iter().map(|l| (l.name.to_string(), l.address.port())).collect();
    assert_eq!(listeners, [("default".to_owned(), 3), ("listen-2".to_owned(), 4)]);
    assert_eq!(config.admin.unwrap().port(), 5);
    assert_eq!(config.data_dir.root(), Path::new("elsewhere"), "relative to the working directory");
    assert_eq!(config.interception.authority.cert_file, Path::new("c.pem"));
    assert_eq!(config.tunnel.hosts.len(), 2);
    assert_eq!(config.upstream.allow_addresses.len(), 2);
    let pinned = |name: &str| config.upstream.resolve[&Host::parse(name).unwrap()][0].to_string();
    assert_eq!((pinned("a.example"), pinned("b.example")), ("192.0.2.1".to_owned(), "2001:db8::1".to_owned()));
    assert_eq!(config.audit.journal.durability, Durability::Fsync);
    assert_eq!(config.threads.get(), 4);
}

#[test]
fn allow_host_enforces_with_these_hosts_instead_of_the_files_policy() {
    let overrides =
        Overrides { allow_host: strings(&["hooks.slack.com", "*.example.com:443"]), ..Overrides::default() };
    let config = overridden("policy: { mode: observe, rules: [{ name: a, hosts: [a.example.org] }] }", &overrides);
    assert_eq!((config.policy.mode(), config.policy_source), (Mode::Enforce, PolicySource::Flags));
    assert_eq!(config.policy.rule_count(), 1);
    assert_eq!(config.warnings, []);

    let both = Overrides { policy: Some("p.yml".into()), ..overrides };
    assert_eq!(
        load("", &both).unwrap_err().to_string(),
        "--allow-host: --policy is given too; add the host to the policy file, or leave --policy out"
    );
}

#[test]
fn enforce_changes_the_mode_and_nothing_else() {
    let text = "policy:\n  rules:\n    - { name: a, hosts: [a.example.org] }\nthreads: 1\n";
    assert_eq!(accepted(text).policy.mode(), Mode::Observe);
    let config = overridden(text, &Overrides { enforce: true, ..Overrides::default() });
    assert_eq!((config.policy.mode(), config.policy.rule_count()), (Mode::Enforce, 1));
    assert_eq!(config.warnings, []);
}

#[test]
fn two_policies_are_refused_unless_a_flag_replaces_both() {
    let text = "policy_file: p.yml\npolicy: { mode: enforce }\n";
    assert_eq!(refused(text), "conf/tollgate.yml:1:14: policy_file and policy are both given; remove one");
    let overrides = Overrides { allow_host: strings(&["a.example.com"]), ..Overrides::default() };
    assert_eq!(overridden(text, &overrides).policy_source, PolicySource::Flags);
}
