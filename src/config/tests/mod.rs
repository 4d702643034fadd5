mod avoided;
mod overrides;
mod problems;
mod upstream_tls;

use super::*;
use crate::archive::maintenance::{HoldSubject, LegalHold};
use crate::destination::Destination;
use crate::journal::{Durability, OnFailure};
use crate::policy::Mode;
use crate::upstream::TlsVersion;

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
    let default = Listener { name: "default".into(), address: "127.0.0.1:3128".parse().unwrap(), tls: None };
    assert_eq!(config.listeners, [default]);
    assert_eq!(config.admin, None);
    assert_eq!(config.data_dir, DataDir::new("tollgate-data"));
    assert_eq!(config.policy.mode(), Mode::Observe);
    assert_eq!(config.policy_source, PolicySource::BuiltIn);
    assert_eq!(config.interception.authority.cert_file, Path::new("certs/ca.pem"));
    assert_eq!(config.interception.authority.key_file, Path::new("certs/ca.key"));
    assert_eq!(config.interception.authority.leaf_valid, Duration::from_secs(190 * 86_400));
    assert_eq!(config.tunnel.ports, [25, 465, 587, 2525]);
    assert!(
        config.upstream.tls.default.system_roots
            && config.upstream.tls.hosts.is_empty()
            && config.upstream.allow_addresses.is_empty()
    );
    let journal = journal::Settings {
        dataset_dir: Some("tollgate-data/audit".into()),
        ..journal::Settings::new("tollgate-data/journal".into())
    };
    assert_eq!(config.audit.journal, journal);
    assert_eq!(config.audit.watch, Duration::from_secs(60));
    assert_eq!(config.audit.maintenance, Rules::default());
    assert_eq!(config.audit.url_fingerprint_key_file, Path::new("tollgate-data/keys/url-fingerprint.key"));
    assert_eq!(config.log, Log { format: LogFormat::Text, level: "info".to_owned() });
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

/// Every key, none at its default.
const EVERY_KEY: &str = "\
listeners: [{ name: inside, address: '[::1]:8080' }, { name: other, address: 127.0.0.1:0 }]
admin: 127.0.0.1:3129
data_dir: data
threads: 3
interception: { ca_cert_file: a.pem, ca_key_file: /b.key, leaf_cache_entries: 7, leaf_valid_days: 30 }
upstream:
  system_roots: false
  tls_min: '1.3'
  hosts: [{ hosts: [mtls.example.com], system_roots: true, tls_min: '1.2' }]
  allow_addresses: [127.0.0.0/8, 10.1.2.3]
  resolve: { Hooks.Slack.com: 203.0.113.7 }
  pool_idle_per_destination_max: 3
  pool_idle_max: 4
  pool_idle_timeout_s: 5
  pool_spare: false
  dns_cache_ttl_s: 0
  dns_cache_entries: 6
danger_core_dumps: true
policy: { mode: enforce }
tunnel_hosts: ['*.bank.example']
tunnel_ports: [2525]
clients: [{ name: kibana, listener: inside, deployments: [d1] }]
identity: { strip_elastic_fragment: ['*.vendor.example'], refuse_unbound_claims: true }
audit:
  durability: interval
  sync_interval_ms: 15
  on_failure: continue
  seal_after_s: 11
  segment_bytes_max: 2097152
  commit_gap_us: 12
  wait_max_ms: 13
  backlog_frames_max: 1400
  free_bytes_min: 1500000
  watch_s: 1600
  keep_days: 400
  legal_holds: [{ name: case 7, project: p1, since: 2026-11-22 }, { name: case 8, host: '*.bank.example' }]
  compact_after_s: 61
  compact_rows_max: 1001
  compact_bytes_max: 1048577
  maintenance_every_s: 62
  url_fingerprint_key_file: f.key
  excerpts: { request_bytes: 100, response_bytes: 65536 }
limits: { connections_max: 100, drain_timeout_s: 0 }
log: { format: json, level: 'warn,tollgate=debug' }
";

