//! Who connects: recognises a configured client by listener, source address, Basic credentials or a proxy header.
//!
//! All ways configured for a client must hold. Of the clients that hold, the most specific one is chosen; see
//! [`Clients::identify`]. Secrets are kept as SHA-256 digests and compared in constant time. This module reads no
//! files (`password_file` is resolved by the configuration loader) and knows nothing of deployments beyond carrying
//! the ids a client is bound to.

mod settings;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderName;
use ipnet::IpNet;
use subtle::{Choice, ConstantTimeEq as _};

pub use settings::{ClientConfigError, ClientConfigProblem, ClientSettings, HeaderSettings, Secret};

/// Longest id in characters.
pub const ID_CHARS_MAX: usize = 128;

/// Why a text is not a deployment or project id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum IdError {
    #[error("the id is empty")]
    Empty,
    #[error("the id is longer than 128 characters")]
    TooLong,
    #[error("the id contains whitespace, a parenthesis or a control character")]
    ForbiddenCharacter,
}

fn check_id(id: &str) -> Result<(), IdError> {
    if id.is_empty() {
        return Err(IdError::Empty);
    }
    // What ids are made of, looked at an octet at a time; the rule itself is below.
    if id.len() <= ID_CHARS_MAX && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
        return Ok(());
    }
    if id.chars().count() > ID_CHARS_MAX {
        return Err(IdError::TooLong);
    }
    if id.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '(' | ')')) {
        return Err(IdError::ForbiddenCharacter);
    }
    Ok(())
}

macro_rules! id_type {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Accepts `[^\s()]{1,128}` without control characters, compared byte for byte afterwards.
            pub fn parse(id: &str) -> Result<Self, IdError> {
                check_id(id)?;
                Ok(Self(Arc::from(id)))
            }

            /// The id as written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

id_type! {
    /// Id of an Elastic Cloud deployment. Cloning is cheap.
    DeploymentId
}
id_type! {
    /// Id of an Elastic serverless project. Cloning is cheap.
    ProjectId
}

/// A recognised client: its name and the ids its configuration binds it to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    name: Arc<str>,
    deployments: Box<[DeploymentId]>,
    projects: Box<[ProjectId]>,
}

impl ClientIdentity {
    /// The configured name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Deployments this client may claim.
    pub fn deployments(&self) -> &[DeploymentId] {
        &self.deployments
    }

    /// Projects this client may claim.
    pub fn projects(&self) -> &[ProjectId] {
        &self.projects
    }

    /// Whether the configuration says anything about the ids of this client.
    pub fn is_bound(&self) -> bool {
        !self.deployments.is_empty() || !self.projects.is_empty()
    }
}

/// What is known about a connection when its client is to be recognised.
pub struct Facts<'a> {
    /// Name of the listener that accepted the connection.
    pub listener: &'a str,
    pub peer_ip: IpAddr,
    /// Value of the one `Proxy-Authorization` field; `None` when there is none or several.
    pub proxy_authorization: Option<&'a [u8]>,
    /// Value of the one field with this lower-case name; `None` when there is none or several.
    pub header: &'a dyn Fn(&HeaderName) -> Option<&'a [u8]>,
}

/// Why no configured client was recognised. Answered with 407.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ClientError {
    #[error("no proxy credentials were sent; put user and password into xpack.actions.proxyUrl or proxyHeaders")]
    MissingCredentials,
    #[error("the proxy credentials are wrong; compare them with the clients in the Tollgate configuration")]
    WrongCredentials,
    #[error("no configured client uses this listener and source address; add one to the Tollgate configuration")]
    Unknown,
}

/// SHA-256 of a secret. Comparing two takes the same time wherever they differ.
#[derive(Clone, Copy)]
struct SecretDigest([u8; SHA256_OUTPUT_LEN]);

impl SecretDigest {
    fn of(secret: &[u8]) -> Self {
        let mut bytes = [0; SHA256_OUTPUT_LEN];
        for (byte, from) in bytes.iter_mut().zip(digest(&SHA256, secret).as_ref()) {
            *byte = *from;
        }
        Self(bytes)
    }

    fn equals(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretDigest(..)")
    }
}

/// The ways one client is recognised; at least one is set.
#[derive(Clone, Debug, Default)]
struct Ways {
    /// Digest of `user:password` (RFC 7617 section 2).
    credentials: Option<SecretDigest>,
    header: Option<(HeaderName, SecretDigest)>,
    listener: Option<Arc<str>>,
    /// Any of them; empty means any source.
    sources: Box<[IpNet]>,
}

/// How specific a full match is, compared field by field from the first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Specificity {
    credentials: bool,
    header: bool,
    listener: bool,
    /// Length of the longest source prefix that contains the peer, IPv4 counted as in `::ffff:0:0/96`.
    /// Without sources `None`, which is less than any length.
    source_prefix_bits: Option<u8>,
}

#[derive(Clone, Debug)]
struct Client {
    identity: ClientIdentity,
    /// The user name of its credentials, for people; it is compared as part of their digest.
    username: Option<Arc<str>>,
    ways: Ways,
}

/// How a client is recognised, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognition<'a> {
    pub username: Option<&'a str>,
    /// The field whose value is the client's secret.
    pub header: Option<&'a HeaderName>,
    pub listener: Option<&'a str>,
    pub sources: &'a [IpNet],
}

