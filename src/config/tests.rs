use std::fs;

use super::*;
use crate::destination::Destination;
use crate::journal::Durability;
use crate::policy::Mode;

/// Checks a configuration text as if it were the file `conf/tollgate.yml`.
fn load(text: &str, overrides: &Overrides) -> Result<Config, ConfigError> {
    Config::from_text(Some(Path::new("conf/tollgate.yml")), text, overrides)
}

fn accepted(text: &str) -> Config {
    load(text, &Overrides::default()).unwrap()
}

fn refused(text: &str) -> String {
    load(text, &Overrides::default()).unwrap_err().to_string()
}

fn overridden(text: &str, overrides: &Overrides) -> Config {
    load(text, overrides).unwrap()
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

fn destination(text: &str) -> Destination {
    Destination::from_connect(text).unwrap()
}

#[test]
fn without_file_and_flags_the_defaults_are_the_documented_ones() {
    let config = Config::load(None, &Overrides::default()).unwrap();
    let default = Listener {
        name: "default".into(),
        address: "127.0.0.1:3128".parse().unwrap(),
        tls: None,
    };
    assert_eq!(config.listeners, [default]);
    assert_eq!(config.admin, None);
    assert_eq!(config.data_dir, DataDir::new("tollgate-data"));
    assert_eq!(config.policy.mode(), Mode::Observe);
    assert_eq!(config.policy_source, PolicySource::BuiltIn);
    assert_eq!(config.interception.authority.cert_file, Path::new("certs/ca.pem"));
    assert_eq!(config.interception.authority.key_file, Path::new("certs/ca.key"));
    assert_eq!(
        config.interception.authority.leaf_valid,
        Duration::from_secs(190 * 86_400)
    );
    assert_eq!(config.tunnel.ports, [25, 465, 587, 2525]);
    assert!(config.upstream.system_roots && config.upstream.allow_addresses.is_empty());
    assert_eq!(
        config.audit.journal,
        journal::Settings::new("tollgate-data/journal".into())
    );
    assert_eq!(
        config.audit.url_fingerprint_key_file,
        Path::new("tollgate-data/keys/url-fingerprint.key")
    );
    assert_eq!(
        config.log,
        Log {
            format: LogFormat::Text,
            level: "info".to_owned()
        }
    );
    let limits = Limits {
        http2_streams_max: 100,
        header_bytes_max: 65_536,
        header_fields_max: 100,
        connections_max: 10_000,
        connections_per_client_max: 2048,
        connect_wait: Duration::from_secs(30),
        handshake_timeout: Duration::from_secs(10),
        dial_timeout: Duration::from_secs(15),
        response_head_timeout: Duration::from_secs(300),
        idle_timeout: Duration::from_secs(900),
        keep_alive_timeout: Duration::from_secs(60),
        drain_timeout: Duration::from_secs(20),
        dns_timeout: Duration::from_secs(5),
    };
    assert_eq!(config.limits, limits);
    assert_eq!(config.warnings, [Warning::ObserveOnly]);
}

#[test]
fn an_empty_file_is_the_defaults() {
    for text in ["", "# nothing\n", "listeners:\nlimits: {}\n"] {
        let config = accepted(text);
        assert_eq!(config.listeners.len(), 1, "{text:?}");
        assert_eq!(config.data_dir, DataDir::new("tollgate-data"), "{text:?}");
    }
}

#[test]
fn every_key_reaches_its_setting() {
    let config = accepted(
        "\
listeners: [{ name: inside, address: '[::1]:8080' }, { name: other, address: 127.0.0.1:0 }]
admin: 127.0.0.1:3129
data_dir: data
threads: 3
interception: { ca_cert_file: a.pem, ca_key_file: /b.key, leaf_cache_entries: 7, leaf_valid_days: 30 }
upstream:
  system_roots: false
  allow_addresses: [127.0.0.0/8, 10.1.2.3]
  resolve: { Hooks.Slack.com: 203.0.113.7 }
  pool_idle_per_destination_max: 3
  pool_idle_max: 4
  pool_idle_timeout_s: 5
  dns_cache_ttl_s: 0
  dns_cache_entries: 6
policy: { mode: enforce }
tunnel_hosts: ['*.bank.example']
tunnel_ports: [2525]
clients: [{ name: kibana, listener: inside, deployments: [d1] }]
audit:
  durability: write
  seal_after_s: 11
  segment_bytes_max: 2097152
  commit_gap_us: 12
  wait_max_ms: 13
  backlog_frames_max: 1400
  free_bytes_min: 1500000
  url_fingerprint_key_file: f.key
limits: { connections_max: 100, drain_timeout_s: 0 }
log: { format: json, level: 'warn,tollgate=debug' }
",
    );
    assert_eq!(config.listeners[0].address, "[::1]:8080".parse().unwrap());
    assert_eq!(config.admin, Some("127.0.0.1:3129".parse().unwrap()));
    assert_eq!(config.data_dir.audit(), Path::new("conf/data/audit"));
    assert_eq!(config.threads.get(), 3);
    assert_eq!(config.interception.authority.cert_file, Path::new("conf/a.pem"));
    assert_eq!(config.interception.authority.key_file, Path::new("/b.key"));
    assert_eq!(config.interception.leaf_cache_entries, 7);
    let networks: Vec<IpNet> = vec!["127.0.0.0/8".parse().unwrap(), "10.1.2.3/32".parse().unwrap()];
    assert_eq!(config.upstream.allow_addresses, networks);
    let pinned = config.upstream.resolve.get(&Host::parse("hooks.slack.com").unwrap());
    assert_eq!(pinned, Some(&vec!["203.0.113.7".parse().unwrap()]));
    assert_eq!(
        (
            config.upstream.pool_idle_per_destination_max,
            config.upstream.pool_idle_max
        ),
        (3, 4)
    );
    assert_eq!(config.upstream.dns_cache_ttl, Duration::ZERO);
    assert_eq!(
        (config.policy.mode(), &config.policy_source),
        (Mode::Enforce, &PolicySource::Inline("conf/tollgate.yml".into()))
    );
    assert!(config.tunnel.hosts[0].matches(&destination("www.bank.example:443")));
    assert_eq!(config.tunnel.ports, [2525]);
    assert!(!config.clients.is_empty());
    let journal = journal::Settings {
        durability: Durability::Write,
        seal_after: Duration::from_secs(11),
        segment_bytes_max: 2_097_152,
        commit_gap: Duration::from_micros(12),
        wait_max: Duration::from_millis(13),
        backlog_frames_max: 1400,
        free_bytes_min: 1_500_000,
        ..journal::Settings::new("conf/data/journal".into())
    };
    assert_eq!(config.audit.journal, journal);
    assert_eq!(config.audit.url_fingerprint_key_file, Path::new("conf/f.key"));
    assert_eq!(
        (config.limits.connections_max, config.limits.connections_per_client_max),
        (100, 100)
    );
    assert_eq!(
        config.log,
        Log {
            format: LogFormat::Json,
            level: "warn,tollgate=debug".to_owned()
        }
    );
    assert_eq!(
        config.warnings,
        [
            Warning::AllowedAddresses("10.1.2.3/32".parse().unwrap()),
            Warning::DurabilityWrite
        ]
    );
}

#[test]
fn the_journal_accepts_the_ends_of_every_range() {
    for text in [
        "audit: { segment_bytes_max: 1048576, backlog_frames_max: 1024, free_bytes_min: 1048576, commit_gap_us: 0, wait_max_ms: 10 }",
        "audit: { segment_bytes_max: 268435456, backlog_frames_max: 10000000, commit_gap_us: 100000, wait_max_ms: 30000 }",
    ] {
        accepted(text).audit.journal.check().unwrap();
    }
}

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
audit: { durability: maybe }
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
            "conf/tollgate.yml:11:7: rule \"r\" names no hosts; add `hosts` with at least one, or remove the rule",
            "conf/tollgate.yml:11:15: rule \"r\" is already defined in line 10; rename one or merge them",
            "conf/tollgate.yml:11:18: unknown key \"host\"; the keys here are name, hosts, for",
            "conf/tollgate.yml:13:21: upstream.allow_addresses: \"10.0.0.0/33\" is not a network; write 10.1.2.0/24, or 10.1.2.3 for one address",
            "conf/tollgate.yml:14:21: upstream.resolve: \"a b\" is not a host name: the host contains a character that is not allowed in a name",
            "conf/tollgate.yml:14:42: upstream.resolve: \"nowhere\" is not an IP address; write 203.0.113.7 or 2001:db8::7",
            "conf/tollgate.yml:15:16: host \"*\" would match every host; name the hosts, or use `mode: observe`",
            "conf/tollgate.yml:16:16: tunnel_ports: 0 is outside 1 to 65535: a TCP port is a number in this range",
            "conf/tollgate.yml:18:5: clients \"k\": there is no listener \"elsewhere\"; the listeners are b, b",
            "conf/tollgate.yml:19:5: clients[1] \"l\": nothing says how to recognise it; add listener, sources, username and password, or header",
            "conf/tollgate.yml:20:22: audit.durability: \"maybe\" is not one of fsync, write",
            "conf/tollgate.yml:22:19: limits.dial_timeout_s: 31 is outside 1 to 30: a CONNECT must be answered well before Kibana's response timeout of 60 s",
            "conf/tollgate.yml:24:19: limits.idle_timeout_s: 599 is outside 600 to 86400: established streams are quiet for up to 10 minutes",
            "conf/tollgate.yml:25:16: log.format: \"xml\" is not one of text, json",
            "conf/tollgate.yml:25:28: log.level: \"a=b=c\" is not a log filter (error parsing level filter: expected one of \"off\", \"error\", \"warn\", \"info\", \"debug\", \"trace\", or a number 0-5); write info, or tollgate=debug",
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
        (
            "lissteners: []\n",
            "conf/tollgate.yml:1:1: unknown key `lissteners`; did you mean `listeners`?",
        ),
        (
            "log: { colour: red }\n",
            "conf/tollgate.yml:1:8: unknown key `colour`; the keys here are format, level",
        ),
        (
            "threads: 1\nthreads: 2\n",
            "conf/tollgate.yml:2:1: the key `threads` is there twice; remove one",
        ),
        (
            "limits:\n  idle_timeout_s: 15m\n",
            "conf/tollgate.yml:2:19: write a whole number without a unit here",
        ),
        (
            "threads: -1\n",
            "conf/tollgate.yml:1:10: write a whole number without a unit here",
        ),
        (
            "upstream: { system_roots: perhaps }\n",
            "conf/tollgate.yml:1:27: write true or false here",
        ),
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
    let overrides = Overrides {
        ca_key: Some("k".into()),
        ..Overrides::default()
    };
    assert_eq!(
        load("", &overrides).unwrap_err().to_string(),
        "--ca-key: interception.ca_key_file is given without interception.ca_cert_file; give both or neither"
    );
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
    assert_eq!(
        accepted("limits: { dial_timeout_s: 3 }\n").limits.dns_timeout,
        Duration::from_secs(3)
    );
    assert_eq!(
        accepted("upstream: { pool_idle_max: 3 }\n")
            .upstream
            .pool_idle_per_destination_max,
        3
    );
}

