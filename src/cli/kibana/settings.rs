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
        quote::comment(&format!(
            "Kibana {version} was not examined: settings changed their names before 7.17, and before 7.11 the proxy's scheme \
             decided how targets are called. Compare every line with the documentation of this version."
        ))
    })
}

fn proxy(facts: &Facts) -> String {
    let mut text = quote::comment(&format!(
        "Every proxy-aware connector of {} goes through Tollgate. With a value that is not a URL Kibana connects directly, \
         with a warning in its log only: look for rows after each change.",
        facts.kibana()
    ));
    if facts.loopback {
        text.push_str("# This address is for a Kibana on the same machine; for another one give --proxy-url.\n");
    }
    text + "xpack.actions.proxyUrl: " + &quote::yaml(&facts.proxy_url) + "\n"
}

fn identity(facts: &Facts) -> String {
    match &facts.identification {
        Identification::NotNeeded => String::new(),
        Identification::NotChosen(clients) => quote::comment(&format!(
            "Clients are configured, so Kibana has to be recognised as one of them. --client NAME prints how; the names are: {}",
            clients.join(", ")
        )),
        Identification::NothingToSend(client) => quote::comment(&format!(
            "Client {client} is recognised by where it connects to or from: Kibana has nothing to send."
        )),
        Identification::Sends { client, fields } => {
            let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
            let userinfo = if fields.iter().any(|field| field.username.is_some()) {
                "User and password in proxyUrl reach them too, but not https targets in older versions; with both, .mcp \
                 sends the field twice, and is refused."
            } else {
                ""
            };
            quote::comment(&format!(
                "Client {client} is recognised by what it sends: {}. The value is secret, so that xpack.actions.proxyHeaders \
                 belongs into the keystore (--format keystore). Kibana sends it with CONNECT only: for https targets and \
                 .mcp, not for http:// targets and not for mail. Those are refused with 407 unless the client is recognised \
                 by `listener` or `sources` instead. {userinfo}",
                names.join(", ")
            ))
        }
    }
}

fn proxy_tls(facts: &Facts) -> String {
    if !facts.https {
        return String::new();
    }
    let mail = mail_verification(facts).unwrap_or_default();
    quote::comment(&format!(
        "The listener speaks TLS. Its certificate must name the host in proxyUrl; its CA, when it is not a public one, goes \
         into the file of NODE_EXTRA_CA_CERTS beside the interception CA: requests to http:// targets ignore the mode below. \
         {mail}"
    )) + "xpack.actions.ssl.proxyVerificationMode: full\n"
}

/// Whether mail verifies the proxy's certificate.
fn mail_verification(facts: &Facts) -> Option<String> {
    let (change, standing) = facts.change(MAIL_VERIFIES_PROXY)?;
    let verifies = "Mail verifies the listener's certificate";
    Some(match standing {
        Some(Standing::Present) => format!("{verifies} too (elastic/kibana{}).", change.reference),
        Some(Standing::Absent) => "Mail does not verify the listener's certificate in this version.".to_owned(),
        Some(Standing::From(first)) => format!("{verifies} from {first} on."),
        Some(Standing::Unknown(reference)) => {
            format!("{verifies} from the release with elastic/kibana{reference} on, which is not known exactly.")
        }
        None => format!("{verifies} from {}.", change.describe()),
    })
}

fn bypass() -> String {
    quote::comment(
        "Connectors that cannot use a proxy (database drivers, SSH) fail unless their hosts are named here: exact names, no \
         wildcards. A host that is named is called directly and leaves no row. Leave proxyOnlyHosts unset.",
    ) + "#xpack.actions.proxyBypassHosts: [db.internal]\n"
}

fn limits(facts: &Facts) -> String {
    quote::comment(&format!(
        "Kibana's defaults. Tollgate answers each CONNECT within {} s, so responseTimeout must stay above that. A response \
         that is larger is cut off by Kibana: its row says client_aborted.",
        facts.answer_s
    )) + "#xpack.actions.responseTimeout: 60s\n#xpack.actions.maxResponseContentLength: 1mb\n"
}

fn mail(facts: &Facts) -> String {
    let ports: Vec<String> = facts.tunnel_ports.iter().map(ToString::to_string).collect();
    let ports = if ports.is_empty() { "none".to_owned() } else { ports.join(", ") };
    let mut text = quote::comment(&format!(
        "Mail: a service chosen by name (gmail, outlook365, ..) is called directly and leaves no row. Choose the service \
         `other` with host and port. Tollgate relays these ports without opening what passes there (tunnel_ports): {ports}. \
         Amazon ses goes through the proxy only with both of these lines, which not every version has:"
    ));
    text.push_str("#xpack.actions.email.services.ses.host: email-smtp.us-east-1.amazonaws.com\n");
    text.push_str("#xpack.actions.email.services.ses.port: 465\n");
    let when = match facts.change(MAIL_SERVICES_ENABLED) {
        Some((_, Some(Standing::Present))) => "",
        Some((_, None)) => "From 9.1 on: ",
        Some((_, Some(Standing::Absent | Standing::From(_) | Standing::Unknown(_)))) | None => return text,
    };
    text.push_str(&quote::comment(&format!("{when}services that would be called directly can be switched off.")));
    text + "#xpack.actions.email.services.enabled: [other, microsoft-exchange]\n"
}

fn trusted(facts: &Facts) -> String {
    let mut text = quote::comment(&trust::sentences(facts));
    if trust::hosts_may_work(facts) {
        let setting = format!("certificateAuthoritiesFiles: [{}]", quote::yaml(&facts.ca));
        text.push_str(&quote::indented(&trust::custom_host_settings(facts, &setting), "#"));
    }
    text
}
