//! What can be wrong with a catalogue, and where.

use serde_saphyr::{Location, UserMessageFormatter};

use super::template::TemplateError;
use crate::policy::HostPatternError;

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
    #[error("avoid_interception \"{0}\" does not exist; write client-certificate or own-ca, or leave it out")]
    AvoidInterception(String),
    #[error("hosts_source \"{0}\" does not exist; write kibana-source, vendor-docs or vendor, or leave it out")]
    HostsSource(String),
    #[error("shape_literals_min {0}: it is a number from 1, beside `self_hosted: path`")]
    ShapeLiterals(usize),
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

pub(super) fn yaml_problem(error: &serde_saphyr::Error) -> CatalogueProblem {
    let location = error.location().unwrap_or(Location::UNKNOWN);
    let message = error.without_snippet().render_with_formatter(&UserMessageFormatter);
    located(location, Problem::Yaml(message))
}

pub(super) fn located(location: Location, problem: Problem) -> CatalogueProblem {
    CatalogueProblem { line: location.line().max(1), column: location.column().max(1), problem }
}
