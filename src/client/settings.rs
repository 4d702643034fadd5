//! Client settings as written in the configuration file, and their compilation into [`Clients`].
//!
//! Reads no files: `password_file` must have been read into `password` by the configuration loader.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use http::HeaderName;
use ipnet::{IpNet, Ipv4Net};
use serde::Deserialize;

use super::{Client, ClientIdentity, Clients, DeploymentId, IdError, ProjectId, SecretDigest, Ways};

/// Longest client name in characters; it is stored in every row.
const NAME_CHARS_MAX: usize = 128;

/// Fields that mean something to HTTP itself or to the upstream, so they cannot be the mark of a client.
const RESERVED_HEADERS: [&str; 12] = [
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "host",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

/// A secret from the configuration. Debug output does not show it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret that was read from a file or the environment.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A header a client sends on CONNECT through `xpack.actions.proxyHeaders`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderSettings {
    pub name: String,
    pub value: Secret,
}

/// One entry of `clients` in the configuration file. At least one way to recognise the client must be given.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientSettings {
    /// Unique; recorded as `client_identity` and named by policy rules.
    pub name: String,
    /// Name of the listener the client connects to.
    #[serde(default)]
    pub listener: Option<String>,
    /// Source networks in CIDR notation, or single addresses; any of them.
    #[serde(default)]
    pub sources: Vec<String>,
    /// Basic user name; needs a password.
    #[serde(default)]
    pub username: Option<String>,
    #[serde(default)]
    pub password: Option<Secret>,
    /// File that holds the password; read by the loader, which then sets `password`.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    #[serde(default)]
    pub header: Option<HeaderSettings>,
    /// Deployments this client may claim.
    #[serde(default)]
    pub deployments: Vec<String>,
    /// Projects this client may claim.
    #[serde(default)]
    pub projects: Vec<String>,
}

/// What is wrong with one client's settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientConfigProblem {
    #[error("the name must have 1 to 128 characters, none of them control characters")]
    InvalidName,
    #[error("another client has the same name; rename one")]
    DuplicateName,
    #[error("nothing says how to recognise it; add listener, sources, username and password, or header")]
    NoWay,
    #[error("sources: \"{0}\" is not an address or a network in CIDR notation such as 10.0.0.0/8")]
    InvalidSource(String),
    #[error("sources: \"{written}\" has host bits set; write \"{network}\"")]
    SourceHostBits { written: String, network: IpNet },
    #[error("username is given without password; add password or password_file")]
    PasswordMissing,
    #[error("a password is given without username; add username")]
    UsernameMissing,
    #[error("password and password_file are both given; remove one")]
    TwoPasswords,
    #[error("username must not be empty, contain a colon (RFC 7617 section 2) or control characters")]
    InvalidUsername,
    #[error("the password is empty")]
    EmptyPassword,
    #[error("header.name: \"{0}\" is not a header field name")]
    InvalidHeaderName(String),
    #[error("header.name: \"{0}\" has a meaning of its own; choose another name such as X-Tollgate-Client")]
    ReservedHeader(String),
    #[error("header.value is empty")]
    EmptyHeaderValue,
    #[error("deployments: \"{id}\": {error}")]
    InvalidDeployment { id: String, error: IdError },
    #[error("projects: \"{id}\": {error}")]
    InvalidProject { id: String, error: IdError },
    #[error("cannot be told apart from client \"{other}\": one connection could be both; give them different secrets")]
    Indistinguishable { other: String },
}

/// A problem and the client it belongs to. `index` counts from 0 in the `clients` list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("clients[{index}] \"{name}\": {problem}")]
pub struct ClientConfigError {
    pub index: usize,
    pub name: String,
    pub problem: ClientConfigProblem,
}

impl Clients {
    /// Checks and compiles all clients. Every problem of every client is returned.
    pub fn compile(settings: Vec<ClientSettings>) -> Result<Self, Vec<ClientConfigError>> {
        let mut errors = Vec::new();
        let mut clients: Vec<Client> = Vec::new();
        let mut names = BTreeSet::new();
        for (index, entry) in settings.into_iter().enumerate() {
            let mut problems = Vec::new();
            if !names.insert(entry.name.clone()) {
                problems.push(ClientConfigProblem::DuplicateName);
            }
            let client = compile_client(&entry, &mut problems);
            // Clients with other problems are left out: what they will look like is not known yet.
            if problems.is_empty() {
                for other in clients.iter().filter(|other| other.ways.confusable_with(&client.ways)) {
                    problems.push(ClientConfigProblem::Indistinguishable { other: other.identity.name.to_string() });
                }
                clients.push(client);
            }
            errors.extend(problems.into_iter().map(|problem| {
                let name = entry.name.clone();
                ClientConfigError { index, name, problem }
            }));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self { credential_headers: credential_headers(&clients), clients: clients.into() })
    }
}

fn credential_headers(clients: &[Client]) -> Box<[HeaderName]> {
    let mut names = vec![http::header::PROXY_AUTHORIZATION];
    for (name, _) in clients.iter().filter_map(|client| client.ways.header.as_ref()) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names.into()
}

