//! The catalogue's file format: YAML to checked connectors, with every problem at its line and column.
//!
//! A type or syntax error ends the reading; everything else is collected, and unknown keys before anything else.

use std::collections::{BTreeMap, HashSet};

use http::{HeaderName, Method};
use serde::Deserialize;
use serde_saphyr::{Location, Spanned, UserMessageFormatter};

use super::template::{PathTemplate, TemplateError};
use super::{Connector, Endpoint, SelfHosted};
use crate::policy::{HostPattern, HostPatternError};
use crate::yaml::{self, Node};

/// Longest connector type id, in octets; it is stored in every row.
const ID_BYTES_MAX: usize = 64;
/// Most hosts that one entry may stand for, its sets expanded.
const HOSTS_MAX: usize = 256;

/// The keys of a [`RawFile`].
const FILE_KEYS: [&str; 2] = ["sets", "connectors"];
/// The keys of a [`RawConnector`].
const CONNECTOR_KEYS: [&str; 14] = [
    "id",
    "hosts",
    "endpoints",
    "token_endpoints",
    "secret_query",
    "secret_headers",
    "hint_headers",
    "self_hosted",
    "tunnel_ports",
    "streaming",
    "avoid_interception",
    "verified",
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
struct RawConnector {
    id: Spanned<String>,
    #[serde(default)]
    hosts: Vec<Spanned<String>>,
    #[serde(default)]
    endpoints: Vec<Spanned<String>>,
    #[serde(default)]
    token_endpoints: Vec<Spanned<String>>,
    #[serde(default)]
    secret_query: Vec<String>,
    #[serde(default)]
    secret_headers: Vec<Spanned<String>>,
    #[serde(default)]
    hint_headers: Vec<Spanned<String>>,
    self_hosted: Option<Spanned<String>>,
    #[serde(default)]
    tunnel_ports: Vec<Spanned<u16>>,
    #[serde(default)]
    streaming: bool,
    #[serde(default)]
    avoid_interception: bool,
    #[serde(default = "yes")]
    verified: bool,
    docs: Option<String>,
    note: Option<String>,
}

const fn yes() -> bool {
    true
}

/// What is wrong at one place of a catalogue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("{0}")]
    Yaml(String),
    #[error("unknown key \"{key}\"; the keys here are {}", .known.join(", "))]
    UnknownKey { key: String, known: &'static [&'static str] },
    #[error("connector id \"{0}\" is not a dot followed by up to 63 letters, digits, `-` and `_`; write .my-service")]
    Id(String),
    #[error("connector \"{0}\" is there twice; merge the two")]
    DuplicateId(String),
    #[error(transparent)]
    Host(#[from] HostPatternError),
    #[error("there is no set \"{0}\"; add it under `sets`, or write the hosts out")]
    UnknownSet(String),
    #[error("\"{0}\" stands for more than 256 hosts; write a suffix such as *.example.com")]
    TooManyHosts(String),
    #[error("endpoint \"{0}\" is not METHODS PATH; write GET|POST /api/v1/case")]
    Endpoint(String),
    #[error("\"{0}\" is not an HTTP method; write GET, or * for any")]
    Method(String),
    #[error("path \"{path}\": {error}")]
    Template { path: String, error: TemplateError },
    #[error("\"{0}\" is not a header field name")]
    Header(String),
    #[error("self_hosted \"{0}\" does not exist; write path or path_and_header, or leave it out")]
    SelfHosted(String),
    #[error(
        "connector \"{0}\" is self_hosted with a path that begins with a placeholder; begin it with a literal segment"
    )]
    ShapelessPath(String),
    #[error(
        "connector \"{0}\" is self_hosted by path_and_header and names no headers; add secret_headers or hint_headers"
    )]
    NoHeaders(String),
    #[error("connector \"{0}\" has an endpoint without a host, and no `hosts`; add hosts, or self_hosted")]
    NoHosts(String),
    #[error("0 is not a TCP port")]
    Port,
}

/// A problem and where it is. Lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogueProblem {
    pub line: u64,
    pub column: u64,
    pub problem: Problem,
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
    let mut checker = Checker { sets: raw.sets, problems: Vec::new() };
    let mut ids = HashSet::new();
    let mut connectors = Vec::with_capacity(raw.connectors.len());
    for entry in raw.connectors {
        if !ids.insert(entry.value.id.value.clone()) {
            checker.report(entry.value.id.referenced, Problem::DuplicateId(entry.value.id.value.clone()));
        }
        connectors.push(checker.connector(entry));
    }
    if checker.problems.is_empty() {
        return Ok(connectors);
    }
    checker.problems.sort_by_key(|problem| (problem.line, problem.column));
    Err(checker.problems)
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

fn yaml_problem(error: &serde_saphyr::Error) -> CatalogueProblem {
    let location = error.location().unwrap_or(Location::UNKNOWN);
    let message = error.without_snippet().render_with_formatter(&UserMessageFormatter);
    located(location, Problem::Yaml(message))
}

fn located(location: Location, problem: Problem) -> CatalogueProblem {
    CatalogueProblem { line: location.line().max(1), column: location.column().max(1), problem }
}

/// The state of checking one file.
struct Checker {
    sets: BTreeMap<String, Vec<String>>,
    problems: Vec<CatalogueProblem>,
}

impl Checker {
    fn report(&mut self, location: Location, problem: Problem) {
        self.problems.push(located(location, problem));
    }

