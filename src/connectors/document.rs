//! The catalogue as a Markdown document, and each connector in words. Pure.

use std::fmt::Write as _;

use super::{AvoidInterception, Catalogue, Connector, Endpoint, PlaceholderKind, SelfHosted};

/// Hosts that are written out; the others are counted.
const HOSTS_SHOWN: usize = 3;

const HEAD: &str = "\
# Connectors

Made from the catalogue by `tollgate connectors list --markdown`; a test keeps it current. What a placeholder in braces stands for is not
stored, unless it is marked `keep`, short, and the host is one of these. Query values are not, but for those of `keep_query`; header values never are. `connectors_file` in the
configuration names a file of the same format as `src/connectors/catalogue.yml`, whose entries replace those of the same type and
come before the others; it is read at start and on SIGHUP.

`from` says where hosts and paths are from: `kibana-source` was read in Kibana's source or documentation; `vendor-docs`: the hosts were read
in the vendor's documentation; `vendor` is the vendor's public API; not read in Kibana's source. Compare the last two with your rows before
you rely on them.

How a connector is told, and what `connector_source` says, is in [schema.md](schema.md). Naming a connector permits nothing:
`tollgate connectors hosts TYPE` prints what `connectors: [TYPE]` in a policy rule allows.

| type | hosts | from | calls | secrets | streams | client certificate | remarks |
|---|---|---|---|---|---|---|---|
";

/// The document `docs/connectors.md`.
pub fn markdown(catalogue: &Catalogue) -> String {
    let mut text = HEAD.to_owned();
    for connector in catalogue.connectors() {
        let calls: Vec<String> = connector.endpoints.iter().map(|endpoint| code(&endpoint.to_string())).collect();
        let id =
            connector.docs.as_ref().map_or_else(|| code(&connector.id), |url| format!("[`{}`]({url})", connector.id));
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "| {id} | {} | {} | {} | {} | {} | {} | {} |",
            hosts(connector),
            source(connector),
            calls.join("<br>"),
            connector.secrets().join(", "),
            yes(connector.streaming),
            yes(connector.avoid_interception == Some(AvoidInterception::ClientCertificate)),
            connector.remarks().join("; ")
        );
    }
    text
}

/// Where hosts and paths are from, when there are any.
fn source(connector: &Connector) -> &'static str {
    let told = !connector.hosts.is_empty() || !connector.endpoints.is_empty();
    if told { connector.hosts_source.as_str() } else { "" }
}

const fn yes(applies: bool) -> &'static str {
    if applies { "yes" } else { "" }
}

/// In a table `|` separates cells, even between backquotes.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}

/// The first hosts, and how many more there are. Those of single endpoints only where there are no others.
pub fn hosts(connector: &Connector) -> String {
    let hosts = if connector.hosts.is_empty() { connector.all_hosts() } else { connector.hosts.iter().collect() };
    let mut shown: Vec<String> = hosts.iter().take(HOSTS_SHOWN).map(|host| format!("`{host}`")).collect();
    if let Some(more @ 1..) = hosts.len().checked_sub(HOSTS_SHOWN) {
        shown.push(format!("and {more} more"));
    }
    shown.join(", ")
}

impl Connector {
    /// Where its secrets are, in words.
    pub fn secrets(&self) -> Vec<String> {
        let mut secrets: Vec<String> = Vec::new();
        let in_paths =
            self.endpoints.iter().flat_map(|endpoint| endpoint.template.placeholders(PlaceholderKind::Secret));
        let in_paths = in_paths.map(|name| format!("path `{{{name}}}`"));
        let in_queries = self.secret_query.iter().map(|key| format!("query `{key}`"));
        let in_headers = self.secret_headers.iter().map(|name| format!("header `{name}`"));
        for secret in in_paths.chain(in_queries).chain(in_headers) {
            if !secrets.contains(&secret) {
                secrets.push(secret);
            }
        }
        secrets
    }

    /// Everything else there is to say about it.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        let mut say = |applies: bool, text: &str| {
            if applies {
                remarks.push(text.to_owned());
            }
        };
        say(matches!(self.self_hosted, Some(SelfHosted::Path { .. })), "on other hosts told by its path");
        say(self.self_hosted == Some(SelfHosted::PathAndHeader), "on other hosts told by its path and a header");
        say(self.avoid_interception.is_some(), "may have to be in `tunnel_hosts`");
        say(self.bypasses_proxy, "bypasses the proxy");
        if !self.tunnel_ports.is_empty() {
            let ports: Vec<String> = self.tunnel_ports.iter().map(ToString::to_string).collect();
            remarks.push(format!("tunnels to the ports {}", ports.join(", ")));
        }
        remarks.extend(self.note.clone());
        remarks
    }
}

/// As in the catalogue, the host in front of the path when it is not the connector's own.
impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let methods: Vec<&str> = self.methods.iter().map(http::Method::as_str).collect();
        let methods = if methods.is_empty() { "*".to_owned() } else { methods.join("|") };
        let host = self.hosts.first().map(ToString::to_string).unwrap_or_default();
        write!(f, "{methods} {host}{}", self.template)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_current() {
        let made = markdown(&Catalogue::embedded().unwrap());
        let current = include_str!("../../docs/connectors.md");
        assert!(made == current, "run: tollgate connectors list --markdown > docs/connectors.md");
    }

    #[test]
    fn a_connector_is_one_row() {
        let text = "\
sets: { n: ['1', '2', '3', '4'] }
connectors:
  - id: .x
    hosts: ['h{n}.test']
    endpoints: ['GET|PUT /a/{k:secret}', '* /b']
    token_endpoints: [POST t.test/token]
    secret_query: [sig]
    secret_headers: [X-Key]
    streaming: true
    avoid_interception: client-certificate
    docs: https://d.test/x
    note: odd
";
        let document = markdown(&Catalogue::extended(text).unwrap());
        let row = document.lines().find(|line| line.starts_with("| [`.x`]")).unwrap();
        assert_eq!(
            row,
            "| [`.x`](https://d.test/x) | `h1.test`, `h2.test`, `h3.test`, and 1 more | operator | \
             `GET\\|PUT /a/{k:secret}`<br>`* /b`<br>`POST t.test/token` | path `{k}`, query `sig`, header `x-key` | \
             yes | yes | may have to be in `tunnel_hosts`; odd |"
        );
    }
}