fn compile_client(entry: &ClientSettings, problems: &mut Vec<ClientConfigProblem>) -> Client {
    let chars = entry.name.chars().count();
    if chars == 0 || chars > NAME_CHARS_MAX || entry.name.chars().any(char::is_control) {
        problems.push(ClientConfigProblem::InvalidName);
    }
    let before = problems.len();
    let ways = Ways {
        credentials: compile_credentials(entry, problems),
        header: entry.header.as_ref().and_then(|header| compile_header(header, problems)),
        listener: entry.listener.as_deref().map(Arc::from),
        sources: entry.sources.iter().filter_map(|source| compile_source(source, problems)).collect(),
    };
    let none =
        ways.credentials.is_none() && ways.header.is_none() && ways.listener.is_none() && ways.sources.is_empty();
    if none && problems.len() == before {
        problems.push(ClientConfigProblem::NoWay);
    }
    let deployments = entry.deployments.iter().filter_map(|id| match DeploymentId::parse(id) {
        Ok(id) => Some(id),
        Err(error) => {
            problems.push(ClientConfigProblem::InvalidDeployment { id: id.clone(), error });
            None
        }
    });
    let deployments = deployments.collect();
    let projects = entry.projects.iter().filter_map(|id| match ProjectId::parse(id) {
        Ok(id) => Some(id),
        Err(error) => {
            problems.push(ClientConfigProblem::InvalidProject { id: id.clone(), error });
            None
        }
    });
    let projects = projects.collect();
    let username = entry.username.as_deref().map(Arc::from);
    Client { identity: ClientIdentity { name: Arc::from(entry.name.as_str()), deployments, projects }, username, ways }
}

fn compile_credentials(entry: &ClientSettings, problems: &mut Vec<ClientConfigProblem>) -> Option<SecretDigest> {
    if entry.password.is_some() && entry.password_file.is_some() {
        problems.push(ClientConfigProblem::TwoPasswords);
    }
    match (&entry.username, &entry.password) {
        (None, None) if entry.password_file.is_none() => None,
        (None, _) => {
            problems.push(ClientConfigProblem::UsernameMissing);
            None
        }
        (Some(_), None) => {
            problems.push(ClientConfigProblem::PasswordMissing);
            None
        }
        (Some(username), Some(password)) => {
            if username.is_empty() || username.chars().any(|c| c == ':' || c.is_control()) {
                problems.push(ClientConfigProblem::InvalidUsername);
            }
            if password.expose().is_empty() {
                problems.push(ClientConfigProblem::EmptyPassword);
            }
            Some(SecretDigest::of(format!("{username}:{}", password.expose()).as_bytes()))
        }
    }
}

fn compile_header(
    header: &HeaderSettings,
    problems: &mut Vec<ClientConfigProblem>,
) -> Option<(HeaderName, SecretDigest)> {
    if header.value.expose().is_empty() {
        problems.push(ClientConfigProblem::EmptyHeaderValue);
    }
    let Ok(name) = HeaderName::from_bytes(header.name.as_bytes()) else {
        problems.push(ClientConfigProblem::InvalidHeaderName(header.name.clone()));
        return None;
    };
    if RESERVED_HEADERS.contains(&name.as_str()) {
        problems.push(ClientConfigProblem::ReservedHeader(header.name.clone()));
        return None;
    }
    Some((name, SecretDigest::of(header.value.expose().as_bytes())))
}

fn compile_source(source: &str, problems: &mut Vec<ClientConfigProblem>) -> Option<IpNet> {
    if let Ok(address) = source.parse() {
        return Some(IpNet::from(IpAddr::to_canonical(&address)));
    }
    let Ok(net) = source.parse::<IpNet>() else {
        problems.push(ClientConfigProblem::InvalidSource(source.to_owned()));
        return None;
    };
    if net.trunc() != net {
        problems.push(ClientConfigProblem::SourceHostBits { written: source.to_owned(), network: net.trunc() });
    }
    Some(without_mapping(net.trunc()))
}

/// A network of IPv4-mapped addresses as the IPv4 network it is: peers are compared in that form.
fn without_mapping(net: IpNet) -> IpNet {
    let v4 = match net {
        IpNet::V4(_) => None,
        IpNet::V6(v6) => v6.network().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96)),
    };
    v4.and_then(|(address, prefix)| Ipv4Net::new(address, prefix).ok()).map_or(net, IpNet::V4)
}

impl Ways {
    /// Whether one connection could match both in full and with the same specificity.
    fn confusable_with(&self, other: &Self) -> bool {
        let same_kinds = self.credentials.is_some() == other.credentials.is_some()
            && self.header.is_some() == other.header.is_some()
            && self.listener.is_some() == other.listener.is_some();
        same_kinds
            && self.listener == other.listener
            && !differ(self.credentials.as_ref(), other.credentials.as_ref())
            && !self.headers_exclude(other)
            && self.sources_tie(other)
    }

    /// One field cannot have two values, so equal names with different values exclude each other.
    fn headers_exclude(&self, other: &Self) -> bool {
        match (&self.header, &other.header) {
            (Some((name, value)), Some((other_name, other_value))) => {
                name == other_name && differ(Some(value), Some(other_value))
            }
            (None, _) | (_, None) => false,
        }
    }

    /// Two networks of one prefix length either are equal or share no address.
    fn sources_tie(&self, other: &Self) -> bool {
        if self.sources.is_empty() && other.sources.is_empty() {
            return true;
        }
        self.sources.iter().any(|net| other.sources.contains(net))
    }
}

fn differ(a: Option<&SecretDigest>, b: Option<&SecretDigest>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => !bool::from(a.equals(b)),
        (None, _) | (_, None) => false,
    }
}
