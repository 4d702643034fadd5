//! Finds every unknown key of a configuration file at once.
//!
//! Reading into [`ConfigFile`] refuses unknown keys too, but stops at the first. So the text is read once more as bare
//! structure, and its keys are compared with those the types have; values are not looked at.

use std::path::Path;

use serde::Deserialize;
use serde_saphyr::Error;

use super::file::{
    AuditFile, ClientCertFile, ConfigFile, ExcerptsFile, IdentityFile, InterceptionFile, LimitsFile, ListenerFile,
    ListenerTlsFile, LogFile, UpstreamFile, UpstreamHostFile,
};
use super::problem::Problem;
use super::setting::Place;
use crate::client::{ClientSettings, HeaderSettings};
use crate::yaml::Node;

/// All unknown keys; none when the text is not YAML, which the typed reading reports.
pub(super) fn unknown_keys(path: &Path, text: &str) -> Vec<Problem> {
    let options = serde_saphyr::options! { with_snippet: false };
    let Ok(Some(root)) = serde_saphyr::from_str_with_options::<Option<Node>>(text, options) else {
        return Vec::new();
    };
    let mut search = Search { path, problems: Vec::new() };
    search.compare::<ConfigFile>(&root);
    for listener in root.items("listeners") {
        search.compare::<ListenerFile>(listener);
        search.compare::<ListenerTlsFile>(listener.value("tls"));
    }
    search.compare::<InterceptionFile>(root.value("interception"));
    search.compare::<UpstreamFile>(root.value("upstream"));
    for host in root.value("upstream").items("hosts") {
        search.compare::<UpstreamHostFile>(host);
        search.compare::<ClientCertFile>(host.value("client_cert"));
    }
    for client in root.items("clients") {
        search.compare::<ClientSettings>(client);
        search.compare::<HeaderSettings>(client.value("header"));
    }
    search.compare::<IdentityFile>(root.value("identity"));
    search.compare::<AuditFile>(root.value("audit"));
    search.compare::<ExcerptsFile>(root.value("audit").value("excerpts"));
    search.compare::<LimitsFile>(root.value("limits"));
    search.compare::<LogFile>(root.value("log"));
    search.problems.sort_by(|a, b| a.place.cmp(&b.place));
    search.problems
}

struct Search<'a> {
    path: &'a Path,
    problems: Vec<Problem>,
}

impl Search<'_> {
    /// Reports the keys of a mapping that `T` does not have.
    fn compare<T: for<'de> Deserialize<'de>>(&mut self, node: &Node) {
        let known = keys_of::<T>();
        for key in node.unknown_keys(&known) {
            let (line, column) = (key.referenced.line(), key.referenced.column());
            let place = Place::File { file: self.path.to_owned(), line, column };
            self.problems.push(Problem::unknown_key(place, &key.value, &known));
        }
    }
}

/// The keys a type has, asked of the type itself: its complaint about an unknown key lists them.
fn keys_of<T: for<'de> Deserialize<'de>>() -> Vec<&'static str> {
    match serde_saphyr::from_str::<T>("'': 0").err().as_ref().map(Error::without_snippet) {
        Some(Error::SerdeUnknownField { expected, .. }) => expected.clone(),
        Some(_) | None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Were a type's keys not found, its unknown keys would be reported one at a time again.
    #[test]
    fn every_type_tells_its_keys() {
        assert_eq!(keys_of::<LogFile>(), ["format", "level"]);
        for keys in [
            keys_of::<ConfigFile>(),
            keys_of::<ListenerFile>(),
            keys_of::<ListenerTlsFile>(),
            keys_of::<InterceptionFile>(),
            keys_of::<UpstreamFile>(),
            keys_of::<UpstreamHostFile>(),
            keys_of::<ClientCertFile>(),
            keys_of::<ClientSettings>(),
            keys_of::<HeaderSettings>(),
            keys_of::<IdentityFile>(),
            keys_of::<AuditFile>(),
            keys_of::<LimitsFile>(),
        ] {
            assert!(keys.len() >= 2, "{keys:?}");
        }
    }

    #[test]
    fn all_unknown_keys_are_found_in_the_order_of_the_text() {
        let text = "\
lisstener: 1
listeners: [{ adress: a, tls: { cert: b } }]
upstream: { resolve: { anything.example: 192.0.2.1 }, ca: x }
clients:
  - { name: k, header: { key: v }, user: u }
policy: { whatever: 1 }
logs:
";
        let problems = unknown_keys(Path::new("t.yml"), text);
        let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "t.yml:1:1: unknown key `lisstener`; did you mean `listeners`?",
                "t.yml:2:15: unknown key `adress`; did you mean `address`?",
                "t.yml:2:33: unknown key `cert`; the keys here are cert_file, key_file",
                "t.yml:3:55: unknown key `ca`; the keys here are ca_files, system_roots, tls_min, hosts, allow_addresses, \
                 resolve, pool_idle_per_destination_max, pool_idle_max, pool_idle_timeout_s, pool_spare, dns_cache_ttl_s, \
                 dns_cache_entries, dns_in_flight_max",
                "t.yml:5:26: unknown key `key`; the keys here are name, value",
                "t.yml:5:36: unknown key `user`; the keys here are name, listener, sources, username, password, \
                 password_file, header, deployments, projects",
                "t.yml:7:1: unknown key `logs`; did you mean `log`?",
            ]
        );
    }

    #[test]
    fn what_is_no_mapping_has_no_unknown_keys() {
        for text in ["", "- a\n", "a: [\n", "listeners: 5\nlog: text\n"] {
            assert_eq!(unknown_keys(Path::new("t.yml"), text).len(), 0, "{text:?}");
        }
    }
}