#[test]
fn files_that_are_named_must_exist_and_are_found_beside_the_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tollgate.yml");
    fs::write(&path, "upstream: { ca_files: [extra.pem] }\npolicy_file: policy.yml\n").unwrap();
    let shown = path.display();
    let beside = |name: &str| directory.path().join(name).display().to_string();
    assert_eq!(
        Config::load(Some(&path), &Overrides::default())
            .unwrap_err()
            .to_string(),
        format!(
            "{shown}:1:24: upstream.ca_files: {} cannot be opened: No such file or directory (os error 2); \
             name an existing, readable file\n\
             {shown}:2:14: cannot read the policy file {}: No such file or directory (os error 2)",
            beside("extra.pem"),
            beside("policy.yml"),
        )
    );
    fs::write(beside("extra.pem"), "").unwrap();
    fs::write(
        beside("policy.yml"),
        "mode: enforce\nrules: [{ name: a, hosts: [a.example.com] }]\n",
    )
    .unwrap();
    let config = Config::load(Some(&path), &Overrides::default()).unwrap();
    assert_eq!(config.policy_source, PolicySource::File(beside("policy.yml").into()));
    assert_eq!((config.policy.mode(), config.policy.rule_count()), (Mode::Enforce, 1));
    assert_eq!(config.upstream.ca_files, [directory.path().join("extra.pem")]);

    fs::write(beside("policy.yml"), "mode: perhaps\n").unwrap();
    assert_eq!(
        Config::load(Some(&path), &Overrides::default())
            .unwrap_err()
            .to_string(),
        format!(
            "{}:1:7: mode \"perhaps\" does not exist; write `observe` or `enforce`",
            beside("policy.yml")
        )
    );
}

