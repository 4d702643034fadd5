//! How the CA reaches Kibana's process: systemd, Docker, Kubernetes (ECK), and where the environment is not the operator's.

use std::path::Path;

use super::super::banner::shell_word;
use super::Section;
use super::facts::Facts;
use super::{keystore, quote, trust};

/// Where the certificate is mounted in a container.
const MOUNTED: &str = "/usr/share/kibana/tollgate/ca.pem";

pub(super) fn systemd(facts: &Facts) -> Section {
    let text = format!(
        "\
# `systemctl edit kibana` (deb and rpm packages), and add:
[Service]
Environment={}
# Then: systemctl daemon-reload && systemctl restart kibana. The file must be readable by the user `kibana`.
# Kibana from an archive: NODE_EXTRA_CA_CERTS={} bin/kibana
{}",
        quote::systemd(&format!("NODE_EXTRA_CA_CERTS={}", facts.ca)),
        shell_word(Path::new(&facts.ca)),
        bundle(facts)
    );
    Section { title: "systemd", text }
}

pub(super) fn docker(facts: &Facts) -> Section {
    let ca = shell_word(Path::new(&facts.ca));
    let text = format!(
        "\
docker run -e NODE_EXTRA_CA_CERTS={MOUNTED} -v {ca}:{MOUNTED}:ro \\
  -v /path/to/kibana.yml:/usr/share/kibana/config/kibana.yml:ro ..
# Compose: the same under `environment:` and `volumes:`. The file must be readable by uid 1000.
{}",
        bundle(facts)
    );
    Section { title: "Docker", text }
}

pub(super) fn kubernetes(facts: &Facts) -> Section {
    let secret =
        if facts.fields().is_empty() { "" } else { "  secureSettings: [{ secretName: tollgate-proxy-headers }]\n" };
    let text = format!(
        "\
# Elastic Cloud on Kubernetes. `config` takes the lines of kibana.yml (--format kibana-yml).
# kubectl create configmap tollgate-ca --from-file=ca.pem={}
{}{}apiVersion: kibana.k8s.elastic.co/v1
kind: Kibana
spec:
  config:
    xpack.actions.proxyUrl: {}
{}{secret}  podTemplate:
    spec:
      containers:
        - name: kibana
          env: [{{ name: NODE_EXTRA_CA_CERTS, value: {MOUNTED} }}]
          volumeMounts: [{{ name: tollgate-ca, mountPath: /usr/share/kibana/tollgate, readOnly: true }}]
      volumes: [{{ name: tollgate-ca, configMap: {{ name: tollgate-ca }} }}]
",
        shell_word(Path::new(&facts.ca)),
        secret_command(facts),
        bundle(facts),
        quote::yaml(&facts.proxy_url),
        if facts.https { "    xpack.actions.ssl.proxyVerificationMode: full\n" } else { "" },
    );
    Section { title: "Kubernetes (ECK)", text }
}

/// How the secret that ECK puts into Kibana's keystore is made.
fn secret_command(facts: &Facts) -> String {
    if facts.fields().is_empty() {
        return String::new();
    }
    format!(
        "\
# kubectl create secret generic tollgate-proxy-headers --from-file=xpack.actions.proxyHeaders=FILE, where FILE holds
#   {}
# (--format keystore says what the placeholder stands for)
",
        keystore::headers(facts.fields())
    )
}

/// A TLS listener's own CA has to be in the same file.
fn bundle(facts: &Facts) -> String {
    let Some(certificate) = facts.listener_cert.as_ref().filter(|_| facts.https) else {
        return String::new();
    };
    format!(
        "\
# The listener's certificate ({}) needs trust as well: append the CA it was issued by to
# the file, PEM after PEM.
",
        certificate.display()
    )
}

/// Elastic Cloud Hosted and Enterprise: only kibana.yml can be changed.
pub(super) fn cloud(facts: &Facts) -> Section {
    let mut parts = vec![quote::comment(
        "Elastic Cloud Hosted and Enterprise: the environment of Kibana is not yours to set (not verified for every version \
         of ECE), so that customHostSettings is the only way to trust the CA. The proxy must be reachable from there.",
    )];
    if !trust::hosts_may_work(facts) {
        parts.push(quote::comment(&format!(
            "{} ignores it behind a proxy: name the hosts in tunnel_hosts of the Tollgate configuration. They are judged by \
             name and recorded without method, path and User-Agent.",
            facts.kibana()
        )));
    }
    parts.push(format!("xpack.actions.proxyUrl: {}\n", quote::yaml(&facts.proxy_url)));
    if facts.https {
        parts.push(
            "# The CA of the listener's certificate cannot be given there: use a certificate of a public CA.\n".into(),
        );
        parts.push("xpack.actions.ssl.proxyVerificationMode: full\n".to_owned());
    }
    if !facts.fields().is_empty() {
        parts.push("# Everybody who may edit the deployment can read the value below.\n".to_owned());
        parts.push(format!("xpack.actions.proxyHeaders: {}\n", keystore::headers(facts.fields())));
    }
    if trust::hosts_may_work(facts) {
        parts.push(quote::comment(
            "One entry a host that connectors call; certificateAuthoritiesFiles is not accepted there. The CA replaces the \
             public roots for the host. Hosts whose names are not known beforehand belong into tunnel_hosts.",
        ));
        parts.push(trust::custom_host_settings(facts, &authority(facts)));
    }
    Section { title: "Elastic Cloud Hosted, Elastic Cloud Enterprise", text: parts.concat() }
}

/// The certificate as text.
fn authority(facts: &Facts) -> String {
    let pem = facts.ca_pem.as_deref().unwrap_or(
        "-----BEGIN CERTIFICATE-----\n(there is none yet: `tollgate ca export` prints it after the first start)\n-----END CERTIFICATE-----",
    );
    format!("certificateAuthoritiesData: |\n{}", quote::indented(pem, "  "))
}