/// All configured clients, compiled and checked.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    clients: Box<[Client]>,
    credential_headers: Box<[HeaderName]>,
}

/// A secret as a connection presented it.
enum Presented {
    Nothing,
    /// A Proxy-Authorization that is not well-formed Basic.
    Unreadable,
    Secret(SecretDigest),
}

impl Presented {
    /// Reads `Basic` credentials (RFC 7617): the secret is the decoded `user:password`.
    fn basic(value: Option<&[u8]>) -> Self {
        let Some(value) = value else { return Self::Nothing };
        let token = value.split_at_checked(6).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"basic "));
        match token.and_then(|(_, token)| STANDARD.decode(token.trim_ascii()).ok()) {
            Some(credentials) => Self::Secret(SecretDigest::of(&credentials)),
            None => Self::Unreadable,
        }
    }

    fn raw(value: Option<&[u8]>) -> Self {
        value.map_or(Self::Nothing, |value| Self::Secret(SecretDigest::of(value)))
    }

    fn check(&self, expected: &SecretDigest) -> Result<(), ClientError> {
        match self {
            Self::Nothing => Err(ClientError::MissingCredentials),
            Self::Secret(digest) if bool::from(expected.equals(digest)) => Ok(()),
            Self::Secret(_) | Self::Unreadable => Err(ClientError::WrongCredentials),
        }
    }
}

impl Clients {
    /// Recognises the client of a connection.
    ///
    /// `Ok(None)` only when no clients are configured. Of several clients that match in full, the one wins that has
    /// credentials, then a header, then a listener, then the longest source prefix around the peer; compilation
    /// refuses clients this order cannot tell apart. The cost is linear in the number of clients.
    pub fn identify(&self, facts: &Facts<'_>) -> Result<Option<&ClientIdentity>, ClientError> {
        if self.clients.is_empty() {
            return Ok(None);
        }
        // Decoded and digested once for all clients.
        let credentials = Presented::basic(facts.proxy_authorization);
        let mut best: Option<(Specificity, &ClientIdentity)> = None;
        let mut failure = ClientError::Unknown;
        for client in &self.clients {
            match client.ways.judge(facts, &credentials) {
                Ok(specificity) => {
                    if best.is_none_or(|(found, _)| specificity > found) {
                        best = Some((specificity, &client.identity));
                    }
                }
                Err(error) => failure = more_telling(failure, error),
            }
        }
        best.map(|(_, identity)| Some(identity)).ok_or(failure)
    }

    /// Names of the fields that carry proxy credentials and must never be forwarded: `proxy-authorization` and every
    /// configured client header.
    pub fn credential_headers(&self) -> &[HeaderName] {
        &self.credential_headers
    }

    /// The names of all clients, in the order of the configuration.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.clients.iter().map(|client| &*client.identity.name)
    }

    /// How the client of this name is recognised.
    pub fn recognition(&self, name: &str) -> Option<Recognition<'_>> {
        let client = self.clients.iter().find(|client| *client.identity.name == *name)?;
        Some(Recognition {
            username: client.username.as_deref(),
            header: client.ways.header.as_ref().map(|(name, _)| name),
            listener: client.ways.listener.as_deref(),
            sources: &client.ways.sources,
        })
    }

    /// Whether no clients are configured, so that everyone may connect.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }
}

/// Of two reasons from different clients, the one that helps the caller more.
fn more_telling(a: ClientError, b: ClientError) -> ClientError {
    match (a, b) {
        (ClientError::WrongCredentials, _) | (_, ClientError::WrongCredentials) => ClientError::WrongCredentials,
        (ClientError::MissingCredentials, _) | (_, ClientError::MissingCredentials) => ClientError::MissingCredentials,
        (ClientError::Unknown, ClientError::Unknown) => ClientError::Unknown,
    }
}

impl Ways {
    fn judge(&self, facts: &Facts<'_>, credentials: &Presented) -> Result<Specificity, ClientError> {
        if self.listener.as_deref().is_some_and(|listener| listener != facts.listener) {
            return Err(ClientError::Unknown);
        }
        let source_prefix_bits = longest_prefix_bits(&self.sources, facts.peer_ip);
        if source_prefix_bits.is_none() && !self.sources.is_empty() {
            return Err(ClientError::Unknown);
        }
        if let Some(expected) = &self.credentials {
            credentials.check(expected)?;
        }
        if let Some((name, expected)) = &self.header {
            Presented::raw((facts.header)(name)).check(expected)?;
        }
        Ok(Specificity {
            credentials: self.credentials.is_some(),
            header: self.header.is_some(),
            listener: self.listener.is_some(),
            source_prefix_bits,
        })
    }
}

fn longest_prefix_bits(sources: &[IpNet], peer: IpAddr) -> Option<u8> {
    let peer = peer.to_canonical();
    sources.iter().filter(|net| net.contains(&peer)).map(prefix_bits).max()
}

fn prefix_bits(net: &IpNet) -> u8 {
    match net {
        IpNet::V4(net) => net.prefix_len() + 96,
        IpNet::V6(net) => net.prefix_len(),
    }
}

#[cfg(test)]
mod tests;
