//! The policy file: from what is written to checked rules, with every problem at its line and column.
//!
//! A type or syntax error is reported alone with all unknown keys, everything else together: what stands before an error
//! may have been read as something that nobody meant.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::index::Position;
use super::pattern::HostPattern;
use super::problem::{InvalidPolicy, PolicyProblem, Problem, located, yaml_problem};
use super::structure::unknown_keys;
use super::written::{self, List, Place, Placed, Text, WrittenPolicy, WrittenRule, WrittenSubjects};
use super::{Mode, Presets, Rule, Rules, Subjects};
use crate::client::{DeploymentId, ProjectId};

/// Longest rule name in characters; it is stored in every row.
const NAME_CHARS_MAX: usize = 128;

/// From so many hosts in one list on, room is made for all of them at once.
const RESERVED_FOR: usize = 1024;

/// Reads a policy file. An empty one observes and has no rules.
pub(super) fn read(text: &str, file: &str, presets: &dyn Presets) -> Result<(Mode, Rules), InvalidPolicy> {
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
    rules: Rules,
    /// Line of each rule.
    lines: Vec<u32>,
    /// Line of each rule name.
    names: HashMap<Arc<str>, u32>,
}

impl<'p> Checker<'p> {
    fn new(presets: &'p dyn Presets) -> Self {
        let (rules, lines, names) = (Rules::default(), Vec::new(), HashMap::new());
        Self { presets, problems: Vec::new(), rules, lines, names }
    }

    fn read(&mut self, text: &str) -> Mode {
        match written::read(text, |rule| self.add_rule(rule)) {
            Ok(policy) => {
                self.unknown(&policy.unknown, WrittenPolicy::KEYS);
                self.check_default(policy.default);
                self.mode(policy.mode)
            }
            Err(error) => {
                self.problems = unknown_keys(text);
                let problem = yaml_problem(&error);
                // Looking for unknown keys stumbles over the same syntax errors.
                if !self.problems.contains(&problem) {
                    self.problems.push(problem);
                }
                Mode::default()
            }
        }
    }

