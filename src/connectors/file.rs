//! The catalogue's file format: YAML to checked connectors, with every problem at its line and column.
//!
//! A type or syntax error ends the reading; everything else is collected, and unknown keys before anything else.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::Connector;
use super::check::Checker;
use super::problem::{CatalogueProblem, Problem, located, yaml_problem};
use crate::yaml::{self, Node};

/// The keys of a [`RawFile`].
const FILE_KEYS: [&str; 2] = ["sets", "connectors"];
/// The keys of a [`RawConnector`].
const CONNECTOR_KEYS: [&str; 19] = [
    "id",
    "hosts",
    "ports",
    "endpoints",
    "token_endpoints",
    "secret_query",
    "keep_query",
    "secret_headers",
    "hint_headers",
    "hint_accept",
    "self_hosted",
    "shape_literals_min",
    "tunnel_ports",
    "streaming",
    "avoid_interception",
    "bypasses_proxy",
    "hosts_source",
    "docs",
    "note",
];

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawFile {
    sets: BTreeMap<String, Vec<String>>,
    connectors: Vec<Spanned<RawConnector>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConnector {
    pub(super) id: Spanned<String>,
    #[serde(default)]
    pub(super) hosts: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) ports: Vec<Spanned<u16>>,
    #[serde(default)]
    pub(super) endpoints: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) token_endpoints: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) secret_query: Vec<String>,
    #[serde(default)]
    pub(super) keep_query: Vec<String>,
    #[serde(default)]
    pub(super) secret_headers: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) hint_headers: Vec<Spanned<String>>,
    pub(super) hint_accept: Option<String>,
    pub(super) self_hosted: Option<Spanned<String>>,
    pub(super) shape_literals_min: Option<Spanned<usize>>,
    #[serde(default)]
    pub(super) tunnel_ports: Vec<Spanned<u16>>,
    #[serde(default)]
    pub(super) streaming: bool,
    pub(super) avoid_interception: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) bypasses_proxy: bool,
    pub(super) hosts_source: Option<Spanned<String>>,
    pub(super) docs: Option<String>,
    pub(super) note: Option<String>,
}

/// Reads a catalogue's text into its connectors, in the order of the text.
///
/// # Errors
/// All problems, in the order of the text; at least one.
pub(super) fn read(text: &str) -> Result<Vec<Connector>, Vec<CatalogueProblem>> {
    let unknown = unknown_keys(text);
    if !unknown.is_empty() {
        return Err(unknown);
    }
    let raw = match serde_saphyr::from_str_with_options::<Option<RawFile>>(text, yaml::options(text)) {
        Ok(raw) => raw.unwrap_or_default(),
        Err(error) => return Err(vec![yaml_problem(&error)]),
    };
    let mut checker = Checker::new(raw.sets);
    let mut ids = HashSet::new();
    let mut connectors = Vec::with_capacity(raw.connectors.len());
    for entry in raw.connectors {
        if !ids.insert(entry.value.id.value.clone()) {
            checker.report(entry.value.id.referenced, Problem::DuplicateId(entry.value.id.value.clone()));
        }
        connectors.push(checker.connector(entry));
    }
    let problems = checker.into_problems();
    if problems.is_empty() { Ok(connectors) } else { Err(problems) }
}

