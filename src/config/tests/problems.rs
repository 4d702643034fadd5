//! Every way a configuration can be wrong, with its exact text.

use std::fs;

use super::*;

#[test]
fn all_problems_are_reported_at_once_each_at_its_place() {
    let text = "\
listeners:
  - { name: a, address: localhost:3128 }
  - { name: b, address: 127.0.0.1:1 }
  - { name: b, address: 127.0.0.1:1 }
admin: 127.0.0.1:1
threads: 0
policy:
  mode: enforce
  rules:
    - { name: r, hosts: [Hooks.Slack.com] }
    - { name: r, host: x.example.com }
upstream:
  allow_addresses: [10.0.0.0/33]
  resolve: { 'a b': 1.2.3.4, ok.example: nowhere }
tunnel_hosts: ['*']
tunnel_ports: [0]
clients:
  - { name: k, listener: elsewhere }
  - { name: l }
audit: { durability: off, on_failure: hope, sync_interval_ms: 1 }
limits:
  dial_timeout_s: 31
  dns_timeout_s: 30
  idle_timeout_s: 599
log: { format: xml, level: 'a=b=c' }
";
    let overrides = Overrides {
        resolve: strings(&["novalue"]),
        tunnel_host: strings(&["https://x.example/"]),
        ..Overrides::default()
    };
    let error = load(text, &overrides).unwrap_err();
    let problems: Vec<String> = error.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "conf/tollgate.yml:2:25: listeners.address: \"localhost:3128\" is not an IP address and a port; write 127.0.0.1:3128 or [::1]:3128",
            "conf/tollgate.yml:4:25: listeners: the name \"b\" is used twice; give each listener a name of its own",
            "conf/tollgate.yml:4:25: listeners: 127.0.0.1:1 is used twice; give each listener an address of its own",
            "conf/tollgate.yml:5:8: admin: 127.0.0.1:1 is used twice; give each listener an address of its own",
            "conf/tollgate.yml:6:10: threads: 0 is outside 1 to 1024: at least one worker thread is needed",
            "conf/tollgate.yml:10:26: host \"Hooks.Slack.com\" is not canonical; write \"hooks.slack.com\"",
            "conf/tollgate.yml:11:7: rule \"r\" names no hosts; add `hosts` or `connectors` with at least one, or remove the rule",
            "conf/tollgate.yml:11:15: rule \"r\" is already defined in line 10; rename one or merge them",
            "conf/tollgate.yml:11:18: unknown key \"host\"; the keys here are name, hosts, connectors, for",
            "conf/tollgate.yml:13:21: upstream.allow_addresses: \"10.0.0.0/33\" is not a network; write 10.1.2.0/24, or 10.1.2.3 for one address",
            "conf/tollgate.yml:14:21: upstream.resolve: \"a b\" is not a host name: the host contains a character that is not allowed in a name",
            "conf/tollgate.yml:14:42: upstream.resolve: \"nowhere\" is not an IP address; write 203.0.113.7 or 2001:db8::7",
            "conf/tollgate.yml:15:16: host \"*\" would match every host; name the hosts, or use `mode: observe`",
            "conf/tollgate.yml:16:16: tunnel_ports: 0 is outside 1 to 65535: a TCP port is a number in this range",
            "conf/tollgate.yml:18:5: clients \"k\": there is no listener \"elsewhere\"; the listeners are b, b",
            "conf/tollgate.yml:19:5: clients[1] \"l\": nothing says how to recognise it; add listener, sources, username and password, or header",
            "conf/tollgate.yml:20:22: audit.durability: \"off\" is not one of fsync, interval, write",
            "conf/tollgate.yml:20:41: audit.on_failure: \"hope\" is not one of refuse, shutdown, continue",
            "conf/tollgate.yml:20:65: audit.sync_interval_ms: 1 is outside 10 to 60000: shorter costs as much as syncing every commit, longer loses more to a power failure",
            "conf/tollgate.yml:22:19: limits.dial_timeout_s: 31 is outside 1 to 30: a CONNECT must be answered well before Kibana's response timeout of 60 s",
            "conf/tollgate.yml:24:19: limits.idle_timeout_s: 599 is outside 600 to 86400: established streams are quiet for up to 10 minutes",
            "conf/tollgate.yml:25:16: log.format: \"xml\" is not one of text, json",
            "conf/tollgate.yml:25:28: log.level: \"a=b=c\" is not a log filter (invalid filter directive: too many '=' in filter directive, expected 0 or 1); write info, or tollgate=debug",
            "--resolve: \"novalue\" is not HOST=ADDR; write --resolve hooks.slack.com=203.0.113.7",
            "--tunnel-host: host \"https://x.example/\" is a URL; write only its host: \"x.example\"",
        ]
    );
    assert_eq!(error.to_string(), problems.join("\n"));
}

