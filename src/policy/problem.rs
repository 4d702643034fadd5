//! What can be wrong with a policy file, and where.

use std::fmt;

use serde_saphyr::{Location, UserMessageFormatter};

use super::pattern::HostPatternError;
use super::preset::PresetError;
use super::written::Place;
use crate::client::IdError;

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
    #[error("rule \"{0}\" names no hosts; add `hosts` or `connectors` with at least one, or remove the rule")]
    NoHosts(String),
    #[error(transparent)]
    Host(#[from] HostPatternError),
    #[error("host \"{0}\" is listed twice in this rule; remove one")]
    DuplicateHost(String),
    #[error("host \"{host}\" never decides here: rule \"{rule}\" in line {line} allows it for everyone; remove one")]
    Shadowed { host: String, rule: String, line: u64 },
    #[error(transparent)]
    Preset(#[from] PresetError),
    #[error("connector \"{0}\" is listed twice in this rule; remove one")]
    DuplicateConnector(String),
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

impl Problem {
    pub(super) fn unknown_key(key: &str, allowed: &[&str]) -> Self {
        Self::UnknownKey { key: key.to_owned(), allowed: allowed.join(", ") }
    }
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

pub(super) fn yaml_problem(error: &serde_saphyr::Error) -> PolicyProblem {
    let location = error.location().unwrap_or(Location::UNKNOWN);
    let message = error.without_snippet().render_with_formatter(&UserMessageFormatter);
    located(location.into(), Problem::Yaml(message))
}

pub(super) fn located(place: Place, problem: Problem) -> PolicyProblem {
    PolicyProblem { line: place.line.into(), column: place.column.into(), problem }
}
