//! The policy file: YAML to checked rules, with every problem at its line and column.
//!
//! The text is parsed twice: once as bare structure, to find all unknown keys, once into typed values. A type or syntax
//! error ends the second pass, everything else is collected.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_saphyr::{Location, Spanned};

use super::index::Index;
use super::pattern::HostPattern;
use super::problem::{InvalidPolicy, PolicyProblem, Problem, located, yaml_problem};
use super::structure::unknown_keys;
use super::{Mode, Presets, Rule, Subjects};
use crate::client::{DeploymentId, ProjectId};
use crate::yaml;

/// Longest rule name in characters; it is stored in every row.
const NAME_CHARS_MAX: usize = 128;

#[derive(Deserialize)]
struct RawPolicy {
    mode: Option<Spanned<String>>,
    default: Option<Spanned<String>>,
    rules: Option<Vec<Spanned<RawRule>>>,
}

#[derive(Deserialize)]
struct RawRule {
    name: Option<Spanned<String>>,
    hosts: Option<Spanned<Vec<Spanned<String>>>>,
    connectors: Option<Spanned<Vec<Spanned<String>>>>,
    r#for: Option<Spanned<RawSubjects>>,
}

#[derive(Deserialize)]
struct RawSubjects {
    deployments: Option<Spanned<Vec<Spanned<String>>>>,
    projects: Option<Spanned<Vec<Spanned<String>>>>,
    clients: Option<Spanned<Vec<Spanned<String>>>>,
}

/// Reads a policy file. An empty one observes and has no rules.
pub(super) fn read(text: &str, file: &str, presets: &dyn Presets) -> Result<(Mode, Vec<Rule>), InvalidPolicy> {
    let mut checker = Checker::new(presets);
    let mode = checker.read(text);
    if checker.problems.is_empty() {
        return Ok((mode, checker.rules));
    }
    checker.problems.sort_by_key(|problem| (problem.line, problem.column));
    Err(InvalidPolicy { file: file.to_owned(), problems: checker.problems })
}

/// The state of checking one file, rule by rule.
struct Checker<'p> {
    presets: &'p dyn Presets,
    problems: Vec<PolicyProblem>,
    rules: Vec<Rule>,
    /// Line of each rule in `rules`.
    lines: Vec<u64>,
    /// Line of each rule name.
    names: HashMap<String, u64>,
    /// Hosts of the rules so far, to notice rules that can never decide.
    index: Index,
}

impl<'p> Checker<'p> {
    fn new(presets: &'p dyn Presets) -> Self {
        Self {
            presets,
            problems: Vec::new(),
            rules: Vec::new(),
            lines: Vec::new(),
            names: HashMap::new(),
            index: Index::default(),
        }
    }

    fn read(&mut self, text: &str) -> Mode {
        self.problems = unknown_keys(text);
        match serde_saphyr::from_str_with_options::<Option<RawPolicy>>(text, yaml::options(text)) {
            Ok(Some(raw)) => {
                self.check_default(raw.default);
                for rule in raw.rules.unwrap_or_default() {
                    self.add_rule(rule);
                }
                self.mode(raw.mode)
            }
            Ok(None) => Mode::default(),
            Err(error) => {
                let problem = yaml_problem(&error);
                // The first pass stumbles over the same syntax errors.
                if !self.problems.contains(&problem) {
                    self.problems.push(problem);
                }
                Mode::default()
            }
        }
    }

    fn report(&mut self, location: Location, problem: Problem) {
        self.problems.push(located(location, problem));
    }

    fn mode(&mut self, mode: Option<Spanned<String>>) -> Mode {
        let Some(mode) = mode else { return Mode::default() };
        match mode.value.as_str() {
            "observe" => Mode::Observe,
            "enforce" => Mode::Enforce,
            _ => {
                self.report(mode.referenced, Problem::UnknownMode(mode.value));
                Mode::default()
            }
        }
    }

    fn check_default(&mut self, default: Option<Spanned<String>>) {
        let Some(default) = default else { return };
        match default.value.as_str() {
            "deny" => {}
            "allow" => self.report(default.referenced, Problem::DefaultAllow),
            _ => self.report(default.referenced, Problem::UnknownDefault(default.value)),
        }
    }

    fn add_rule(&mut self, raw: Spanned<RawRule>) {
        let (location, raw) = (raw.referenced, raw.value);
        let name = self.name(location, raw.name);
        let subjects = raw.r#for.map(|subjects| self.subjects(subjects));
        let presets = self.connectors(raw.connectors);
        let hosts = self.hosts((location, &name), raw.hosts, presets.is_none());
        let named = Arc::from(&*name);
        self.push(location, Rule { name: named, connector: None, hosts, subjects: subjects.clone() });
        for (connector, hosts) in presets.into_iter().flatten() {
            let name = Arc::from(format!("{name} ({connector})"));
            self.push(location, Rule { name, connector: Some(connector), hosts, subjects: subjects.clone() });
        }
    }

