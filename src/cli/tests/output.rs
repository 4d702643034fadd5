//! What the commands print, exactly.

use std::fs;

use super::*;
use crate::config::Config;
use crate::intercept::authority::Authority;
use crate::server::Listening;

/// Writes a configuration into a new directory.
pub(super) fn config_in(directory: &Path, text: &str) -> std::path::PathBuf {
    let path = directory.join("tollgate.yml");
    fs::write(&path, text).unwrap();
    path
}

fn load(text: &str) -> (tempfile::TempDir, Config) {
    let directory = tempfile::tempdir().unwrap();
    let path = config_in(directory.path(), text);
    let config = Config::load(Some(&path), &Overrides::default()).unwrap();
    (directory, config)
}

/// Runs a command that prints; its result and what it printed, the directory's name replaced by `DIR`.
pub(super) fn printed(directory: &Path, line: &str) -> (Result<(), CliError>, String) {
    let line = line.replace("DIR", &directory.display().to_string());
    let mut out = Vec::new();
    let result = match parsed(&line) {
        Command::Run(_) => panic!("run does not only print"),
        Command::Check(args) => check::check(&args, &mut out),
        Command::Records(args) => records::records(&args, &mut out),
        Command::Doctor(args) => doctor::doctor(&args, &mut out),
        Command::KibanaConfig(args) => kibana::kibana_config(&args, &mut out),
        Command::Ca(command) => ca::ca(command, &mut out),
        Command::Verify(args) => verify::verify(&args, &mut out),
        Command::Prove(args) => prove::prove(&args, &mut out),
        Command::ManifestKey(command) => manifest_key::manifest_key(&command, &mut out),
        Command::FingerprintKey(command) => fingerprint_key::fingerprint_key(&command, &mut out),
        Command::Retention(command) => retention::retention(&command, &mut out),
        Command::Connectors(command) => connectors::connectors(&command, &mut out),
    };
    (result, String::from_utf8(out).unwrap().replace(&directory.display().to_string(), "DIR"))
}

const TLS_AND_ADMIN: &str = "\
listeners:
  - { name: plain, address: 0.0.0.0:3128 }
  - { name: tls, address: 127.0.0.1:3130, tls: { cert_file: tollgate.yml, key_file: tollgate.yml } }
admin: 127.0.0.1:3129
threads: 2
clients: [{ name: k, listener: plain }]
policy: { mode: enforce, rules: [{ name: slack, hosts: [hooks.slack.com] }] }
interception: { ca_cert_file: my ca.pem, ca_key_file: ca.key }
";

#[test]
fn the_banner_says_where_what_and_how() {
    let (directory, config) = load(TLS_AND_ADMIN);
    let bound = Listening {
        listeners: vec!["0.0.0.0:40000".parse().unwrap(), "127.0.0.1:3130".parse().unwrap()],
        admin: Some("127.0.0.1:3129".parse().unwrap()),
    };
    let mut out = Vec::new();
    banner::write(&mut out, &config, &bound).unwrap();
    let text = String::from_utf8(out).unwrap().replace(&directory.path().display().to_string(), "DIR");
    let expected = "\
tollgate: listening on http://0.0.0.0:40000
tollgate: listening on https://127.0.0.1:3130
tollgate: admin on http://127.0.0.1:3129

Policy: ENFORCED, 1 rule from DIR/tollgate.yml (policy); everything else is refused.

Kibana, in kibana.yml:
  xpack.actions.proxyUrl: http://127.0.0.1:40000
and in the environment of the Kibana process, so that it trusts the interception CA:
  NODE_EXTRA_CA_CERTS='DIR/my ca.pem'
(by Kibana version, for containers and systemd: tollgate kibana-config)

Try it:
  curl --proxy http://127.0.0.1:40000 --cacert 'DIR/my ca.pem' https://example.com/
  curl --proxy http://127.0.0.1:40000 http://example.com/

See the record at once, or in DuckDB after 10 s:
  tollgate records --data-dir tollgate-data
  SELECT event_time, decision, host, status, outcome FROM read_parquet('CWD/tollgate-data/audit/**/*.parquet') \
  ORDER BY event_time DESC;
";
    let working_directory = std::env::current_dir().unwrap().display().to_string();
    assert_eq!(text, expected.replace("CWD", &working_directory));
}

