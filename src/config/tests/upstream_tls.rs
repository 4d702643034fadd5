//! `upstream.hosts`: what an entry inherits, what can be wrong with it, and what is warned of.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::SystemTime;

use rcgen::{CertificateParams, KeyPair};

use super::*;
use crate::upstream::TlsOptions;

/// A directory with a configuration, `a.pem`, `a.key` and `b.key`, where `b.key` belongs to nothing.
struct Place {
    dir: tempfile::TempDir,
    not_after: SystemTime,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut params = CertificateParams::new(vec!["client.test".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        let not_after = params.not_after.into();
        fs::write(dir.path().join("a.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        let place = Self { dir, not_after };
        place.key("a.key", &key.serialize_pem(), 0o600);
        place.key("b.key", &other.serialize_pem(), 0o600);
        place
    }

    fn key(&self, name: &str, text: &str, mode: u32) {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A configuration with these `upstream.hosts`.
    fn load(&self, hosts: &str) -> Result<Config, String> {
        let path = self.dir.path().join("t.yml");
        fs::write(&path, format!("policy: {{ mode: enforce }}\nupstream: {{ hosts: {hosts} }}\n")).unwrap();
        let here = format!("{}/", self.dir.path().display());
        Config::load(Some(&path), &Overrides::default()).map_err(|error| error.to_string().replace(&here, ""))
    }
}

#[test]
fn an_entry_has_what_it_says_and_the_rest_from_all_hosts() {
    let text = "\
upstream:
  system_roots: true
  tls_min: 1.3
  hosts:
    - { hosts: [api.example.com:8443, '*.example.com'], danger_skip_verify: true }
    - { hosts: [example.com], system_roots: true, tls_min: '1.2' }
";
    let tls = accepted(text).upstream.tls;
    let default = TlsOptions {
        system_roots: true,
        ca_files: Vec::new(),
        version_min: TlsVersion::Tls13,
        client_certificate: None,
        danger_skip_verify: false,
    };
    assert_eq!(tls.default, default);
    assert_eq!(tls.hosts[0].options, TlsOptions { danger_skip_verify: true, ..default.clone() });
    assert_eq!(tls.hosts[1].options, TlsOptions { version_min: TlsVersion::Tls12, ..default });
}

#[test]
fn entries_that_cannot_mean_what_they_say_are_refused() {
    for (hosts, expected) in [
        (
            "[{ tls_min: '1.3' }]",
            "t.yml:2:21: upstream.hosts: an entry names no hosts; add `hosts` with at least one, or remove the entry",
        ),
        (
            "[{ hosts: [a.test, a.test] }]",
            "t.yml:2:39: upstream.hosts: \"a.test\" never applies, \"a.test\" before it names the same hosts; \
             remove one, or put the narrower first",
        ),
        (
            "[{ hosts: ['*.a.test'] }, { hosts: ['b.a.test:8443'] }]",
            "t.yml:2:56: upstream.hosts: \"b.a.test:8443\" never applies, \"*.a.test\" before it names the same hosts; \
             remove one, or put the narrower first",
        ),
        ("[{ hosts: [A.test] }]", "t.yml:2:31: host \"A.test\" is not canonical; write \"a.test\""),
        ("[{ hosts: [a.test], tls_min: '1.1' }]", "t.yml:2:49: upstream.hosts.tls_min: \"1.1\" is not one of 1.2, 1.3"),
        (
            "[{ hosts: [a.test], system_roots: false }]",
            "t.yml:2:21: upstream.hosts: system_roots is false and there are no ca_files, so no certificate of these hosts is \
             trusted; give one of them",
        ),
        (
            "[{ hosts: [a.test], danger_skip_verify: true, ca_files: [a.pem] }]",
            "t.yml:2:76: upstream.hosts: with danger_skip_verify ca_files has no effect; remove one of them",
        ),
        (
            "[{ hosts: [a.test], client_cert: { cert_file: a.pem } }]",
            "t.yml:2:66: upstream.hosts.client_cert.cert_file is given without upstream.hosts.client_cert.key_file; \
             give both or neither",
        ),
        (
            "[{ hosts: [a.test], client_certs: {} }]",
            "t.yml:2:40: unknown key `client_certs`; did you mean `client_cert`?",
        ),
        (
            "[{ hosts: [a.test], ca_files: [none.pem] }]",
            "t.yml:2:51: upstream.hosts.ca_files: none.pem cannot be opened: No such file or directory (os error 2); \
             name an existing, readable file",
        ),
    ] {
        assert_eq!(Place::new().load(hosts).err().as_deref(), Some(expected), "{hosts}");
    }
}

#[test]
fn the_order_of_narrow_and_wide_is_what_counts() {
    let place = Place::new();
    let tls = place
        .load("[{ hosts: ['b.a.test:8443', '*.b.a.test'] }, { hosts: ['*.a.test', a.test] }]")
        .unwrap()
        .upstream
        .tls;
    assert_eq!(tls.hosts.len(), 2);
}

#[test]
fn more_hosts_than_are_looked_through_are_refused() {
    let hosts: Vec<String> = (0..1001).map(|number| format!("h{number}.test")).collect();
    let refused = Place::new().load(&format!("[{{ hosts: [{}] }}]", hosts.join(", "))).err();
    let expected =
        "t.yml:2:20: upstream.hosts: 1001 host patterns are more than 1000; use suffixes such as \"*.example.com\"";
    assert_eq!(refused.as_deref(), Some(expected));
}

#[test]
fn client_certificates_that_cannot_be_used_are_named_with_both_files() {
    let place = Place::new();
    place.key("open.key", &fs::read_to_string(place.dir.path().join("a.key")).unwrap(), 0o640);
    place.key("empty.key", "", 0o600);
    for (cert, key, expected) in [
        (
            "a.pem",
            "b.key",
            "the key in b.key is not that of the certificate in a.pem; give two files that belong together",
        ),
        (
            "a.pem",
            "open.key",
            "open.key: the private key's mode is 0640, so others can read it; run `chmod 600 open.key`",
        ),
        (
            "a.pem",
            "none.key",
            "none.key: cannot be read: No such file or directory (os error 2); name an existing, readable file",
        ),
        ("a.key", "a.key", "a.key: holds no certificate; give the certificate and its intermediates in PEM"),
        (
            "a.pem",
            "empty.key",
            "empty.key: no private key could be read (no items found); give one in PEM, without a password",
        ),
    ] {
        let hosts = format!("[{{ hosts: [a.test], client_cert: {{ cert_file: {cert}, key_file: {key} }} }}]");
        let expected = format!("t.yml:2:66: upstream.hosts.client_cert: {expected}");
        assert_eq!(place.load(&hosts).err(), Some(expected), "{cert} {key}");
    }
}

#[test]
fn client_certificates_are_warned_of_a_month_before_their_end_and_after_it() {
    let place = Place::new();
    let config = place.load("[{ hosts: [a.test], client_cert: { cert_file: a.pem, key_file: a.key } }]").unwrap();
    let file = place.dir.path().join("a.pem");
    let (end, day) = ("2030-01-01T00:00:00Z".parse().unwrap(), Duration::from_secs(86_400));
    let warned = |now| Warning::of_client_certificates(&config.upstream.tls, now);
    assert_eq!(warned(place.not_after - day * 31), []);
    assert_eq!(
        warned(place.not_after - day * 29),
        [Warning::ClientCertificateExpires { file: file.clone(), until: end }]
    );
    assert_eq!(warned(place.not_after + day), [Warning::ClientCertificateExpired { file, at: end }]);
}

#[test]
fn unverified_hosts_are_warned_of_by_name() {
    let config = Place::new().load("[{ hosts: [a.test, '*.b.test'], danger_skip_verify: true }]").unwrap();
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "UNVERIFIED UPSTREAMS: danger_skip_verify accepts any certificate from a.test, *.b.test, so that whoever is between \
          can read and change these calls; give the service's certificate or CA in ca_files instead"
        ]
    );
}