    fn push(&mut self, location: Location, rule: Rule) {
        let position = self.rules.len();
        for host in &rule.hosts {
            self.index.insert(host, position, rule.subjects.as_ref());
        }
        self.rules.push(rule);
        self.lines.push(location.line());
    }

    /// The connectors of a rule with their hosts; `None` when it names none.
    fn connectors(
        &mut self,
        named: Option<Spanned<Vec<Spanned<String>>>>,
    ) -> Option<Vec<(Arc<str>, Vec<HostPattern>)>> {
        let named = named?;
        if named.value.is_empty() {
            self.report(named.referenced, Problem::EmptyList("connectors"));
        }
        let mut presets: Vec<(Arc<str>, Vec<HostPattern>)> = Vec::with_capacity(named.value.len());
        for Spanned { value, referenced, .. } in named.value {
            if presets.iter().any(|(id, _)| **id == *value) {
                self.report(referenced, Problem::DuplicateConnector(value));
                continue;
            }
            match self.presets.hosts_of(&value) {
                Ok(hosts) => presets.push((Arc::from(value), hosts)),
                Err(error) => self.report(referenced, Problem::Preset(error)),
            }
        }
        Some(presets)
    }

    fn name(&mut self, rule: Location, name: Option<Spanned<String>>) -> String {
        let Some(name) = name else {
            self.report(rule, Problem::NameMissing);
            return String::new();
        };
        let (location, name) = (name.referenced, name.value);
        let chars = name.chars().count();
        if chars == 0 || chars > NAME_CHARS_MAX || name.chars().any(char::is_control) {
            self.report(location, Problem::InvalidName);
        } else if name.starts_with("flag:") {
            self.report(location, Problem::ReservedName);
        } else if let Some(&first_line) = self.names.get(&name) {
            self.report(location, Problem::DuplicateName { name: name.clone(), first_line });
        } else {
            self.names.insert(name.clone(), location.line());
        }
        name
    }

    /// The hosts a rule lists; it needs some when it names no connectors.
    fn hosts(
        &mut self,
        (rule, name): (Location, &str),
        hosts: Option<Spanned<Vec<Spanned<String>>>>,
        needed: bool,
    ) -> Vec<HostPattern> {
        let location = hosts.as_ref().map_or(rule, |hosts| hosts.referenced);
        let hosts = hosts.map(|hosts| hosts.value).unwrap_or_default();
        if needed && hosts.is_empty() {
            self.report(location, Problem::NoHosts(name.to_owned()));
        }
        let mut seen = HashSet::new();
        let mut patterns = Vec::with_capacity(hosts.len());
        for Spanned { value, referenced, .. } in hosts {
            let pattern = match HostPattern::parse(&value) {
                Ok(pattern) => pattern,
                Err(error) => {
                    self.report(referenced, Problem::Host(error));
                    continue;
                }
            };
            if !seen.insert(pattern.clone()) {
                self.report(referenced, Problem::DuplicateHost(value));
                continue;
            }
            if let Some(problem) = self.shadowed(&pattern) {
                self.report(referenced, problem);
            }
            patterns.push(pattern);
        }
        patterns
    }

    fn shadowed(&self, pattern: &HostPattern) -> Option<Problem> {
        let position = self.index.open_to_everyone(pattern)?;
        let (rule, line) = (self.rules.get(position)?, self.lines.get(position)?);
        Some(Problem::Shadowed { host: pattern.to_string(), rule: rule.name.to_string(), line: *line })
    }

    fn subjects(&mut self, raw: Spanned<RawSubjects>) -> Subjects {
        let (location, raw) = (raw.referenced, raw.value);
        if raw.deployments.is_none() && raw.projects.is_none() && raw.clients.is_none() {
            self.report(location, Problem::NoSubjects);
        }
        let id_problem = |id: &str, error| Problem::Id { id: id.to_owned(), error };
        Subjects {
            deployments: self
                .list("deployments", raw.deployments, |id| DeploymentId::parse(id).map_err(|e| id_problem(id, e))),
            projects: self.list("projects", raw.projects, |id| ProjectId::parse(id).map_err(|e| id_problem(id, e))),
            clients: self.list("clients", raw.clients, |name| {
                if name.is_empty() { Err(Problem::EmptyClient) } else { Ok(Arc::from(name)) }
            }),
        }
    }

    fn list<T>(
        &mut self,
        key: &'static str,
        list: Option<Spanned<Vec<Spanned<String>>>>,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Vec<T> {
        let Some(list) = list else { return Vec::new() };
        if list.value.is_empty() {
            self.report(list.referenced, Problem::EmptyList(key));
        }
        let mut seen = HashSet::new();
        let mut parsed = Vec::with_capacity(list.value.len());
        for Spanned { value, referenced, .. } in list.value {
            match parse(&value) {
                Ok(item) => parsed.push(item),
                Err(problem) => self.report(referenced, problem),
            }
            if seen.contains(&value) {
                self.report(referenced, Problem::DuplicateSubject(value));
            } else {
                seen.insert(value);
            }
        }
        parsed
    }
}

#[cfg(test)]
mod tests;
