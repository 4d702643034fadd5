//! Hosts that interception may break: when an enforced policy that allows them is warned of, and what ends the warning.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

const OWN: &str = "\
connectors:
  - { id: .hooks, hosts: [a.corp.test, '*.b.test'], avoid_interception: client-certificate }
  - { id: .cluster, hosts: [api.cluster.test], ports: [6443], avoid_interception: own-ca }
";

/// The warnings that a configuration of these lines gives, beside a catalogue with [`OWN`] and a client certificate.
fn warned(text: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["client.test".to_owned()]).unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("own.yml"), OWN).unwrap();
    fs::write(path("c.pem"), made.cert.pem()).unwrap();
    fs::write(path("c.key"), made.signing_key.serialize_pem()).unwrap();
    fs::set_permissions(path("c.key"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(path("t.yml"), format!("connectors_file: own.yml\n{text}")).unwrap();
    let config = Config::load(Some(&path("t.yml")), &Overrides::default()).unwrap();
    config.warnings.iter().map(ToString::to_string).filter(|text| text.contains("interception")).collect()
}

fn enforcing(hosts: &str) -> String {
    format!("policy: {{ mode: enforce, rules: [{{ name: r, hosts: {hosts} }}] }}\n")
}

#[test]
fn hosts_that_interception_may_break_are_warned_of_with_the_remedy() {
    let hosts = "[a.corp.test, 'a.corp.test:443', 'x.b.test:443', 'y.b.test:8443', '*.cluster.test', hooks.slack.com]";
    assert_eq!(
        warned(&enforcing(hosts)),
        [
            "interception may break calls of .hooks to a.corp.test:443, x.b.test:443: it may show a client certificate, which \
             interception cannot pass on; let Tollgate show one (`client_cert` of an entry of upstream.hosts), or name the host \
             in tunnel_hosts",
            "interception may break calls of .cluster to api.cluster.test:6443: it may trust only the service's own CA, and not \
             Tollgate's; name the host in tunnel_hosts",
        ]
    );
    assert_eq!(warned(&enforcing("[hooks.slack.com, api.openai.com, acme.openai.azure.com]")), [""; 0]);
}

#[test]
fn many_hosts_are_counted_and_a_suffix_is_as_wide_as_the_narrower_one() {
    let hosts = "['*.test', c.b.test, d.b.test, e.b.test, f.b.test]";
    let warned = warned(&enforcing(hosts));
    assert!(
        warned[0].starts_with(
            "interception may break calls of .hooks to a.corp.test:443, *.b.test:443, c.b.test:443, d.b.test:443 and 2 more: "
        ),
        "{warned:?}"
    );
}

#[test]
fn nothing_is_said_while_observing_or_where_it_is_provided_for() {
    let (hooks, cluster) = (enforcing("[a.corp.test, x.b.test]"), enforcing("[api.cluster.test]"));
    let client_cert = |hosts: &str| {
        format!("upstream: {{ hosts: [{{ hosts: {hosts}, client_cert: {{ cert_file: c.pem, key_file: c.key }} }}] }}\n")
    };
    for (lines, expected) in [
        ("policy: { mode: observe, rules: [{ name: r, hosts: [a.corp.test] }] }\n".to_owned(), 0),
        (format!("{hooks}tunnel_hosts: [a.corp.test, '*.b.test']\n"), 0),
        (format!("{hooks}tunnel_ports: [443]\n"), 0),
        (format!("{hooks}{}", client_cert("[a.corp.test, '*.b.test']")), 0),
        (format!("{hooks}{}tunnel_hosts: ['x.b.test:443']\n", client_cert("[a.corp.test]")), 0),
        (format!("{hooks}{}", client_cert("[a.corp.test]")), 1),
        (format!("{hooks}tunnel_hosts: ['a.corp.test:8443', x.b.test]\n"), 1),
        // A certificate that Tollgate shows does not make Kibana trust its CA.
        (format!("{cluster}{}", client_cert("[api.cluster.test]")), 1),
        (format!("{cluster}tunnel_hosts: [api.cluster.test]\n"), 0),
    ] {
        assert_eq!(warned(&lines).len(), expected, "{lines}");
    }
}
