//! The lines of kibana.yml.

use serde_json::{Map, Value, json};

use super::Section;
use super::facts::{Facts, Identification};
use super::{quote, trust};
use crate::kibana::{MAIL_SERVICES_ENABLED, MAIL_VERIFIES_PROXY, Standing};

pub(super) fn kibana_yml(facts: &Facts) -> Section {
    let parts = [
        age(facts),
        proxy(facts),
        identity(facts),
        proxy_tls(facts),
        bypass(),
        limits(facts),
        mail(facts),
        trusted(facts),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    Section { title: "kibana.yml", text: parts.join("\n") }
}

/// The settings that are not secret, by name.
pub(super) fn values(facts: &Facts) -> Value {
    let mut values = Map::new();
    values.insert("xpack.actions.proxyUrl".to_owned(), json!(facts.proxy_url));
    if facts.https {
        values.insert("xpack.actions.ssl.proxyVerificationMode".to_owned(), json!("full"));
    }
    Value::Object(values)
}

/// Versions whose settings were not examined.
fn age(facts: &Facts) -> String {
    let old = facts.version.filter(|version| (version.line.major, version.line.minor) < (7, 17));
    old.map_or_else(String::new, |version| {
        format!(
            "# Kibana {version} was not examined: settings changed their names before 7.17, and before 7.11 the proxy's scheme\n\
             # decided how targets are called. Compare every line with the documentation of this version.\n"
        )
    })
}

fn proxy(facts: &Facts) -> String {
    let mut text = format!(
        "\
# Every proxy-aware connector of {} goes through Tollgate. With a value that is not a URL Kibana connects
# directly, with a warning in its log only: look for rows after each change.
",
        facts.kibana()
    );
    if facts.loopback {
        text.push_str("# This address is for a Kibana on the same machine; for another one give --proxy-url.\n");
    }
    text.push_str(&format!("xpack.actions.proxyUrl: {}\n", quote::yaml(&facts.proxy_url)));
    text
}

fn identity(facts: &Facts) -> String {
    match &facts.identification {
        Identification::NotNeeded => String::new(),
        Identification::NotChosen(clients) => format!(
            "\
# Clients are configured, so Kibana has to be recognised as one of them. --client NAME prints how; the names are:
# {}
",
            clients.join(", ")
        ),
        Identification::NothingToSend(client) => format!(
            "\
# Client {client} is recognised by where it connects to or from: Kibana has nothing to send.
"
        ),
        Identification::Sends { client, fields } => {
            let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
            format!(
                "\
# Client {client} is recognised by what it sends: {}. The value is secret, so that
# xpack.actions.proxyHeaders belongs into the keystore (--format keystore).
# Kibana sends it with CONNECT only: for https targets and .mcp, not for http:// targets and not for mail. Those are
# refused with 407 unless the client is recognised by `listener` or `sources` instead. User and password in proxyUrl
# reach them too, but not https targets in older versions, and with both the field may be sent twice and be refused.
",
                names.join(", ")
            )
        }
    }
}

fn proxy_tls(facts: &Facts) -> String {
    if !facts.https {
        return String::new();
    }
    let mut text = String::from(
        "\
# The listener speaks TLS. Its certificate must name the host in proxyUrl; its CA, when it is not a public one, goes into
# the file of NODE_EXTRA_CA_CERTS beside the interception CA: requests to http:// targets ignore the mode below.
xpack.actions.ssl.proxyVerificationMode: full
",
    );
    if let Some(line) = mail_verification(facts) {
        text.push_str(&line);
    }
    text
}

/// Whether mail verifies the proxy's certificate.
fn mail_verification(facts: &Facts) -> Option<String> {
    let (change, standing) = facts.change(MAIL_VERIFIES_PROXY)?;
    Some(match standing {
        Some(Standing::Present) => {
            format!("# Mail verifies the listener's certificate too (elastic/kibana{}).\n", change.reference)
        }
        Some(Standing::Absent) => "# Mail does not verify the listener's certificate in this version.\n".to_owned(),
        Some(Standing::From(first)) => format!("# Mail verifies the listener's certificate from {first} on.\n"),
        Some(Standing::Unknown(reference)) => format!(
            "# Mail verifies the listener's certificate from the release with elastic/kibana{reference} on, which is not known exactly.\n"
        ),
        None => format!("# Mail verifies the listener's certificate from {}.\n", change.describe()),
    })
}

fn bypass() -> String {
    "\
# Connectors that cannot use a proxy (database drivers, SSH) fail unless their hosts are named here: exact names, no
# wildcards. A host that is named is called directly and leaves no row. Leave proxyOnlyHosts unset.
#xpack.actions.proxyBypassHosts: [db.internal]
"
    .to_owned()
}

fn limits(facts: &Facts) -> String {
    format!(
        "\
# Kibana's defaults. Tollgate answers each CONNECT within {} s, so responseTimeout must stay above that. A response that is
# larger is cut off by Kibana: its row says client_aborted.
#xpack.actions.responseTimeout: 60s
#xpack.actions.maxResponseContentLength: 1mb
",
        facts.answer_s
    )
}

fn mail(facts: &Facts) -> String {
    let ports: Vec<String> = facts.tunnel_ports.iter().map(ToString::to_string).collect();
    let ports = if ports.is_empty() { "none".to_owned() } else { ports.join(", ") };
    let mut text = format!(
        "\
# Mail: a service chosen by name (gmail, outlook365, ..) is called directly and leaves no row. Choose the service `other`
# with host and port. Of these ports Tollgate relays what it does not open (tunnel_ports): {ports}.
# Amazon ses goes through the proxy only with both of these lines; not every version has them:
#xpack.actions.email.services.ses.host: email-smtp.us-east-1.amazonaws.com
#xpack.actions.email.services.ses.port: 465
"
    );
    let standing = facts.change(MAIL_SERVICES_ENABLED).map(|(_, standing)| standing);
    match standing {
        Some(Some(Standing::Present)) => {
            text.push_str("# Services that would be called directly can be switched off:\n");
            text.push_str("#xpack.actions.email.services.enabled: [other, microsoft-exchange]\n");
        }
        Some(None) => {
            text.push_str("# From 9.1 on, services that would be called directly can be switched off:\n");
            text.push_str("#xpack.actions.email.services.enabled: [other, microsoft-exchange]\n");
        }
        Some(Some(Standing::Absent | Standing::From(_) | Standing::Unknown(_))) | None => {}
    }
    text
}

fn trusted(facts: &Facts) -> String {
    let mut text = quote::comment(&trust::lines(facts));
    if trust::hosts_may_work(facts) {
        let setting = format!("certificateAuthoritiesFiles: [{}]", quote::yaml(&facts.ca));
        text.push_str(&quote::indented(&trust::custom_host_settings(facts, &setting), "#"));
    }
    text
}