/// All unknown keys; none when the text is not YAML, which the typed reading reports.
fn unknown_keys(text: &str) -> Vec<CatalogueProblem> {
    let Ok(Some(root)) = serde_saphyr::from_str_with_options::<Option<Node>>(text, yaml::options(text)) else {
        return Vec::new();
    };
    let in_file = root.unknown_keys(&FILE_KEYS).map(|key| (key, &FILE_KEYS[..]));
    let connectors = root.items("connectors").iter();
    let in_connectors =
        connectors.flat_map(|node| node.unknown_keys(&CONNECTOR_KEYS)).map(|key| (key, &CONNECTOR_KEYS[..]));
    let unknown = in_file.chain(in_connectors);
    let mut problems: Vec<_> = unknown
        .map(|(key, known)| located(key.referenced, Problem::UnknownKey { key: key.value.clone(), known }))
        .collect();
    problems.sort_by_key(|problem| (problem.line, problem.column));
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let problems = read(text).unwrap_err();
        problems.iter().map(|found| format!("{}:{}: {}", found.line, found.column, found.problem)).collect()
    }

    #[test]
    fn every_problem_is_found_with_its_place() {
        let text = "\
connectors:
  - id: slack
    hosts: [Hooks.slack.com, '{region}.a.test']
    endpoints: [POST, get /a, 'POST /{A}']
    secret_headers: ['a b']
    self_hosted: maybe
    tunnel_ports: [0]
  - id: .a
    endpoints: [GET /a]
  - id: .a
    endpoints: ['GET /{x}/a']
    self_hosted: path_and_header
  - id: .b
    endpoints: ['GET /{x}/a']
    self_hosted: path
";
        assert_eq!(
            problems(text),
            [
                "2:9: connector id \"slack\" is not a dot followed by up to 63 letters, digits, `-` and `_`; write .my-service",
                "3:13: host \"Hooks.slack.com\" is not canonical; write \"hooks.slack.com\"",
                "3:30: there is no set \"region\"; add it under `sets`, or write the hosts out",
                "4:17: endpoint \"POST\" is not METHODS PATH; write GET|POST /api/v1/case",
                "4:23: \"get\" is not an HTTP method; write GET, or * for any",
                "4:31: path \"/{A}\": the placeholder name \"A\" is not lower-case letters, digits and `_`",
                "5:22: \"a b\" is not a header field name",
                "6:18: self_hosted \"maybe\" does not exist; write path or path_and_header, or leave it out",
                "7:20: 0 is not a TCP port",
                "8:5: connector \".a\" has an endpoint without a host, and no `hosts`; add hosts, or self_hosted",
                "10:5: connector \".a\" is self_hosted by path_and_header and names no headers; add secret_headers or hint_headers",
                "10:9: connector \".a\" is there twice; merge the two",
                "13:5: connector \".b\" is self_hosted with a path that begins with a placeholder; begin it with a literal segment",
            ]
        );
    }

    #[test]
    fn unknown_keys_are_all_found() {
        let text = "set: {}\nconnectors:\n  - { id: .a, host: [a.test] }\n  - { id: .b, streams: true }\n";
        let found = problems(text);
        assert_eq!(found[0], "1:1: unknown key \"set\"; the keys here are sets, connectors");
        assert!(found[1].starts_with("3:15: unknown key \"host\"; the keys here are id, hosts, "), "{found:?}");
        assert!(found[2].starts_with("4:15: unknown key \"streams\"; "), "{found:?}");
        assert_eq!(found.len(), 3);
    }

    /// The typed reading lists the keys it has when it meets another.
    #[test]
    fn the_known_keys_are_those_of_the_types() {
        let known = |error: serde_saphyr::Error| match error.without_snippet() {
            serde_saphyr::Error::SerdeUnknownField { expected, .. } => expected.clone(),
            other => panic!("{other}"),
        };
        assert_eq!(known(serde_saphyr::from_str::<RawFile>("'': 0").err().unwrap()), FILE_KEYS);
        assert_eq!(known(serde_saphyr::from_str::<RawConnector>("'': 0").err().unwrap()), CONNECTOR_KEYS);
    }

    #[test]
    fn a_wrong_type_is_refused_with_its_place() {
        let found = read("connectors:\n  - { id: .a, streaming: maybe }\n").unwrap_err();
        assert_eq!((found[0].line, found[0].column), (2, 26), "{found:?}");
    }

    #[test]
    fn a_set_stands_for_its_members() {
        let text =
            "sets: { r: [a-1, b-2] }\nconnectors: [{ id: .x, hosts: ['s3.{r}.aws.test', '*.s3.{r}.aws.test'] }]\n";
        let hosts: Vec<String> = read(text).unwrap()[0].hosts.iter().map(ToString::to_string).collect();
        assert_eq!(hosts, ["s3.a-1.aws.test", "s3.b-2.aws.test", "*.s3.a-1.aws.test", "*.s3.b-2.aws.test"]);
    }

    #[test]
    fn an_empty_file_is_an_empty_catalogue() {
        assert_eq!(read("").unwrap().len(), 0);
    }
}