#[test]
fn a_configuration_that_cannot_be_read_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tollgate.yml");
    let shown = path.display();
    let refused = || {
        Config::load(Some(&path), &Overrides::default())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused(),
        format!("{shown}: cannot be read: No such file or directory (os error 2); name an existing, readable file")
    );
    fs::write(&path, "#".repeat(1024 * 1024 + 1)).unwrap();
    assert_eq!(
        refused(),
        format!("{shown}: larger than 1048576 bytes; this is not a configuration file")
    );
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
        let value = format!(
            "Basic {}",
            base64::Engine::encode(&base64::prelude::BASE64_STANDARD, credentials)
        );
        let facts = crate::client::Facts {
            listener: "default",
            peer_ip: "127.0.0.1".parse().unwrap(),
            proxy_authorization: Some(value.as_bytes()),
            header: &|_| None,
        };
        config
            .clients
            .identify(&facts)
            .map(|client| client.unwrap().name().to_string())
    };
    assert_eq!(identified("u:pass word"), Ok("k".to_owned()));
    assert!(identified("u:pass word\r\n").is_err());
}

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
    let listeners: Vec<_> = config
        .listeners
        .iter()
        .map(|l| (l.name.to_string(), l.address.port()))
        .collect();
    assert_eq!(listeners, [("default".to_owned(), 3), ("listen-2".to_owned(), 4)]);
    assert_eq!(config.admin.unwrap().port(), 5);
    assert_eq!(
        config.data_dir.root(),
        Path::new("elsewhere"),
        "relative to the working directory"
    );
    assert_eq!(config.interception.authority.cert_file, Path::new("c.pem"));
    assert_eq!(config.tunnel.hosts.len(), 2);
    assert_eq!(config.upstream.allow_addresses.len(), 2);
    let pinned = |name: &str| config.upstream.resolve[&Host::parse(name).unwrap()][0].to_string();
    assert_eq!(
        (pinned("a.example"), pinned("b.example")),
        ("192.0.2.1".to_owned(), "2001:db8::1".to_owned())
    );
    assert_eq!(config.audit.journal.durability, Durability::Fsync);
    assert_eq!(config.threads.get(), 4);
}

