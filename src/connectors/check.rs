//! From an entry as written to a checked [`Connector`], with every problem at its line and column.

use std::collections::BTreeMap;

use http::{HeaderName, Method};
use serde_saphyr::{Location, Spanned};

use super::connector::{PORT, SHAPE_LITERALS_MIN};
use super::file::RawConnector;
use super::problem::{CatalogueProblem, Problem, located};
use super::template::PathTemplate;
use super::{AvoidInterception, Connector, Endpoint, HostsSource, SelfHosted};
use crate::policy::HostPattern;

/// Longest connector type id, in octets; it is stored in every row.
const ID_BYTES_MAX: usize = 64;
/// Most hosts that one entry may stand for, its sets expanded.
const HOSTS_MAX: usize = 256;

/// The state of checking one file.
pub(super) struct Checker {
    sets: BTreeMap<String, Vec<String>>,
    problems: Vec<CatalogueProblem>,
}

impl Checker {
    pub(super) fn new(sets: BTreeMap<String, Vec<String>>) -> Self {
        Self { sets, problems: Vec::new() }
    }

    /// Everything that was found, in the order of the text.
    pub(super) fn into_problems(mut self) -> Vec<CatalogueProblem> {
        self.problems.sort_by_key(|problem| (problem.line, problem.column));
        self.problems
    }

    pub(super) fn report(&mut self, location: Location, problem: Problem) {
        self.problems.push(located(location, problem));
    }

    pub(super) fn connector(&mut self, entry: Spanned<RawConnector>) -> Connector {
        let (location, raw) = (entry.referenced, entry.value);
        let problems_before = self.problems.len();
        let id = self.id(raw.id);
        let mut endpoints = self.endpoints(raw.endpoints, false);
        endpoints.extend(self.endpoints(raw.token_endpoints, true));
        let connector = Connector {
            ports: self.called_ports(raw.ports),
            hosts: raw.hosts.into_iter().flat_map(|host| self.hosts(&host.value, host.referenced)).collect(),
            endpoints,
            secret_query: raw.secret_query,
            keep_query: raw.keep_query,
            secret_headers: self.headers(raw.secret_headers),
            hint_headers: self.headers(raw.hint_headers),
            hint_accept: raw.hint_accept,
            self_hosted: self.self_hosted(raw.self_hosted, raw.shape_literals_min),
            tunnel_ports: self.ports(raw.tunnel_ports),
            streaming: raw.streaming,
            avoid_interception: raw.avoid_interception.and_then(|reason| self.avoid_interception(reason)),
            bypasses_proxy: raw.bypasses_proxy,
            hosts_source: self.hosts_source(raw.hosts_source),
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

    fn self_hosted(
        &mut self,
        written: Option<Spanned<String>>,
        literals_min: Option<Spanned<usize>>,
    ) -> Option<SelfHosted> {
        let by_path = written.as_ref().is_some_and(|written| written.value == "path");
        if let Some(literals_min) = literals_min.as_ref().filter(|min| min.value == 0 || !by_path) {
            self.report(literals_min.referenced, Problem::ShapeLiterals(literals_min.value));
        }
        let written = written?;
        match written.value.as_str() {
            "path" => {
                let literals_min = literals_min.map_or(SHAPE_LITERALS_MIN, |min| min.value);
                Some(SelfHosted::Path { literals_min })
            }
            "path_and_header" => Some(SelfHosted::PathAndHeader),
            _ => {
                self.report(written.referenced, Problem::SelfHosted(written.value));
                None
            }
        }
    }

    fn avoid_interception(&mut self, written: Spanned<String>) -> Option<AvoidInterception> {
        let all = [AvoidInterception::ClientCertificate, AvoidInterception::OwnCa];
        let found = all.into_iter().find(|reason| reason.as_str() == written.value);
        if found.is_none() {
            self.report(written.referenced, Problem::AvoidInterception(written.value));
        }
        found
    }

    fn hosts_source(&mut self, written: Option<Spanned<String>>) -> HostsSource {
        let Some(written) = written else { return HostsSource::Operator };
        HostsSource::ALL.into_iter().find(|source| source.as_str() == written.value).unwrap_or_else(|| {
            self.report(written.referenced, Problem::HostsSource(written.value));
            HostsSource::Operator
        })
    }

    fn called_ports(&mut self, written: Vec<Spanned<u16>>) -> Vec<u16> {
        let ports = self.ports(written);
        if ports.is_empty() { vec![PORT] } else { ports }
    }

    fn ports(&mut self, written: Vec<Spanned<u16>>) -> Vec<u16> {
        for port in written.iter().filter(|port| port.value == 0) {
            self.report(port.referenced, Problem::Port);
        }
        written.into_iter().map(|port| port.value).collect()
    }
}
