//! What can be wrong with a configuration. Every message says what to write instead.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::setting::Place;
use crate::archive::digest::Sha256;
use crate::client::ClientConfigError;
use crate::connectors::{self, CatalogueError};
use crate::destination::DestinationError;
use crate::policy::{self, HostPattern, HostPatternError, PolicyLoadError};
use crate::upstream::ClientCertificateError;

/// One thing that is wrong, and where.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {kind}")]
pub struct Problem {
    pub place: Place,
    #[source]
    pub kind: ProblemKind,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum ProblemKind {
    /// The configuration file cannot be read.
    #[error("cannot be read: {source}; name an existing, readable file")]
    Unreadable { source: std::io::Error },
    /// The configuration file is too large to be one.
    #[error("larger than {bytes_max} bytes; this is not a configuration file")]
    FileTooLarge { bytes_max: u64 },
    /// A key that does not exist, and the one that is spelled most like it.
    #[error("unknown key `{key}`; {}", suggestion(*.near, .known))]
    UnknownKey { key: String, near: Option<&'static str>, known: Vec<&'static str> },
    /// A key that is there twice.
    #[error("the key `{key}` is there twice; remove one")]
    DuplicateKey { key: String },
    /// A value of another type than the key has.
    #[error("write {wanted} here")]
    WrongType { wanted: &'static str },
    /// Not YAML.
    #[error("not valid YAML: {detail}")]
    Yaml { detail: String },
    /// `policy_file` and `policy`.
    #[error("policy_file and policy are both given; remove one")]
    TwoPolicies,
    /// The policy's lines cannot be told apart from the rest of the file.
    #[error("policy: write `mode:` and `rules:` on lines of their own below `policy:`, without anchors or aliases")]
    UnclearPolicy,
    /// `--policy` and `--allow-host`.
    #[error("--policy is given too; add the host to the policy file, or leave --policy out")]
    AllowHostAndPolicy,
    /// The policy file cannot be read.
    #[error(transparent)]
    PolicyFile(PolicyLoadError),
    /// Something in the policy is wrong.
    #[error(transparent)]
    Policy(policy::Problem),
    /// The file named by `connectors_file` cannot be read.
    #[error("connectors_file: {path} {source}", path = .path.display())]
    ConnectorsFile { path: PathBuf, source: CatalogueError },
    /// Something in a catalogue of connectors is wrong.
    #[error(transparent)]
    Connectors(connectors::Problem),
    /// A host pattern is wrong.
    #[error(transparent)]
    HostPattern(HostPatternError),
    /// A number outside its range.
    #[error("{key}: {given} is outside {min} to {max}: {why}")]
    OutOfRange { key: &'static str, given: u64, min: u64, max: u64, why: &'static str },
    /// A word that is not one of a few.
    #[error("{key}: \"{given}\" is not one of {allowed}")]
    NotOneOf { key: &'static str, given: String, allowed: &'static str },
    /// An anchor that is none of the kinds there are, or several.
    #[error(
        "audit.anchors: write one of {{ file: PATH }}, {{ syslog: PATH }} and {{ command: [PROGRAM, ARG, ..], timeout_s: N }}"
    )]
    Anchor,
    /// Said for a durability that is not the one in force.
    #[error("audit.sync_interval_ms does nothing without `durability: interval`; add that, or remove this key")]
    SyncIntervalUnused,
    /// Not a socket address.
    #[error("{key}: \"{given}\" is not an IP address and a port; write 127.0.0.1:3128 or [::1]:3128")]
    Address { key: &'static str, given: String },
    /// Not a network.
    #[error("{key}: \"{given}\" is not a network; write 10.1.2.0/24, or 10.1.2.3 for one address")]
    Network { key: &'static str, given: String },
    /// `listeners` is an empty list.
    #[error("listeners: the list is empty; remove the key to listen on {default}")]
    NoListeners { default: SocketAddr },
    /// A listener without an address.
    #[error("listeners: a listener has no `address`; write address: 127.0.0.1:3128")]
    ListenerWithoutAddress,
    /// Two listeners of one name.
    #[error("listeners: the name \"{name}\" is used twice; give each listener a name of its own")]
    DuplicateListenerName { name: String },
    /// Two listeners, or a listener and the admin listener, on one address.
    #[error("{key}: {address} is used twice; give each listener an address of its own")]
    DuplicateAddress { key: &'static str, address: SocketAddr },
    /// Of two files that belong together only one is given.
    #[error("{given} is given without {missing}; give both or neither")]
    HalfOfPair { given: &'static str, missing: &'static str },
    /// A file that is named cannot be opened.
    #[error("{key}: {path} cannot be opened: {source}; name an existing, readable file")]
    FileMissing { key: &'static str, path: PathBuf, source: std::io::Error },
    /// A key whose value must not be empty.
    #[error("{key}: the value is empty; write a value or remove the key")]
    Empty { key: &'static str },
    /// `--resolve` without `=`.
    #[error("\"{given}\" is not HOST=ADDR; write --resolve hooks.slack.com=203.0.113.7")]
    ResolveSyntax { given: String },
    /// The address of a pinned name is not an IP address.
    #[error("{key}: \"{given}\" is not an IP address; write 203.0.113.7 or 2001:db8::7")]
    ResolveAddress { key: &'static str, given: String },
    /// The name to pin is not a host.
    #[error("{key}: \"{given}\" is not a host name: {source}")]
    ResolveHost { key: &'static str, given: String, source: DestinationError },
    /// A client's own settings are wrong.
    #[error(transparent)]
    Client(ClientConfigError),
    /// A client is to be recognised by a listener that does not exist.
    #[error("clients \"{client}\": there is no listener \"{listener}\"; the listeners are {}", .known.join(", "))]
    UnknownListener { client: String, listener: String, known: Vec<String> },
    /// A legal hold without a name.
    #[error("audit.legal_holds: a hold has no `name`; give it the one that the case has")]
    LegalHoldWithoutName,
    /// Two legal holds of one name.
    #[error("audit.legal_holds: the name \"{name}\" is used twice; give each hold a name of its own")]
    LegalHoldTwice { name: String },
    /// A legal hold on nothing, or on more than one thing.
    #[error("audit.legal_holds: write exactly one of deployment, project and host; make two holds for two of them")]
    LegalHoldSubject,
    /// The time of a legal hold cannot be read.
    #[error("audit.legal_holds {key}: \"{given}\" is not a time; write 2026-11-22T09:30:00Z, or 2026-11-22 (UTC)")]
    LegalHoldTime { key: &'static str, given: String },
    /// A legal hold that ends before it begins.
    #[error("audit.legal_holds: `until` is not after `since`; the hold would be on nothing")]
    LegalHoldEmpty,
    /// The log filter is not one `tracing` understands.
    #[error("log.level: \"{given}\" is not a log filter ({reason}); write info, or tollgate=debug")]
    LogLevel { given: String, reason: String },
    /// An entry of `upstream.hosts` is for no host.
    #[error("upstream.hosts: an entry names no hosts; add `hosts` with at least one, or remove the entry")]
    NoHosts,
    /// A pattern of `upstream.hosts` that an earlier one covers.
    #[error(
        "upstream.hosts: \"{pattern}\" never applies, \"{by}\" before it names the same hosts; remove one, or put the narrower first"
    )]
    CoveredHost { pattern: HostPattern, by: HostPattern },
    /// More patterns than are looked through for each connection.
    #[error("upstream.hosts: {given} host patterns are more than {max}; use suffixes such as \"*.example.com\"")]
    TooManyHosts { given: usize, max: u64 },
    /// Hosts that could not be verified.
    #[error(
        "upstream.hosts: system_roots is false and there are no ca_files, so no certificate of these hosts is trusted; give one of them"
    )]
    NoTrust,
    /// Trust is given and thrown away.
    #[error("upstream.hosts: with danger_skip_verify {key} has no effect; remove one of them")]
    TrustWithoutVerification { key: &'static str },
    /// A client certificate cannot be used.
    #[error("upstream.hosts.client_cert: {0}")]
    ClientCertificate(ClientCertificateError),
    /// One limit is larger than the one it is part of.
    #[error("{part_key} ({part}) is larger than {whole_key} ({whole}); lower the first or raise the second")]
    PartLargerThanWhole { part_key: &'static str, part: u64, whole_key: &'static str, whole: u64 },
}

/// Everything that is wrong, in the order of the checks.
#[derive(Debug)]
pub struct ConfigError {
    /// At least one.
    pub problems: Vec<Problem>,
    pub sources: Box<Sources>,
}

/// SHA-256 of the texts that settings were read from; `None` for one that there is none of, or that could not be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// The configuration file.
    pub config: Option<Sha256>,
    /// The policy file.
    pub policy: Option<Sha256>,
    /// The operator's catalogue of connectors.
    pub connectors: Option<Sha256>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem], sources: Box::default() }
    }
}

impl Problem {
    /// Names a key that is not one of `known`.
    pub(super) fn unknown_key(place: Place, key: &str, known: &[&'static str]) -> Self {
        Self { place, kind: unknown_key(key, known) }
    }

    /// Puts an error of the YAML reader at its place in `file`.
    pub(super) fn from_yaml(file: &Path, error: &serde_saphyr::Error) -> Self {
        let place = error.location().map_or_else(
            || Place::WholeFile(file.to_owned()),
            |at| Place::File { file: file.to_owned(), line: at.line(), column: at.column() },
        );
        Self { place, kind: kind_of(error) }
    }
}

/// The cases people meet get texts of their own. The other texts of the YAML reader end in the position, which is in
/// the place already.
fn kind_of(error: &serde_saphyr::Error) -> ProblemKind {
    use serde_saphyr::Error;

    match error.without_snippet() {
        Error::SerdeUnknownField { field, expected, .. } => unknown_key(field, expected),
        Error::DuplicateMappingKey { key: Some(key), .. } => ProblemKind::DuplicateKey { key: key.clone() },
        Error::InvalidScalar { ty: "u64", .. } => ProblemKind::WrongType { wanted: "a whole number without a unit" },
        Error::InvalidBooleanStrict { .. } | Error::InvalidScalar { ty: "boolean" | "bool", .. } => {
            ProblemKind::WrongType { wanted: "true or false" }
        }
        Error::Unexpected { expected: "string scalar", .. } => ProblemKind::WrongType { wanted: "a single value" },
        Error::Unexpected { expected: "mapping start", .. } => ProblemKind::WrongType { wanted: "`key: value` lines" },
        Error::Unexpected { expected: "sequence start", .. } => ProblemKind::WrongType { wanted: "a list" },
        other => {
            let text = other.to_string();
            let detail = text.rsplit_once(" at line ").map_or(text.as_str(), |(detail, _)| detail).to_owned();
            ProblemKind::Yaml { detail }
        }
    }
}

fn unknown_key(key: &str, known: &[&'static str]) -> ProblemKind {
    ProblemKind::UnknownKey { key: key.to_owned(), near: nearest(key, known), known: known.to_vec() }
}

fn suggestion(near: Option<&str>, known: &[&str]) -> String {
    near.map_or_else(|| format!("the keys here are {}", known.join(", ")), |near| format!("did you mean `{near}`?"))
}

/// The known key that differs from `given` by at most a third of its letters.
fn nearest(given: &str, known: &[&'static str]) -> Option<&'static str> {
    let distances = known.iter().map(|key| (edit_distance(given, key), *key));
    distances.min().filter(|(distance, key)| distance * 3 <= key.len()).map(|(_, key)| key)
}

/// Levenshtein distance in characters.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (above, to) in row.iter_mut().skip(1).zip(b.chars()) {
            let replaced = diagonal + usize::from(from != to);
            diagonal = *above;
            left = replaced.min(diagonal + 1).min(left + 1);
            *above = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}