#[test]
fn the_banner_is_loud_when_nothing_is_refused() {
    let config = Config::load(None, &Overrides::default()).unwrap();
    let bound = Listening { listeners: vec!["127.0.0.1:3128".parse().unwrap()], admin: None };
    let mut out = Vec::new();
    banner::write(&mut out, &config, &bound).unwrap();
    let text = String::from_utf8(out).unwrap();
    let expected = "\
tollgate: listening on http://127.0.0.1:3128

*** OBSERVE ONLY: NOTHING IS REFUSED BY POLICY. Every verdict is recorded as it would be. ***
    To enforce: --enforce, or `mode: enforce` in the policy; --allow-host HOST for one host.
";
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn check_prints_what_would_run() {
    let directory = tempfile::tempdir().unwrap();
    config_in(directory.path(), TLS_AND_ADMIN);
    let (result, text) = printed(directory.path(), "tollgate check --config DIR/tollgate.yml");
    result.unwrap();
    let expected = "\
The configuration is valid.
listener  http://0.0.0.0:3128 (plain)
listener  https://127.0.0.1:3130 (tls)
admin     http://127.0.0.1:3129
policy    enforce, 1 rule from DIR/tollgate.yml (policy)
          sha256 HASH
data      tollgate-data
ca        DIR/my ca.pem
threads   2
";
    let hash = text.lines().find_map(|line| line.trim().strip_prefix("sha256 ")).unwrap();
    assert_eq!(hash.len(), 64);
    assert_eq!(text, expected.replace("HASH", hash));

    let (result, text) = printed(directory.path(), "tollgate check --config DIR/tollgate.yml --json");
    result.unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let expected = serde_json::json!({
        "valid": true,
        "listeners": [
            { "name": "plain", "url": "http://0.0.0.0:3128" },
            { "name": "tls", "url": "https://127.0.0.1:3130" },
        ],
        "admin": "http://127.0.0.1:3129",
        "policy": { "mode": "enforce", "rules": 1, "hash": hash, "presets": [], "source": "DIR/tollgate.yml (policy)" },
        "data_dir": "tollgate-data",
        "ca_cert_file": "DIR/my ca.pem",
        "threads": 2,
        "warnings": [],
    });
    assert_eq!(json, expected);
}

#[test]
fn check_prints_every_problem_and_fails() {
    let directory = tempfile::tempdir().unwrap();
    config_in(directory.path(), "admin: x\nthreads: 0\n");
    let (result, text) = printed(directory.path(), "tollgate check --config DIR/tollgate.yml");
    assert_eq!(result.unwrap_err().exit_code(), 78);
    let expected = "\
DIR/tollgate.yml:1:8: admin: \"x\" is not an IP address and a port; write 127.0.0.1:3128 or [::1]:3128
DIR/tollgate.yml:2:10: threads: 0 is outside 1 to 1024: at least one worker thread is needed
2 problems
";
    assert_eq!(text, expected);

    let (result, text) =
        printed(directory.path(), "tollgate check --config DIR/tollgate.yml --admin 127.0.0.1:1 --json");
    assert_eq!(result.unwrap_err().exit_code(), 78);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let expected = serde_json::json!({
        "valid": false,
        "problems": [{
            "place": "DIR/tollgate.yml:2:10",
            "message": "threads: 0 is outside 1 to 1024: at least one worker thread is needed",
        }],
    });
    assert_eq!(json, expected);
}

#[test]
fn check_looks_at_the_ca_and_makes_none() {
    let directory = tempfile::tempdir().unwrap();
    config_in(directory.path(), "interception: { ca_cert_file: ca.pem, ca_key_file: ca.key }\n");
    let check = || printed(directory.path(), "tollgate check --config DIR/tollgate.yml");
    check().0.unwrap();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    fs::write(directory.path().join("ca.pem"), "").unwrap();
    let (result, text) = check();
    assert_eq!(result.unwrap_err().exit_code(), 78);
    let expected = "\
interception: DIR/ca.pem exists but DIR/ca.key does not: put the missing file back, or remove DIR/ca.pem \
to have a new CA made
1 problem
";
    assert_eq!(text, expected);
}

#[test]
fn ca_shows_and_exports_the_certificate_and_never_the_key() {
    let directory = tempfile::tempdir().unwrap();
    let config = config_in(directory.path(), "interception: { ca_cert_file: ca.pem, ca_key_file: ca.key }\n");
    let settings = Config::load(Some(&config), &Overrides::default()).unwrap().interception.authority;
    let (result, _) = printed(directory.path(), "tollgate ca show --config DIR/tollgate.yml");
    let error = result.unwrap_err().to_string();
    assert!(
        error.contains("/ca.pem: cannot be read: No such file or directory (os error 2); name a readable"),
        "{error}"
    );

    let authority = Authority::load_or_create(&settings, std::time::SystemTime::now()).unwrap();
    let certificate = authority.certificate();
    let (result, text) = printed(directory.path(), "tollgate ca show --ca-cert DIR/ca.pem --ca-key DIR/ca.key");
    result.unwrap();
    let expected = format!(
        "subject      {}\nsha256       {}\nnot before   {}\nnot after    {}\ncertificate  DIR/ca.pem\n\
         key          DIR/ca.key (mode 0600)\n",
        certificate.subject(),
        certificate.fingerprint(),
        certificate.not_before(),
        certificate.not_after()
    );
    assert_eq!(text, expected);

    // A file that holds certificate and key yields the certificate alone.
    let both = fs::read_to_string(&settings.key_file).unwrap() + &certificate.pem();
    fs::write(&settings.cert_file, both).unwrap();
    let (result, text) = printed(directory.path(), "tollgate ca export --config DIR/tollgate.yml");
    result.unwrap();
    assert_eq!(text, certificate.pem());

    let line = "tollgate ca export --config DIR/tollgate.yml --out DIR/exported.pem";
    printed(directory.path(), line).0.unwrap();
    assert_eq!(fs::read_to_string(directory.path().join("exported.pem")).unwrap(), certificate.pem());
    let error = printed(directory.path(), line).0.unwrap_err().to_string();
    assert!(error.ends_with("/exported.pem exists; name a file that does not"), "{error}");
}

#[test]
fn records_of_nothing_are_no_records_and_a_wrong_directory_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let (result, _) = printed(directory.path(), "tollgate records --data-dir DIR");
    assert_eq!(result.unwrap_err().exit_code(), 74);
    fs::create_dir(directory.path().join("audit")).unwrap();
    let (result, text) = printed(directory.path(), "tollgate records --data-dir DIR --json");
    result.unwrap();
    assert_eq!(text, "");
}

