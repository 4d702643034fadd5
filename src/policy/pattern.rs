//! Host patterns: an exact host or `*.suffix`, with an optional port. Also used for host filters and tunnel hosts.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::destination::{Destination, DestinationError, Host, HostName, ipv6, parse_port, split_authority};

/// Single-label suffixes that belong to nobody else: RFC 6761, RFC 6762, ICANN's `internal` and what sites use.
const PRIVATE_SUFFIXES: [&str; 9] =
    ["corp", "example", "home", "internal", "intranet", "invalid", "lan", "local", "test"];

/// Why a text is not a host pattern, with the right spelling where there is one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostPatternError {
    #[error("the host is empty; write a name such as hooks.slack.com")]
    Empty,
    #[error("host \"{written}\" is not canonical; write \"{canonical}\"")]
    NotCanonical { written: String, canonical: String },
    #[error("host \"{written}\" is a URL; write only its host: \"{host}\"")]
    Url { written: String, host: String },
    #[error("host \"*\" would match every host; name the hosts, or use `mode: observe`")]
    BareWildcard,
    #[error("host \"{written}\" has a `*` that is not a whole first label; write a suffix such as \"*.example.com\"")]
    WildcardPosition { written: String },
    #[error("host \"{written}\" would match a whole top-level domain; add a label, as in \"*.example.com\"")]
    WildcardTooBroad { written: String },
    #[error("host \"{written}\": a `*` cannot stand before an address")]
    WildcardAddress { written: String },
    #[error("host \"{written}\": {error}")]
    Invalid { written: String, error: DestinationError },
}

/// Which hosts a pattern names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostMatch {
    Exact(Host),
    /// Any name with more labels than this one that ends in them.
    Suffix(HostName),
}

impl HostMatch {
    fn matches(&self, host: &Host) -> bool {
        match self {
            Self::Exact(exact) => exact == host,
            Self::Suffix(suffix) => host
                .name()
                .and_then(|name| name.strip_suffix(suffix.as_str()))
                .is_some_and(|labels| labels.len() > 1 && labels.ends_with('.')),
        }
    }

    /// Whether it names every host that the other one names.
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Exact(host)) => self.matches(host),
            (Self::Exact(_), Self::Suffix(_)) => false,
            (Self::Suffix(wide), Self::Suffix(narrow)) => narrow
                .as_str()
                .strip_suffix(wide.as_str())
                .is_some_and(|labels| labels.is_empty() || labels.ends_with('.')),
        }
    }
}

/// `host`, `*.suffix`, `host:port` or `*.suffix:port`. Without a port it matches every port.
///
/// `*.example.com` matches `a.example.com` and `a.b.example.com`, never `example.com`. Equality is that of the
/// canonical form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPattern {
    host: HostMatch,
    port: Option<u16>,
}

impl HostPattern {
    /// Parses a pattern. Spellings that are not canonical are refused with the right one, because a reader of the
    /// policy must see what is matched.
    pub fn parse(written: &str) -> Result<Self, HostPatternError> {
        if written.is_empty() {
            return Err(HostPatternError::Empty);
        }
        if let Some(host) = host_of_url(written) {
            return Err(HostPatternError::Url { written: written.to_owned(), host });
        }
        let pattern = Self::read(written)?;
        if pattern.canonical() != written {
            let canonical = pattern.to_string();
            return Err(HostPatternError::NotCanonical { written: written.to_owned(), canonical });
        }
        Ok(pattern)
    }