#[test]
fn allow_host_enforces_with_these_hosts_instead_of_the_files_policy() {
    let overrides = Overrides {
        allow_host: strings(&["hooks.slack.com", "*.example.com:443"]),
        ..Overrides::default()
    };
    let config = overridden(
        "policy: { mode: observe, rules: [{ name: a, hosts: [a.example.org] }] }",
        &overrides,
    );
    assert_eq!(
        (config.policy.mode(), config.policy_source),
        (Mode::Enforce, PolicySource::Flags)
    );
    assert_eq!(config.policy.rule_count(), 1);
    assert_eq!(config.warnings, []);

    let both = Overrides {
        policy: Some("p.yml".into()),
        ..overrides
    };
    assert_eq!(
        load("", &both).unwrap_err().to_string(),
        "--allow-host: --policy is given too; add the host to the policy file, or leave --policy out"
    );
}

#[test]
fn enforce_changes_the_mode_and_nothing_else() {
    let text = "policy:\n  rules:\n    - { name: a, hosts: [a.example.org] }\nthreads: 1\n";
    assert_eq!(accepted(text).policy.mode(), Mode::Observe);
    let config = overridden(
        text,
        &Overrides {
            enforce: true,
            ..Overrides::default()
        },
    );
    assert_eq!((config.policy.mode(), config.policy.rule_count()), (Mode::Enforce, 1));
    assert_eq!(config.warnings, []);
}

#[test]
fn two_policies_are_refused_unless_a_flag_replaces_both() {
    let text = "policy_file: p.yml\npolicy: { mode: enforce }\n";
    assert_eq!(
        refused(text),
        "conf/tollgate.yml:1:14: policy_file and policy are both given; remove one"
    );
    let overrides = Overrides {
        allow_host: strings(&["a.example.com"]),
        ..Overrides::default()
    };
    assert_eq!(overridden(text, &overrides).policy_source, PolicySource::Flags);
}

#[test]
fn what_weakens_safety_is_warned_of() {
    let open = "listeners: [{ address: '0.0.0.0:1' }]\nadmin: '[::]:2'\n";
    assert_eq!(
        accepted(open).warnings,
        [
            Warning::ObserveOnly,
            Warning::OpenListener("0.0.0.0:1".parse().unwrap()),
            Warning::OpenAdmin("[::]:2".parse().unwrap()),
        ]
    );
    let narrow = "upstream: { allow_addresses: [127.0.0.0/8, '::1'] }\npolicy: { mode: enforce }\n";
    assert_eq!(accepted(narrow).warnings, []);
    let wide = "upstream: { allow_addresses: [126.0.0.0/7] }\npolicy: { mode: enforce }\n";
    assert_eq!(
        accepted(wide).warnings,
        [Warning::AllowedAddresses("126.0.0.0/7".parse().unwrap())]
    );
}