const OWN_CONNECTORS: &str = "\
connectors:
  - { id: .nybble, hosts: [hub.test], endpoints: ['POST /conn/{secret:secret}'] }
";

#[test]
fn connectors_of_the_operators_own_file_are_listed_and_matched() {
    let directory = tempfile::tempdir().unwrap();
    config_in(directory.path(), "connectors_file: own.yml\n");
    fs::write(directory.path().join("own.yml"), OWN_CONNECTORS).unwrap();
    let (result, text) = printed(directory.path(), "tollgate connectors list --config DIR/tollgate.yml");
    assert!(result.is_ok());
    assert_eq!(text.lines().next(), Some(".nybble                        hub.test"));
    let line = "tollgate connectors match https://hub.test/conn/winter?a=b --config DIR/tollgate.yml";
    let expected = "\
connector_type    .nybble
connector_source  host_path (confidence high)
reason            host, method and path are this connector's
path              /conn/{secret}
query             a={redacted}
";
    assert_eq!(printed(directory.path(), line).1, expected);
    assert_eq!(
        printed(directory.path(), "tollgate connectors hosts .nybble --config DIR/tollgate.yml").1,
        "hub.test:443\n"
    );
}

#[test]
fn what_no_connector_calls_is_said_so() {
    let directory = tempfile::tempdir().unwrap();
    let (_, text) =
        printed(directory.path(), "tollgate connectors match https://hooks.slack.com.evil.test/services/T0");
    assert_eq!(text, "connector_type    not known\npath              /services/{redacted}\n");
    let (_, text) = printed(directory.path(), "tollgate connectors match https://a.test:587 --tunnel --json");
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((found["connector_type"].as_str(), found["path"].as_str()), (Some(".email"), None));
    for (line, said) in [
        ("tollgate connectors hosts .slak", "there is no connector type \".slak\"; did you mean `.slack`?"),
        (
            "tollgate connectors hosts .webhook",
            "the hosts of connector \".webhook\" are not known; list yours in `hosts`",
        ),
        ("tollgate connectors match /services", "the URL has no host; write https://hooks.slack.com/services/..."),
        ("tollgate connectors match https://127.1/", "the URL's host is not valid"),
    ] {
        let error = printed(directory.path(), line).0.unwrap_err();
        assert!(error.to_string().starts_with(said), "{error}");
        assert_eq!(error.exit_code(), 64, "{error}");
    }
}

#[test]
fn hosts_of_a_connector_are_what_a_policy_allows_by_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let (result, text) = printed(directory.path(), "tollgate connectors hosts .bedrock");
    assert!(result.is_ok());
    assert!(text.lines().any(|line| line == "bedrock-runtime.eu-central-1.amazonaws.com:443"), "{text}");
    assert!(!text.contains('*'), "{text}");
    let tenants = "# *.openai.azure.com:443: each tenant has a host of its own; list yours in `hosts`";
    let (_, text) = printed(directory.path(), "tollgate connectors hosts .gen-ai");
    assert_eq!(text, format!("api.openai.com:443\n{tenants}\n"));
    let (_, text) = printed(directory.path(), "tollgate connectors hosts .zendesk --json");
    let hosts: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(hosts, serde_json::json!({ "allowed": [], "tenants": ["*.zendesk.com:443"], "hosts_source": "vendor" }));
}

#[test]
fn check_shows_what_presets_stand_for() {
    let directory = tempfile::tempdir().unwrap();
    config_in(directory.path(), "policy:\n  mode: enforce\n  rules: [{ name: a, connectors: [.slack, .bedrock] }]\n");
    let (result, text) = printed(directory.path(), "tollgate check --config DIR/tollgate.yml");
    assert!(result.is_ok(), "{text}");
    assert!(text.contains("policy    enforce, 1 rule from"), "{text}");
    assert!(text.contains("\n          rule a (.slack): hooks.slack.com:443\n"), "{text}");
    assert!(text.contains("\n          rule a (.bedrock): bedrock-runtime.us-east-1.amazonaws.com:443, "), "{text}");
    let (_, text) = printed(directory.path(), "tollgate check --config DIR/tollgate.yml --json");
    let checked: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        checked["policy"]["presets"][0],
        serde_json::json!({ "rule": "a (.slack)", "hosts": ["hooks.slack.com:443"] })
    );
}