    /// The canonical form, borrowed where the pattern is nothing but a name.
    pub(super) fn canonical(&self) -> Cow<'_, str> {
        match (&self.host, self.port) {
            (HostMatch::Exact(Host::Name(name)), None) => Cow::Borrowed(name.as_str()),
            (HostMatch::Exact(_) | HostMatch::Suffix(_), _) => Cow::Owned(self.to_string()),
        }
    }

    /// Whether a destination is one this pattern names.
    pub fn matches(&self, destination: &Destination) -> bool {
        self.port.is_none_or(|port| port == destination.port) && self.matches_host(&destination.host)
    }

    /// Whether a host is one this pattern names, on whatever port.
    pub fn matches_host(&self, host: &Host) -> bool {
        self.host.matches(host)
    }

    /// Whether this pattern names every destination that the other one names.
    pub fn covers(&self, other: &Self) -> bool {
        (self.port.is_none() || self.port == other.port) && self.host.covers(&other.host)
    }

    /// The pattern of the destinations that both name; `None` when there is none.
    pub fn meet(&self, other: &Self) -> Option<Self> {
        let port = match (self.port, other.port) {
            (Some(one), Some(another)) if one != another => return None,
            (one, another) => one.or(another),
        };
        let narrower = if self.host.covers(&other.host) {
            &other.host
        } else if other.host.covers(&self.host) {
            &self.host
        } else {
            return None;
        };
        Some(Self { host: narrower.clone(), port })
    }

    /// The host part.
    pub const fn host(&self) -> &HostMatch {
        &self.host
    }

    /// The port, when the pattern has one.
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// The same host on this port, whatever port it had.
    #[must_use]
    pub fn on_port(&self, port: u16) -> Self {
        Self { host: self.host.clone(), port: Some(port) }
    }

    fn read(written: &str) -> Result<Self, HostPatternError> {
        let invalid = |error| HostPatternError::Invalid { written: written.to_owned(), error };
        if written.bytes().all(is_of_a_name) {
            return Ok(Self { host: HostMatch::Exact(Host::parse(written).map_err(invalid)?), port: None });
        }
        if let Some(address) = ipv6(written) {
            return Ok(Self { host: HostMatch::Exact(Host::Ip(address.into())), port: None });
        }
        let (host, port) = split_authority(written.as_bytes()).map_err(invalid)?;
        let port = port.map(parse_port).transpose().map_err(invalid)?;
        let host = match host.strip_prefix('*') {
            Some("" | ".") => return Err(HostPatternError::BareWildcard),
            Some(rest) => read_suffix(rest, written)?,
            None if host.contains('*') => {
                return Err(HostPatternError::WildcardPosition { written: written.to_owned() });
            }
            None => HostMatch::Exact(Host::parse(host).map_err(invalid)?),
        };
        Ok(Self { host, port })
    }
}

/// Whether a byte can be part of a name or an IPv4 address, and means nothing else in a pattern.
const fn is_of_a_name(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_')
}

fn read_suffix(rest: &str, written: &str) -> Result<HostMatch, HostPatternError> {
    let suffix = match rest.strip_prefix('.') {
        Some(suffix) if !suffix.contains('*') => suffix,
        Some(_) | None => {
            return Err(HostPatternError::WildcardPosition { written: written.to_owned() });
        }
    };
    match Host::parse(suffix) {
        Ok(Host::Name(name)) if name.as_str().contains('.') || PRIVATE_SUFFIXES.contains(&name.as_str()) => {
            Ok(HostMatch::Suffix(name))
        }
        Ok(Host::Name(_)) => Err(HostPatternError::WildcardTooBroad { written: written.to_owned() }),
        Ok(Host::Ip(_)) | Err(DestinationError::LegacyIpv4) => {
            Err(HostPatternError::WildcardAddress { written: written.to_owned() })
        }
        Err(error) => Err(HostPatternError::Invalid { written: written.to_owned(), error }),
    }
}

/// The canonical host of something with a scheme or a path, when there is one to suggest.
fn host_of_url(written: &str) -> Option<String> {
    if !written.bytes().any(|byte| matches!(byte, b'/' | b'?' | b'#')) {
        return None;
    }
    let after_scheme = written.split_once("://").map_or(written, |(_, rest)| rest);
    let authority = after_scheme.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.len() == written.len() {
        return None;
    }
    HostPattern::read(authority).ok().map(|pattern| pattern.to_string())
}

/// The canonical form; parsing it gives the same pattern.
impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            HostMatch::Exact(Host::Ip(std::net::IpAddr::V6(address))) => write!(f, "[{address}]")?,
            HostMatch::Exact(host) => host.fmt(f)?,
            HostMatch::Suffix(suffix) => write!(f, "*.{}", suffix.as_str())?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl FromStr for HostPattern {
    type Err = HostPatternError;

    fn from_str(pattern: &str) -> Result<Self, Self::Err> {
        Self::parse(pattern)
    }
}