/// Each of these keeps the file from being read at all, so it is reported alone.
#[test]
fn what_is_not_a_configuration_is_named_at_its_place() {
    for (text, expected) in [
        ("lissteners: []\n", "conf/tollgate.yml:1:1: unknown key `lissteners`; did you mean `listeners`?"),
        ("log: { colour: red }\n", "conf/tollgate.yml:1:8: unknown key `colour`; the keys here are format, level"),
        ("threads: 1\nthreads: 2\n", "conf/tollgate.yml:2:1: the key `threads` is there twice; remove one"),
        ("limits:\n  idle_timeout_s: 15m\n", "conf/tollgate.yml:2:19: write a whole number without a unit here"),
        ("threads: -1\n", "conf/tollgate.yml:1:10: write a whole number without a unit here"),
        ("upstream: { system_roots: perhaps }\n", "conf/tollgate.yml:1:27: write true or false here"),
        ("admin: [a]\n", "conf/tollgate.yml:1:8: write a single value here"),
        ("limits: 5\n", "conf/tollgate.yml:1:9: write `key: value` lines here"),
        ("- a\n", "conf/tollgate.yml:1:1: write `key: value` lines here"),
        (
            "limits:\n\tx: 1\n",
            "conf/tollgate.yml:2:2: not valid YAML: tabs disallowed within this context (block indentation)",
        ),
    ] {
        assert_eq!(refused(text), expected);
    }
}

#[test]
fn files_that_belong_together_are_given_together() {
    assert_eq!(
        refused("interception: { ca_cert_file: a.pem }\n"),
        "conf/tollgate.yml:1:31: interception.ca_cert_file is given without interception.ca_key_file; give both or neither"
    );
    assert_eq!(
        refused("listeners:\n  - address: 127.0.0.1:0\n    tls: { key_file: a.key }\n"),
        "conf/tollgate.yml:3:22: listeners.tls.key_file is given without listeners.tls.cert_file; give both or neither"
    );
    let overrides = Overrides { ca_key: Some("k".into()), ..Overrides::default() };
    assert_eq!(
        load("", &overrides).unwrap_err().to_string(),
        "--ca-key: interception.ca_key_file is given without interception.ca_cert_file; give both or neither"
    );
}

/// It would be believed that the process loses a second at most, or never syncs.
#[test]
fn a_sync_interval_for_another_durability_is_a_problem() {
    let text = "audit.sync_interval_ms does nothing without `durability: interval`; add that, or remove this key";
    assert_eq!(refused("audit: { sync_interval_ms: 50 }\n"), format!("conf/tollgate.yml:1:28: {text}"));
    let other = "audit: { sync_interval_ms: 50, durability: write }\n";
    assert_eq!(refused(other), format!("conf/tollgate.yml:1:28: {text}"));
    let file = "audit: { sync_interval_ms: 50, durability: interval }\n";
    let overrides = Overrides { durability: Some("fsync".to_owned()), ..Overrides::default() };
    let config = load(file, &overrides).expect("a flag goes over the file");
    assert_eq!(config.audit.journal.durability, Durability::Fsync);
}

#[test]
fn listeners_that_say_too_little_are_refused() {
    assert_eq!(
        refused("listeners: []\n"),
        "conf/tollgate.yml:1:12: listeners: the list is empty; remove the key to listen on 127.0.0.1:3128"
    );
    assert_eq!(
        refused("listeners: [{ name: a }]\n"),
        "conf/tollgate.yml:1:21: listeners: a listener has no `address`; write address: 127.0.0.1:3128"
    );
    assert_eq!(
        refused("listeners: [{ name: '', address: 127.0.0.1:0 }]\n"),
        "conf/tollgate.yml:1:21: listeners.name: the value is empty; write a value or remove the key"
    );
}

