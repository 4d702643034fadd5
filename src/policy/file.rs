//! The policy file: YAML to checked rules, with every problem at its line and column.
//!
//! The text is parsed twice: once as bare structure, to find all unknown keys, once into typed values. A type or syntax
//! error ends the second pass, everything else is collected.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde_saphyr::{Location, Spanned, UserMessageFormatter};

use super::index::Index;
use super::pattern::{HostPattern, HostPatternError};
use super::structure::unknown_keys;
use super::{Mode, Rule, Subjects};
use crate::client::{DeploymentId, IdError, ProjectId};
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
    r#for: Option<Spanned<RawSubjects>>,
}

#[derive(Deserialize)]
struct RawSubjects {
    deployments: Option<Spanned<Vec<Spanned<String>>>>,
    projects: Option<Spanned<Vec<Spanned<String>>>>,
    clients: Option<Spanned<Vec<Spanned<String>>>>,
}

/// What is wrong at one place of a policy file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("{0}")]
    Yaml(String),
    #[error("unknown key \"{key}\"; the keys here are {allowed}")]
    UnknownKey { key: String, allowed: String },
    #[error("mode \"{0}\" does not exist; write `observe` or `enforce`")]
    UnknownMode(String),
    #[error("default \"allow\" does not exist; to let everything through and record it, write `mode: observe`")]
    DefaultAllow,
    #[error("default \"{0}\" does not exist; write `default: deny` or leave it out")]
    UnknownDefault(String),
    #[error("the rule has no name; add `name`, it is recorded with every call the rule allows")]
    NameMissing,
    #[error("the rule name must have 1 to 128 characters, none of them control characters")]
    InvalidName,
    #[error("rule names starting with `flag:` stand for command line flags; choose another name")]
    ReservedName,
    #[error("rule \"{name}\" is already defined in line {first_line}; rename one or merge them")]
    DuplicateName { name: String, first_line: u64 },
    #[error("rule \"{0}\" names no hosts; add `hosts` with at least one, or remove the rule")]
    NoHosts(String),
    #[error(transparent)]
    Host(#[from] HostPatternError),
    #[error("host \"{0}\" is listed twice in this rule; remove one")]
    DuplicateHost(String),
    #[error("host \"{host}\" never decides here: rule \"{rule}\" in line {line} allows it for everyone; remove one")]
    Shadowed { host: String, rule: String, line: u64 },
    #[error("`for` names nobody; list deployments, projects or clients, or remove `for` to mean everyone")]
    NoSubjects,
    #[error("`{0}` is an empty list; name at least one, or remove the key")]
    EmptyList(&'static str),
    #[error("\"{0}\" is listed twice; remove one")]
    DuplicateSubject(String),
    #[error("id \"{id}\": {error}")]
    Id { id: String, error: IdError },
    #[error("the client name is empty")]
    EmptyClient,
}

/// A problem and where it is. Lines and columns count from 1; columns count characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyProblem {
    pub line: u64,
    pub column: u64,
    pub problem: Problem,
}

/// All problems of a policy file, in the order of the text. Displays as one line each, `file:line:column: problem`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPolicy {
    pub file: String,
    pub problems: Vec<PolicyProblem>,
}

impl fmt::Display for InvalidPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, PolicyProblem { line, column, problem }) in self.problems.iter().enumerate() {
            let separator = if position == 0 { "" } else { "\n" };
            write!(f, "{separator}{}:{line}:{column}: {problem}", self.file)?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidPolicy {}

/// Reads a policy file. An empty one observes and has no rules.
pub(super) fn read(text: &str, file: &str) -> Result<(Mode, Vec<Rule>), InvalidPolicy> {
    let mut checker = Checker::default();
    let mode = checker.read(text);
    if checker.problems.is_empty() {
        return Ok((mode, checker.rules));
    }
    checker.problems.sort_by_key(|problem| (problem.line, problem.column));
    Err(InvalidPolicy { file: file.to_owned(), problems: checker.problems })
}

pub(super) fn yaml_problem(error: &serde_saphyr::Error) -> PolicyProblem {
    let location = error.location().unwrap_or(Location::UNKNOWN);
    let message = error.without_snippet().render_with_formatter(&UserMessageFormatter);
    located(location, Problem::Yaml(message))
}

pub(super) fn located(location: Location, problem: Problem) -> PolicyProblem {
    PolicyProblem { line: location.line().max(1), column: location.column().max(1), problem }
}

/// The state of checking one file, rule by rule.
#[derive(Default)]
struct Checker {
    problems: Vec<PolicyProblem>,
    rules: Vec<Rule>,
    /// Line of each rule in `rules`.
    lines: Vec<u64>,
    /// Line of each rule name.
    names: HashMap<String, u64>,
    /// Hosts of the rules so far, to notice rules that can never decide.
    index: Index,
}

impl Checker {
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
        let hosts = self.hosts(location, &name, raw.hosts);
        let position = self.rules.len();
        for host in &hosts {
            self.index.insert(host, position, subjects.as_ref());
        }
        self.rules.push(Rule { name: Arc::from(name), hosts, subjects });
        self.lines.push(location.line());
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

    fn hosts(&mut self, rule: Location, name: &str, hosts: Option<Spanned<Vec<Spanned<String>>>>) -> Vec<HostPattern> {
        let location = hosts.as_ref().map_or(rule, |hosts| hosts.referenced);
        let hosts = hosts.map(|hosts| hosts.value).unwrap_or_default();
        if hosts.is_empty() {
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