    fn connector(&mut self, entry: Spanned<RawConnector>) -> Connector {
        let (location, raw) = (entry.referenced, entry.value);
        let problems_before = self.problems.len();
        let id = self.id(raw.id);
        let mut endpoints = self.endpoints(raw.endpoints, false);
        endpoints.extend(self.endpoints(raw.token_endpoints, true));
        let connector = Connector {
            hosts: raw.hosts.into_iter().flat_map(|host| self.hosts(&host.value, host.referenced)).collect(),
            endpoints,
            secret_query: raw.secret_query,
            secret_headers: self.headers(raw.secret_headers),
            hint_headers: self.headers(raw.hint_headers),
            self_hosted: raw.self_hosted.and_then(|value| self.self_hosted(value)),
            tunnel_ports: self.ports(raw.tunnel_ports),
            streaming: raw.streaming,
            avoid_interception: raw.avoid_interception,
            verified: raw.verified,
            docs: raw.docs,
            note: raw.note,
            id,
        };
        // What is missing because it was refused is not missing.
        if self.problems.len() == problems_before {
            self.consistent(&connector, location);
        }
        connector
    }

    fn id(&mut self, id: Spanned<String>) -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let name = id.value.strip_prefix('.').unwrap_or_default();
        if name.is_empty() || id.value.len() > ID_BYTES_MAX || !name.bytes().all(plain) {
            self.report(id.referenced, Problem::Id(id.value.clone()));
        }
        id.value
    }

    /// What cannot be seen at one key alone.
    fn consistent(&mut self, connector: &Connector, location: Location) {
        let id = || connector.id.clone();
        let mut own = connector.endpoints.iter().filter(|endpoint| endpoint.hosts.is_empty());
        match connector.self_hosted {
            Some(SelfHosted::PathAndHeader) if connector.headers().next().is_none() => {
                self.report(location, Problem::NoHeaders(id()));
            }
            Some(_) if own.any(|endpoint| endpoint.template.first_literal().is_none()) => {
                self.report(location, Problem::ShapelessPath(id()));
            }
            None if connector.hosts.is_empty() && own.next().is_some() => {
                self.report(location, Problem::NoHosts(id()));
            }
            Some(_) | None => {}
        }
    }

    /// A host pattern, with at most one set in it expanded.
    fn hosts(&mut self, written: &str, location: Location) -> Vec<HostPattern> {
        let spelled = match written.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?))) {
            None => vec![written.to_owned()],
            Some((before, (set, after))) => {
                let Some(members) = self.sets.get(set) else {
                    self.report(location, Problem::UnknownSet(set.to_owned()));
                    return Vec::new();
                };
                members.iter().map(|member| format!("{before}{member}{after}")).collect()
            }
        };
        if spelled.len() > HOSTS_MAX {
            self.report(location, Problem::TooManyHosts(written.to_owned()));
            return Vec::new();
        }
        let mut patterns = Vec::with_capacity(spelled.len());
        for host in spelled {
            match HostPattern::parse(&host) {
                Ok(pattern) => patterns.push(pattern),
                Err(error) => self.report(location, Problem::Host(error)),
            }
        }
        patterns
    }

    fn endpoints(&mut self, written: Vec<Spanned<String>>, token: bool) -> Vec<Endpoint> {
        written.into_iter().filter_map(|endpoint| self.endpoint(&endpoint.value, endpoint.referenced, token)).collect()
    }

    fn endpoint(&mut self, written: &str, location: Location, token: bool) -> Option<Endpoint> {
        let Some((methods, (host, path))) = written
            .split_once(' ')
            .and_then(|(methods, target)| Some((methods, target.split_at_checked(target.find('/')?)?)))
        else {
            self.report(location, Problem::Endpoint(written.to_owned()));
            return None;
        };
        let methods = self.methods(methods, location);
        let hosts = if host.is_empty() { Vec::new() } else { self.hosts(host, location) };
        match PathTemplate::parse(path) {
            Ok(template) => Some(Endpoint { methods, hosts, template, token }),
            Err(error) => {
                self.report(location, Problem::Template { path: path.to_owned(), error });
                None
            }
        }
    }

    /// Empty for any method.
    fn methods(&mut self, written: &str, location: Location) -> Vec<Method> {
        if written == "*" {
            return Vec::new();
        }
        let mut methods = Vec::new();
        for name in written.split('|') {
            match name.parse() {
                Ok(method) if name.bytes().all(|byte| byte.is_ascii_uppercase()) => methods.push(method),
                Ok(_) | Err(_) => self.report(location, Problem::Method(name.to_owned())),
            }
        }
        methods
    }

    fn headers(&mut self, written: Vec<Spanned<String>>) -> Vec<HeaderName> {
        let mut names = Vec::with_capacity(written.len());
        for name in written {
            match name.value.parse() {
                Ok(header) => names.push(header),
                Err(_) => self.report(name.referenced, Problem::Header(name.value)),
            }
        }
        names
    }

    fn self_hosted(&mut self, written: Spanned<String>) -> Option<SelfHosted> {
        match written.value.as_str() {
            "path" => Some(SelfHosted::Path),
            "path_and_header" => Some(SelfHosted::PathAndHeader),
            _ => {
                self.report(written.referenced, Problem::SelfHosted(written.value));
                None
            }
        }
    }

    fn ports(&mut self, written: Vec<Spanned<u16>>) -> Vec<u16> {
        for port in written.iter().filter(|port| port.value == 0) {
            self.report(port.referenced, Problem::Port);
        }
        written.into_iter().map(|port| port.value).collect()
    }
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