#[test]
fn a_limit_may_not_exceed_the_one_it_is_part_of() {
    assert_eq!(
        refused("limits: { connections_max: 10, connections_per_client_max: 11 }\n"),
        "conf/tollgate.yml:1:60: limits.connections_per_client_max (11) is larger than limits.connections_max (10); \
         lower the first or raise the second"
    );
    assert_eq!(
        refused("limits: { dial_timeout_s: 3, dns_timeout_s: 4 }\n"),
        "conf/tollgate.yml:1:45: limits.dns_timeout_s (4) is larger than limits.dial_timeout_s (3); \
         lower the first or raise the second"
    );
    assert_eq!(accepted("limits: { dial_timeout_s: 3 }\n").limits.dns_timeout, Duration::from_secs(3));
    assert_eq!(accepted("upstream: { pool_idle_max: 3 }\n").upstream.pool_idle_per_destination_max, 3);
}

#[test]
fn files_that_are_named_must_exist_and_are_found_beside_the_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tollgate.yml");
    fs::write(&path, "upstream: { ca_files: [extra.pem] }\npolicy_file: policy.yml\n").unwrap();
    let shown = path.display();
    let beside = |name: &str| directory.path().join(name).display().to_string();
    assert_eq!(
        Config::load(Some(&path), &Overrides::default()).unwrap_err().to_string(),
        format!(
            "{shown}:1:24: upstream.ca_files: {} cannot be opened: No such file or directory (os error 2); \
             name an existing, readable file\n\
             {shown}:2:14: cannot read the policy file {}: No such file or directory (os error 2)",
            beside("extra.pem"),
            beside("policy.yml"),
        )
    );
    fs::write(beside("extra.pem"), "").unwrap();
    fs::write(beside("policy.yml"), "mode: enforce\nrules: [{ name: a, hosts: [a.example.com] }]\n").unwrap();
    let config = Config::load(Some(&path), &Overrides::default()).unwrap();
    assert_eq!(config.policy_source, PolicySource::File(beside("policy.yml").into()));
    assert_eq!((config.policy.mode(), config.policy.rule_count()), (Mode::Enforce, 1));
    assert_eq!(config.upstream.tls.default.ca_files, [directory.path().join("extra.pem")]);

    fs::write(beside("policy.yml"), "mode: perhaps\n").unwrap();
    assert_eq!(
        Config::load(Some(&path), &Overrides::default()).unwrap_err().to_string(),
        format!("{}:1:7: mode \"perhaps\" does not exist; write `observe` or `enforce`", beside("policy.yml"))
    );
}

#[test]
fn a_configuration_that_cannot_be_read_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tollgate.yml");
    let shown = path.display();
    let refused = || Config::load(Some(&path), &Overrides::default()).unwrap_err().to_string();
    assert_eq!(
        refused(),
        format!("{shown}: cannot be read: No such file or directory (os error 2); name an existing, readable file")
    );
    fs::write(&path, "#".repeat(1024 * 1024 + 1)).unwrap();
    assert_eq!(refused(), format!("{shown}: larger than 1048576 bytes; this is not a configuration file"));
}

#[test]
fn a_password_file_is_read_without_its_line_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tollgate.yml");
    let load = || Config::load(Some(&path), &Overrides::default());
    fs::write(&path, "clients: [{ name: k, username: u, password_file: secret }]\n").unwrap();
    let missing = directory.path().join("secret");
    assert_eq!(
        load().unwrap_err().to_string(),
        format!(
            "{}:1:11: clients.password_file: {} cannot be opened: No such file or directory (os error 2); \
             name an existing, readable file",
            path.display(),
            missing.display()
        )
    );
    fs::write(&missing, "pass word\r\n").unwrap();
    let config = load().unwrap();
    let identified = |credentials: &str| {
        let value = format!("Basic {}", base64::Engine::encode(&base64::prelude::BASE64_STANDARD, credentials));
        let facts = crate::client::Facts {
            listener: "default",
            peer_ip: "127.0.0.1".parse().unwrap(),
            proxy_authorization: Some(value.as_bytes()),
            header: &|_| None,
        };
        config.clients.identify(&facts).map(|client| client.unwrap().name().to_string())
    };
    assert_eq!(identified("u:pass word"), Ok("k".to_owned()));
    assert!(identified("u:pass word\r\n").is_err());
}