#[test]
fn every_key_about_traffic_reaches_its_setting() {
    let config = accepted(EVERY_KEY);
    assert_eq!(config.listeners[0].address, "[::1]:8080".parse().unwrap());
    assert_eq!(config.admin, Some("127.0.0.1:3129".parse().unwrap()));
    assert_eq!(config.data_dir.audit(), Path::new("conf/data/audit"));
    assert_eq!(config.threads.get(), 3);
    assert_eq!(config.interception.authority.cert_file, Path::new("conf/a.pem"));
    assert_eq!(config.interception.authority.key_file, Path::new("/b.key"));
    assert_eq!(config.interception.leaf_cache_entries, 7);
    let (tls, entry) = (&config.upstream.tls.default, &config.upstream.tls.hosts[0]);
    assert_eq!((tls.system_roots, tls.version_min), (false, TlsVersion::Tls13));
    assert_eq!((entry.options.system_roots, entry.options.version_min), (true, TlsVersion::Tls12));
    let networks: Vec<IpNet> = vec!["127.0.0.0/8".parse().unwrap(), "10.1.2.3/32".parse().unwrap()];
    assert_eq!(config.upstream.allow_addresses, networks);
    let pinned = config.upstream.resolve.get(&Host::parse("hooks.slack.com").unwrap());
    assert_eq!(pinned, Some(&vec!["203.0.113.7".parse().unwrap()]));
    assert_eq!((config.upstream.pool_idle_per_destination_max, config.upstream.pool_idle_max), (3, 4));
    assert!(!config.upstream.pool_spare);
    assert_eq!(config.upstream.dns_cache_ttl, Duration::ZERO);
    assert_eq!(
        (config.policy.mode(), &config.policy_source),
        (Mode::Enforce, &PolicySource::Inline("conf/tollgate.yml".into()))
    );
    assert!(config.tunnel.hosts[0].matches(&destination("www.bank.example:443")));
    assert_eq!(config.tunnel.ports, [2525]);
    assert!(!config.clients.is_empty());
    assert!(config.identity.refuse_unbound_claims);
    let hides_from = |text: &str| config.identity.hides_from(&destination(text));
    assert_eq!([hides_from("api.vendor.example:443"), hides_from("vendor.example:443")], [true, false]);
}

fn maintenance_of_every_key() -> Rules {
    let hold = |name: &str, subject, since_us| LegalHold { name: name.to_owned(), subject, since_us, until_us: None };
    Rules {
        keep_days: Some(400),
        holds: vec![
            hold("case 7", HoldSubject::Project("p1".to_owned()), Some(1_795_305_600_000_000)),
            hold("case 8", HoldSubject::Host("*.bank.example".parse().unwrap()), None),
        ],
        compact_after: Duration::from_secs(61),
        compact_rows_max: 1001,
        compact_bytes_max: 1_048_577,
        every: Duration::from_secs(62),
    }
}

#[test]
fn every_key_about_evidence_and_limits_reaches_its_setting() {
    let config = accepted(EVERY_KEY);
    let journal = journal::Settings {
        durability: Durability::Interval { sync_interval: Duration::from_millis(15) },
        on_failure: OnFailure::Continue,
        seal_after: Duration::from_secs(11),
        segment_bytes_max: 2_097_152,
        commit_gap: Duration::from_micros(12),
        wait_max: Duration::from_millis(13),
        backlog_frames_max: 1400,
        free_bytes_min: 1_500_000,
        dataset_dir: Some("conf/data/audit".into()),
        ..journal::Settings::new("conf/data/journal".into())
    };
    assert_eq!(config.audit.journal, journal);
    assert_eq!(config.audit.watch, Duration::from_secs(1600));
    assert_eq!(config.audit.maintenance, maintenance_of_every_key());
    assert_eq!(config.audit.url_fingerprint_key_file, Path::new("conf/f.key"));
    assert_eq!(config.audit.excerpts, Excerpts { request_bytes_max: 100, response_bytes_max: 65_536 });
    assert_eq!((config.limits.connections_max, config.limits.connections_per_client_max), (100, 100));
    assert_eq!(config.log, Log { format: LogFormat::Json, level: "warn,tollgate=debug".to_owned() });
    assert_eq!(
        config.warnings,
        [
            Warning::AllowedAddresses("10.1.2.3/32".parse().unwrap()),
            Warning::DurabilityInterval { sync_interval: Duration::from_millis(15) },
            Warning::OnFailureContinue,
            Warning::CoreDumps,
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
    assert_eq!(accepted(wide).warnings, [Warning::AllowedAddresses("126.0.0.0/7".parse().unwrap())]);
}
