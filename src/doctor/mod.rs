//! `tollgate doctor`: what could keep calls from passing, or from being seen, and what to do about it.
//!
//! Each check is a small function from a [`Setup`] to [`Finding`]s; `CHECKS` is their order and grouping. Checks change
//! nothing: they read files, write and remove one probe file, connect to the proxy's own listeners, and ask for names.

mod avoided;
mod blind_spots;
mod certificates;
mod configuration;
mod disk;
mod event_log;
mod names;
mod probe;
mod rejected;
mod running;
mod system;

use std::path::PathBuf;
use std::time::SystemTime;

use crate::config::{Config, ConfigError};
use crate::kibana::{Releases, Version};

pub use event_log::EventLogError;

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    Ok,
    /// It was not looked at; the text says why.
    Skip,
    /// It works, and something should be known or changed.
    Warn,
    /// Calls fail, or are not seen.
    Fail,
}

impl Status {
    /// The word that is shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skip => "skip",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What one check saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub status: Status,
    /// What was looked at and seen.
    pub seen: String,
    /// What to do; none when there is nothing to do.
    pub fix: Option<String>,
    /// Single items that belong to it.
    pub details: Vec<String>,
}

impl Finding {
    fn new(status: Status, seen: impl Into<String>) -> Self {
        Self { status, seen: seen.into(), fix: None, details: Vec::new() }
    }

    fn ok(seen: impl Into<String>) -> Self {
        Self::new(Status::Ok, seen)
    }

    fn skip(seen: impl Into<String>) -> Self {
        Self::new(Status::Skip, seen)
    }

    fn warn(seen: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..Self::new(Status::Warn, seen) }
    }

    fn fail(seen: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..Self::new(Status::Fail, seen) }
    }

    fn with_details(self, details: Vec<String>) -> Self {
        Self { details, ..self }
    }
}

/// What the checks are given.
pub struct Setup {
    /// The configuration, or all its problems.
    pub config: Result<Config, ConfigError>,
    /// Where the evidence is; known without a configuration when `--data-dir` names it.
    pub data_dir: Option<PathBuf>,
    pub kibana_version: Option<Version>,
    pub releases: Releases,
    /// An export of Kibana's event log.
    pub event_log: Option<PathBuf>,
    pub now: SystemTime,
}

/// The findings of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    pub group: Group,
    pub name: &'static str,
    pub findings: Vec<Finding>,
}

/// What checks are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    Configuration,
    Certificates,
    Process,
    Machine,
    Kibana,
}

impl Group {
    /// Its heading.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "Configuration",
            Self::Certificates => "Certificates",
            Self::Process => "Process",
            Self::Machine => "Machine",
            Self::Kibana => "Kibana",
        }
    }
}

/// A check that can be made without a configuration.
type Check = fn(&Setup) -> Vec<Finding>;

/// All checks, in the order in which they are made and shown.
const CHECKS: [(Group, &str, Check); 16] = [
    (Group::Configuration, "configuration", configuration::loads),
    (Group::Configuration, "safety", configuration::warnings),
    (Group::Certificates, "interception CA", certificates::authority),
    (Group::Certificates, "leaf", certificates::leaf),
    (Group::Certificates, "listener TLS", certificates::listeners),
    (Group::Process, "running", running::lock),
    (Group::Process, "listeners", running::listeners),
    (Group::Process, "readiness", running::readiness),
    (Group::Machine, "clock", system::clock),
    (Group::Machine, "names", names::resolve),
    (Group::Machine, "disk", disk::disk),
    (Group::Machine, "descriptors", system::descriptors),
    (Group::Kibana, "trust", rejected::clients),
    (Group::Kibana, "interception", avoided::calls),
    (Group::Kibana, "blind spots", blind_spots::of_version),
    (Group::Kibana, "event log", event_log::compare),
];

/// Makes all checks.
pub fn run(setup: &Setup) -> Vec<Checked> {
    CHECKS.iter().map(|(group, name, check)| Checked { group: *group, name, findings: check(setup) }).collect()
}

/// The worst status of all findings.
pub fn worst(checked: &[Checked]) -> Status {
    checked.iter().flat_map(|checked| &checked.findings).map(|finding| finding.status).max().unwrap_or(Status::Ok)
}

impl Setup {
    /// Findings of a check that needs the configuration.
    fn with_config(&self, check: impl FnOnce(&Config) -> Vec<Finding>) -> Vec<Finding> {
        match &self.config {
            Ok(config) => check(config),
            Err(_) => vec![Finding::skip("needs a configuration that can be used")],
        }
    }

    /// Findings of a check that needs the evidence.
    fn with_data_dir(&self, check: impl FnOnce(&std::path::Path) -> Vec<Finding>) -> Vec<Finding> {
        match &self.data_dir {
            Some(data_dir) if data_dir.is_dir() => check(data_dir),
            Some(data_dir) => vec![Finding::skip(format!("{} does not exist yet", data_dir.display()))],
            None => vec![Finding::skip("needs a data directory: name it with --data-dir")],
        }
    }

    /// Microseconds since the Unix epoch.
    fn now_us(&self) -> i64 {
        let since_epoch = self.now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX)
    }
}

/// A time for people, RFC 3339 to the second.
fn shown_time(time_us: i64) -> String {
    jiff::Timestamp::from_microsecond(time_us)
        .map_or_else(|_| format!("{time_us} us after 1970"), |time| format!("{time:.0}"))
}

#[cfg(test)]
mod tests;