/// Each of these would be an empty policy, which observes, were the policy's text cut out carelessly.
#[test]
fn a_policy_is_never_read_as_less_than_it_says() {
    for text in [
        "policy: &a\n  mode: enforce\n",
        "policy: !t\n  mode: enforce\n",
        "policy: &a { mode: enforce }\n",
        "policy:\n  mode: &m enforce\n",
        "policy: { mode: enforce, rules: [{ name: it's, hosts: [a.example.com] }] }\nthreads: 1\n",
        "policy: {\n  mode: enforce\n}\nthreads: 1\n",
        "policy: # none\n  # here\n\n  mode: enforce\n",
        "? policy\n: mode: enforce\n",
        "policy: policy.yml\n",
    ] {
        match load(text, &Overrides::default()) {
            Ok(config) => assert_eq!(config.policy.mode(), crate::policy::Mode::Enforce, "{text:?}"),
            Err(error) => assert!(error.to_string().starts_with("conf/tollgate.yml:"), "{text:?}: {error}"),
        }
    }
    assert_eq!(
        refused("tunnel_hosts: [&h a.example.com]\npolicy: { rules: [{ name: a, hosts: [*h] }] }\n"),
        "conf/tollgate.yml:2:9: policy: write `mode:` and `rules:` on lines of their own below `policy:`, \
         without anchors or aliases"
    );
}

#[test]
fn problems_of_the_connectors_file_are_at_their_places_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tollgate.yml");
    fs::write(&path, "connectors_file: own.yml\nthreads: 0\n").unwrap();
    let refused = || {
        let error = Config::load(Some(&path), &Overrides::default()).unwrap_err();
        error.to_string().replace(&directory.path().display().to_string(), "DIR")
    };
    let missing = refused();
    assert!(missing.starts_with("DIR/tollgate.yml:1:18: connectors_file: DIR/own.yml cannot be read: "), "{missing}");
    fs::write(directory.path().join("own.yml"), "connectors:\n  - { id: a, hosts: [B.test] }\n").unwrap();
    assert_eq!(
        refused(),
        "DIR/own.yml:2:11: connector id \"a\" is not a dot followed by up to 63 letters, digits, `-` and `_`; write .my-service\n\
         DIR/own.yml:2:22: host \"B.test\" is not canonical; write \"b.test\"\n\
         DIR/tollgate.yml:2:10: threads: 0 is outside 1 to 1024: at least one worker thread is needed"
    );
}

#[test]
fn a_legal_hold_that_is_not_understood_is_a_problem() {
    let text = "\
audit:
  keep_days: 0
  legal_holds:
    - { deployment: d }
    - { name: a }
    - { name: a, deployment: d, project: p }
    - { name: a, host: '*' }
    - { name: a, deployment: '' }
    - { name: b, project: p, since: 7d }
    - { name: c, project: p, since: 2026-11-22, until: 2026-11-21 }
    - { name: d, project: p }
    - { name: d, project: q }
";
    assert_eq!(
        refused(text),
        [
            "conf/tollgate.yml:2:14: audit.keep_days: 0 is outside 1 to 36500: leave the key out to keep rows for ever; they are removed by whole days",
            "conf/tollgate.yml:4:7: audit.legal_holds: a hold has no `name`; give it the one that the case has",
            "conf/tollgate.yml:5:7: audit.legal_holds: write exactly one of deployment, project and host; make two holds for two of them",
            "conf/tollgate.yml:6:7: audit.legal_holds: write exactly one of deployment, project and host; make two holds for two of them",
            "conf/tollgate.yml:7:24: host \"*\" would match every host; name the hosts, or use `mode: observe`",
            "conf/tollgate.yml:8:30: audit.legal_holds deployment: the value is empty; write a value or remove the key",
            "conf/tollgate.yml:9:37: audit.legal_holds since: \"7d\" is not a time; write 2026-11-22T09:30:00Z, or 2026-11-22 (UTC)",
            "conf/tollgate.yml:10:7: audit.legal_holds: `until` is not after `since`; the hold would be on nothing",
            "conf/tollgate.yml:12:7: audit.legal_holds: the name \"d\" is used twice; give each hold a name of its own",
        ]
        .join("\n")
    );
}
