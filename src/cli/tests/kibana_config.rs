//! What `kibana-config` prints, word for word, for versions and listeners that differ.

use super::output::{config_in, printed};
use super::*;

const CONFIG: &str = "\
listeners:
  - { name: plain, address: 0.0.0.0:3128 }
  - { name: tls, address: 127.0.0.1:3130, tls: { cert_file: tollgate.yml, key_file: tollgate.yml } }
policy:
  mode: enforce
  rules: [{ name: some, hosts: [hooks.slack.com, '*.service-now.com', 'api.test:8443', 'mail.test:587'] }]
clients:
  - { name: lab, username: kibana-lab, password: canary-password, listener: tls }
  - { name: staging, header: { name: X-Tollgate-Client, value: canary-header-value } }
  - { name: production, sources: [10.0.0.0/8] }
interception: { ca_cert_file: my ca.pem, ca_key_file: ca.key }
";

const OPEN: &str = "\
listeners: [{ name: plain, address: '[::]:3128' }]
interception: { ca_cert_file: ca.pem, ca_key_file: ca.key }
";

fn told(config: &str, flags: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    config_in(directory.path(), config);
    let (result, text) =
        printed(directory.path(), &format!("tollgate kibana-config --config DIR/tollgate.yml {flags}"));
    result.unwrap();
    assert!(!text.contains("canary"), "a secret was printed: {text}");
    text
}

#[test]
fn the_outputs_are_the_golden_ones() {
    for (name, config, flags, golden) in [
        ("7.17-yml", OPEN, "--kibana-version 7.17 --format kibana-yml", include_str!("../golden/kibana/7.17-yml.txt")),
        ("8.15-tls", CONFIG, "--kibana-version 8.15 --client lab", include_str!("../golden/kibana/8.15-tls.txt")),
        (
            "8.19-header",
            CONFIG,
            "--kibana-version 8.19 --client staging --proxy-url http://gate.internal:3128/",
            include_str!("../golden/kibana/8.19-header.txt"),
        ),
        (
            "9.1-sources",
            CONFIG,
            "--kibana-version 9.1 --client production --format kibana-yml",
            include_str!("../golden/kibana/9.1-sources.txt"),
        ),
        (
            "9.4.2-cloud",
            CONFIG,
            "--kibana-version 9.4.2 --client staging --format cloud",
            include_str!("../golden/kibana/9.4.2-cloud.txt"),
        ),
        ("any", CONFIG, "--ca-cert /etc/kibana/ca.pem", include_str!("../golden/kibana/any.txt")),
    ] {
        assert_eq!(told(config, flags), golden, "{name}");
    }
}

#[test]
fn every_format_for_every_version_is_yaml_where_it_says_so() {
    for version in ["7.17", "8.15", "8.19", "9.1", "9.4", "9.4.1", "9.4.2"] {
        for client in ["lab", "staging", "production"] {
            for format in ["kibana-yml", "kubernetes", "cloud"] {
                let text = told(CONFIG, &format!("--kibana-version {version} --client {client} --format {format}"));
                let read: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
                let url = if format == "kubernetes" { &read["spec"]["config"] } else { &read };
                let expected = if client == "lab" { "https://127.0.0.1:3130" } else { "http://TOLLGATE_HOST:3128" };
                assert_eq!(url["xpack.actions.proxyUrl"], expected, "{version} {client} {format}");
            }
        }
    }
}

#[test]
fn settings_of_single_hosts_are_offered_where_they_can_work() {
    let offered = |version: &str| {
        let text = told(CONFIG, &format!("--kibana-version {version} --format cloud"));
        let read: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        read["xpack.actions.customHostSettings"].as_array().map(|entries| {
            entries.iter().map(|entry| entry["url"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
        })
    };
    for version in ["7.17.28", "8.15", "9.1", "9.4.1"] {
        assert_eq!(offered(version), None, "{version}");
    }
    for version in ["8.19", "9.3.5", "9.4", "9.4.2", "9.5"] {
        let expected = "https://hooks.slack.com:443 https://api.test:8443";
        assert_eq!(offered(version).as_deref(), Some(expected), "{version}");
    }
}

#[test]
fn json_holds_the_values_and_placeholders() {
    let text = told(CONFIG, "--kibana-version 9.4.2 --client lab --json");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["kibana_version"], "9.4.2");
    assert_eq!(
        json["kibana_yml"],
        serde_json::json!({
            "xpack.actions.proxyUrl": "https://127.0.0.1:3130",
            "xpack.actions.ssl.proxyVerificationMode": "full",
        })
    );
    let placeholder = serde_json::json!({ "Proxy-Authorization": "Basic BASE64_OF_USER_AND_PASSWORD" });
    assert_eq!(json["keystore"], serde_json::json!({ "xpack.actions.proxyHeaders": placeholder }));
    assert_eq!(json["environment"], serde_json::json!({ "NODE_EXTRA_CA_CERTS": "DIR/my ca.pem" }));
    assert!(json["trust"].as_str().unwrap().contains("Kibana 9.4.2 also follows customHostSettings"));
}

#[test]
fn the_certificate_is_part_of_the_cloud_form_once_there_is_one() {
    let directory = tempfile::tempdir().unwrap();
    let config = config_in(directory.path(), OPEN);
    let config = crate::config::Config::load(Some(&config), &Overrides::default()).unwrap();
    let authority = crate::intercept::authority::Authority::load_or_create(
        &config.interception.authority,
        std::time::SystemTime::now(),
    );
    let pem = authority.unwrap().certificate().pem();
    let line = "tollgate kibana-config --config DIR/tollgate.yml --kibana-version 9.5 --format cloud";
    let read: serde_json::Value = serde_saphyr::from_str(&printed(directory.path(), line).1).unwrap();
    assert_eq!(
        read["xpack.actions.customHostSettings"][0],
        serde_json::json!({ "url": "https://hooks.slack.com:443", "ssl": { "certificateAuthoritiesData": pem } })
    );
}

#[test]
fn flags_that_do_not_fit_are_usage_errors() {
    let directory = tempfile::tempdir().unwrap();
    config_in(directory.path(), CONFIG);
    for (flags, expected) in [
        (
            "--client nobody",
            "there is no client \"nobody\" in the configuration; the clients are: lab, staging, production",
        ),
        ("--proxy-url http://a:b@gate.internal:3128", "--proxy-url: leave user and password out"),
        ("--proxy-url gate.internal", "--proxy-url: begin it with http:// or https://"),
        ("--proxy-url http://gate.internal:3128/x", "--proxy-url: it ends after host and port"),
    ] {
        let line = format!("tollgate kibana-config --config DIR/tollgate.yml {flags}");
        let error = printed(directory.path(), &line).0.unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
        assert_eq!(error.exit_code(), 64, "{error}");
    }
    let complaint = complaint("tollgate kibana-config --kibana-version nine");
    assert!(complaint.contains("not a version of Kibana: write 9.4.2"), "{complaint}");
}