    fn unknown(&mut self, keys: &[Placed<Text<'_>>], allowed: &[&str]) {
        for key in keys {
            self.report(key.place, Problem::unknown_key(&key.value, allowed));
        }
    }

    fn report(&mut self, place: Place, problem: Problem) {
        self.problems.push(located(place, problem));
    }

    fn mode(&mut self, mode: Option<Placed<Text<'_>>>) -> Mode {
        let Some(mode) = mode else { return Mode::default() };
        match &*mode.value {
            "observe" => Mode::Observe,
            "enforce" => Mode::Enforce,
            unknown => {
                self.report(mode.place, Problem::UnknownMode(unknown.to_owned()));
                Mode::default()
            }
        }
    }

    fn check_default(&mut self, default: Option<Placed<Text<'_>>>) {
        let Some(default) = default else { return };
        match &*default.value {
            "deny" => {}
            "allow" => self.report(default.place, Problem::DefaultAllow),
            unknown => self.report(default.place, Problem::UnknownDefault(unknown.to_owned())),
        }
    }

    fn add_rule(&mut self, Placed { value: written, place }: Placed<WrittenRule<'_>>) {
        self.unknown(&written.unknown, WrittenRule::KEYS);
        let name = self.name(place, written.name);
        let subjects = written.subjects.map(|subjects| Arc::new(self.subjects(subjects)));
        let presets = self.connectors(written.connectors);
        if written.hosts.as_ref().is_none_or(|hosts| hosts.value.is_empty()) && presets.is_none() {
            let listed = written.hosts.as_ref().map_or(place, |hosts| hosts.place);
            self.report(listed, Problem::NoHosts(name.to_string()));
        }
        let hosts = written.hosts.map(|hosts| self.hosts(&hosts.value, subjects.as_deref())).unwrap_or_default();
        self.push(place, Rule { name: Arc::clone(&name), connector: None, hosts, subjects: subjects.clone() });
        for (connector, hosts) in presets.into_iter().flatten() {
            let name = Arc::from(format!("{name} ({connector})"));
            for host in &hosts {
                self.rules.index.insert(host, self.position(), subjects.as_deref());
            }
            self.push(place, Rule { name, connector: Some(connector), hosts, subjects: subjects.clone() });
        }
    }

    /// Where the next rule will be. The text of a policy is far too short for more rules than this can count.
    fn position(&self) -> Position {
        self.rules.list.len() as Position
    }

    /// Adds a rule whose hosts are in the index.
    fn push(&mut self, place: Place, rule: Rule) {
        self.rules.list.push(rule);
        self.lines.push(place.line);
    }

    /// The connectors of a rule with their hosts; `None` when it names none.
    fn connectors(&mut self, named: Option<List<'_>>) -> Option<Vec<(Arc<str>, Vec<HostPattern>)>> {
        let named = named?;
        if named.value.is_empty() {
            self.report(named.place, Problem::EmptyList("connectors"));
        }
        let mut presets: Vec<(Arc<str>, Vec<HostPattern>)> = Vec::with_capacity(named.value.len());
        for Placed { value, place } in named.value {
            if presets.iter().any(|(id, _)| **id == *value) {
                self.report(place, Problem::DuplicateConnector(value.to_owned()));
                continue;
            }
            match self.presets.hosts_of(&value) {
                Ok(hosts) => presets.push((Arc::from(&*value), hosts)),
                Err(error) => self.report(place, Problem::Preset(error)),
            }
        }
        Some(presets)
    }

    fn name(&mut self, rule: Place, name: Option<Placed<Text<'_>>>) -> Arc<str> {
        let Some(Placed { value, place }) = name else {
            self.report(rule, Problem::NameMissing);
            return Arc::from("");
        };
        let name: Arc<str> = Arc::from(&*value);
        let chars = name.chars().count();
        if chars == 0 || chars > NAME_CHARS_MAX || name.chars().any(char::is_control) {
            self.report(place, Problem::InvalidName);
        } else if name.starts_with("flag:") {
            self.report(place, Problem::ReservedName);
        } else if let Some(&first_line) = self.names.get(&name) {
            self.report(place, Problem::DuplicateName { name: name.to_string(), first_line: first_line.into() });
        } else {
            self.names.insert(Arc::clone(&name), place.line);
        }
        name
    }

    /// The hosts that the next rule lists; they are put into the index.
    fn hosts(&mut self, listed: &[Placed<Text<'_>>], subjects: Option<&Subjects>) -> Vec<HostPattern> {
        let position = self.position();
        let mut patterns = Vec::with_capacity(listed.len());
        if listed.len() >= RESERVED_FOR {
            self.rules.index.reserve(listed.iter().filter(|host| !host.value.starts_with('*')).count());
        }
        for Placed { value, place } in listed {
            let pattern = match HostPattern::parse(value) {
                Ok(pattern) => pattern,
                Err(error) => {
                    self.report(*place, Problem::Host(error));
                    continue;
                }
            };
            if !self.rules.index.insert(&pattern, position, subjects) {
                self.report(*place, Problem::DuplicateHost(value.to_string()));
                continue;
            }
            if let Some(problem) = self.shadowed(&pattern) {
                self.report(*place, problem);
            }
            patterns.push(pattern);
        }
        patterns
    }

    /// The problem with a host of the next rule that an earlier one has decided for everyone.
    fn shadowed(&self, pattern: &HostPattern) -> Option<Problem> {
        if self.rules.list.is_empty() {
            return None;
        }
        let position = self.rules.index.open_to_everyone(pattern)? as usize;
        let (rule, line) = (self.rules.list.get(position)?, self.lines.get(position)?);
        Some(Problem::Shadowed { host: pattern.to_string(), rule: rule.name.to_string(), line: (*line).into() })
    }

    fn subjects(&mut self, Placed { value: written, place }: Placed<WrittenSubjects<'_>>) -> Subjects {
        self.unknown(&written.unknown, WrittenSubjects::KEYS);
        if written.deployments.is_none() && written.projects.is_none() && written.clients.is_none() {
            self.report(place, Problem::NoSubjects);
        }
        let id_problem = |id: &str, error| Problem::Id { id: id.to_owned(), error };
        Subjects {
            deployments: self
                .list("deployments", written.deployments, |id| DeploymentId::parse(id).map_err(|e| id_problem(id, e))),
            projects: self.list("projects", written.projects, |id| ProjectId::parse(id).map_err(|e| id_problem(id, e))),
            clients: self.list("clients", written.clients, |name| {
                if name.is_empty() { Err(Problem::EmptyClient) } else { Ok(Arc::from(name)) }
            }),
        }
    }

    fn list<T>(
        &mut self,
        key: &'static str,
        list: Option<List<'_>>,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Vec<T> {
        let Some(list) = list else { return Vec::new() };
        if list.value.is_empty() {
            self.report(list.place, Problem::EmptyList(key));
        }
        let mut seen = HashSet::new();
        let mut parsed = Vec::with_capacity(list.value.len());
        for Placed { value, place } in &list.value {
            match parse(value) {
                Ok(item) => parsed.push(item),
                Err(problem) => self.report(*place, problem),
            }
            if !seen.insert(&**value) {
                self.report(*place, Problem::DuplicateSubject(value.to_string()));
            }
        }
        parsed
    }
}

#[cfg(test)]
mod tests;
