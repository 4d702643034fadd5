//! Hosts and destinations: the only place authorities are parsed and normalised.
//!
//! Every spelling of a host that arrives (CONNECT authority, request URI, Host header, SNI, policy file, flag) becomes
//! a [`Host`] here and is compared, resolved, dialled and recorded in that canonical form only. Spellings that
//! different software reads differently (`127.1`, zone ids, percent-encoding, userinfo) are refused, not repaired.
//! This module resolves nothing and does not judge addresses; see `upstream::address` for that.

use std::borrow::Borrow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use idna::AsciiDenyList;

/// Longest name in octets, without the trailing dot (RFC 1035 section 2.3.4).
const NAME_BYTES_MAX: usize = 253;
/// Longest label in octets (RFC 1035 section 2.3.4).
const LABEL_BYTES_MAX: usize = 63;
/// Longest spelling looked at: a name of 253 code points, four UTF-8 octets each, brackets, dot and port.
const SPELLING_BYTES_MAX: usize = 1024;

/// Why a spelling is not a host or a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum DestinationError {
    #[error("the host is empty")]
    EmptyHost,
    #[error("the host is not valid UTF-8")]
    NotUtf8,
    #[error("userinfo (`user@`) is not allowed in front of the host")]
    Userinfo,
    #[error("the host contains a character that is not allowed in a name")]
    ForbiddenCharacter,
    #[error("percent-encoding is not allowed in a host")]
    PercentEncoding,
    #[error("the name has an empty label (two dots in a row, or a leading dot)")]
    EmptyLabel,
    #[error("a label is longer than 63 octets")]
    LabelTooLong,
    #[error("the name is longer than 253 octets")]
    NameTooLong,
    #[error("the name is not a valid internationalised name (UTS 46)")]
    InvalidIdna,
    #[error("the host ends in a number but is not an IPv4 address of four decimal numbers")]
    LegacyIpv4,
    #[error("the text between brackets is not an IPv6 address, or the brackets do not match")]
    InvalidIpv6,
    #[error("IPv6 zone ids are not allowed")]
    ZoneId,
    #[error("the port is missing")]
    MissingPort,
    #[error("the port is not a decimal number from 1 to 65535 without leading zeros")]
    InvalidPort,
}

/// URI schemes a proxied request can have (RFC 9110 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// The scheme a URI names, in any letter case, or `None` when it is not one a proxy can serve.
    pub fn parse(scheme: &str) -> Option<Self> {
        if scheme.eq_ignore_ascii_case("http") {
            Some(Self::Http)
        } else if scheme.eq_ignore_ascii_case("https") {
            Some(Self::Https)
        } else {
            None
        }
    }

    /// The port meant when an authority names none.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// Lower-case name, as in a URI.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// A registered name in canonical form: lower case, A-labels, no trailing dot, never an IP address.
///
/// Underscores are allowed, because names in use have them. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(Arc<str>);

impl HostName {
    /// The canonical spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name hashes and compares as its text, so maps keyed by names can be asked with a `&str`.
impl Borrow<str> for HostName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A host in canonical form. Equal hosts are equal values, whatever their spelling was.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    Name(HostName),
    Ip(IpAddr),
}

impl Host {
    /// Parses a host without port; IPv6 with or without brackets.
    pub fn parse(host: impl AsRef<[u8]>) -> Result<Self, DestinationError> {
        let host = spelling(host.as_ref())?;
        match ipv6(host) {
            Some(address) => Ok(Self::Ip(IpAddr::V6(address))),
            None => parse_uri_host(host),
        }
    }

    /// Parses the host name of a TLS Server Name Indication (RFC 6066 section 3).
    ///
    /// The RFC forbids trailing dots and addresses there. Both are read for what they mean all the same, because the
    /// caller compares the result with the CONNECT target, and a spelling cannot make that comparison succeed wrongly.
    pub fn from_sni(name: impl AsRef<[u8]>) -> Result<Self, DestinationError> {
        Self::parse(name)
    }

    /// The name, when it is not an address.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name.as_str()),
            Self::Ip(_) => None,
        }
    }

    /// The address, when the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Name(_) => None,
            Self::Ip(address) => Some(*address),
        }
    }
}

/// The canonical form as stored in the audit record: IPv6 without brackets (RFC 5952).
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name.as_str()),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

impl FromStr for Host {
    type Err = DestinationError;

    fn from_str(host: &str) -> Result<Self, Self::Err> {
        Self::parse(host)
    }
}

/// Host and port a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination {
    pub host: Host,
    /// Never 0 when parsed.
    pub port: u16,
}

impl Destination {
    /// Parses the target of a CONNECT: authority-form, where the port is mandatory (RFC 9112 section 3.2.3).
    pub fn from_connect(authority: impl AsRef<[u8]>) -> Result<Self, DestinationError> {
        let (host, port) = split_authority(authority.as_ref())?;
        let port = port.ok_or(DestinationError::MissingPort)?;
        Ok(Self { host: parse_uri_host(host)?, port: parse_port(port)? })
    }

    /// Parses the authority of an absolute-form URI or an `:authority` pseudo-header (RFC 9110 section 4.2).
    ///
    /// An empty port (`host:`) is refused, although RFC 3986 would read it as the default.
    pub fn from_authority(authority: impl AsRef<[u8]>, scheme: Scheme) -> Result<Self, DestinationError> {
        Self::with_default_port(authority, scheme.default_port())
    }

    /// Parses an authority that means `default_port` when it names none.
    pub fn with_default_port(authority: impl AsRef<[u8]>, default_port: u16) -> Result<Self, DestinationError> {
        let (host, port) = split_authority(authority.as_ref())?;
        let port = match port {
            Some(port) => parse_port(port)?,
            None => default_port,
        };
        Ok(Self { host: parse_uri_host(host)?, port })
    }

    /// Parses a Host header value (RFC 9110 section 7.2). Optional whitespace around it must be gone already.
    pub fn from_host_header(value: impl AsRef<[u8]>, scheme: Scheme) -> Result<Self, DestinationError> {
        Self::from_authority(value, scheme)
    }
}

/// Canonical `host:port`, IPv6 in brackets. Parsing it with [`Destination::from_connect`] gives the same value.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            host => write!(f, "{host}:{}", self.port),
        }
    }
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(authority: &str) -> Result<Self, Self::Err> {
        Self::from_connect(authority)
    }
}

/// Parses a port: 1 to 65535, decimal digits only, no sign and no leading zeros.
pub fn parse_port(port: &str) -> Result<u16, DestinationError> {
    if !port.bytes().all(|byte| byte.is_ascii_digit()) || port.starts_with('0') {
        return Err(DestinationError::InvalidPort);
    }
    port.parse().map_err(|_| DestinationError::InvalidPort)
}

/// An IPv6 address without brackets. Most names have no colon, and are not tried.
pub(crate) fn ipv6(host: &str) -> Option<Ipv6Addr> {
    if host.contains(':') { host.parse().ok() } else { None }
}

fn spelling(bytes: &[u8]) -> Result<&str, DestinationError> {
    if bytes.len() > SPELLING_BYTES_MAX {
        return Err(DestinationError::NameTooLong);
    }
    std::str::from_utf8(bytes).map_err(|_| DestinationError::NotUtf8)
}

/// Splits `host [":" port]` (RFC 3986 section 3.2) without looking into either part.
pub(crate) fn split_authority(authority: &[u8]) -> Result<(&str, Option<&str>), DestinationError> {
    let authority = spelling(authority)?;
    if authority.contains('@') {
        return Err(DestinationError::Userinfo);
    }
    if !authority.starts_with('[') {
        return Ok(match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        });
    }
    let (inside, after) = authority.rsplit_once(']').ok_or(DestinationError::InvalidIpv6)?;
    let (host, _) = authority.split_at(inside.len() + 1);
    match after.strip_prefix(':') {
        Some(port) => Ok((host, Some(port))),
        None if after.is_empty() => Ok((host, None)),
        None => Err(DestinationError::InvalidIpv6),
    }
}

/// Parses uri-host (RFC 3986 section 3.2.2): an IPv6 address in brackets, an IPv4 address or a name.
fn parse_uri_host(host: &str) -> Result<Host, DestinationError> {
    if host.is_empty() {
        return Err(DestinationError::EmptyHost);
    }
    if let Some(rest) = host.strip_prefix('[') {
        return parse_bracketed(rest);
    }
    if is_plain_name(host) && !ends_in_number(host) {
        return Ok(Host::Name(HostName(Arc::from(host))));
    }
    if host.contains('%') {
        return Err(DestinationError::PercentEncoding);
    }
    if host.is_ascii() && !has_a_label(host) {
        let upper = host.bytes().any(|byte| byte.is_ascii_uppercase());
        return if upper { finish(&host.to_ascii_lowercase()) } else { finish(host) };
    }
    let ascii =
        idna::domain_to_ascii_cow(host.as_bytes(), AsciiDenyList::URL).map_err(|_| DestinationError::InvalidIdna)?;
    match finish(&ascii)? {
        // Full-width digits become an address: nobody writes one this way except to get past a filter.
        Host::Ip(_) => Err(DestinationError::LegacyIpv4),
        name @ Host::Name(_) => Ok(name),
    }
}

fn parse_bracketed(rest: &str) -> Result<Host, DestinationError> {
    let address = rest.strip_suffix(']').ok_or(DestinationError::InvalidIpv6)?;
    if address.contains('%') {
        return Err(DestinationError::ZoneId);
    }
    match address.parse::<Ipv6Addr>() {
        Ok(address) => Ok(Host::Ip(IpAddr::V6(address))),
        Err(_) => Err(DestinationError::InvalidIpv6),
    }
}

/// Whether any label starts with `xn--`: such a name must be checked and normalised by UTS 46.
fn has_a_label(host: &str) -> bool {
    let bytes = host.as_bytes();
    // Hardly any name has two hyphens in a row.
    let hyphens = bytes.iter().zip(bytes.iter().skip(1)).any(|pair| pair == (&b'-', &b'-'));
    hyphens && host.split('.').any(|label| label.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("xn--")))
}

/// Checks a lower-case ASCII spelling and decides between name and IPv4 address.
fn finish(spelling: &str) -> Result<Host, DestinationError> {
    let name = spelling.strip_suffix('.').unwrap_or(spelling);
    check_name(name)?;
    if !ends_in_number(name) {
        return Ok(Host::Name(HostName(Arc::from(name))));
    }
    // The undotted spelling only: an address is not a name and has no root to be relative to.
    match spelling.parse::<Ipv4Addr>() {
        Ok(address) => Ok(Host::Ip(IpAddr::V4(address))),
        Err(_) => Err(DestinationError::LegacyIpv4),
    }
}

/// Whether a host is a name in its canonical form already, as nearly all that arrive are; told in one walk. What is not goes
/// the long way, which says why a host is refused.
fn is_plain_name(host: &str) -> bool {
    let mut label_bytes = 0;
    let mut hyphens = 0;
    for byte in host.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'_' => (label_bytes, hyphens) = (label_bytes + 1, 0),
            // Two in a row may be an A-label, which has rules of its own.
            b'-' if hyphens == 0 => (label_bytes, hyphens) = (label_bytes + 1, 1),
            b'.' if label_bytes > 0 => (label_bytes, hyphens) = (0, 0),
            _ => return false,
        }
        if label_bytes > LABEL_BYTES_MAX {
            return false;
        }
    }
    label_bytes > 0 && host.len() <= NAME_BYTES_MAX
}

fn check_name(name: &str) -> Result<(), DestinationError> {
    if name.len() > NAME_BYTES_MAX {
        return Err(DestinationError::NameTooLong);
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err(DestinationError::EmptyLabel);
        }
        if label.len() > LABEL_BYTES_MAX {
            return Err(DestinationError::LabelTooLong);
        }
        if !label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_')) {
            return Err(DestinationError::ForbiddenCharacter);
        }
    }
    Ok(())
}

/// The "ends in a number" check of the WHATWG URL Standard: what such hosts mean depends on who reads them
/// (`inet_aton` takes octal, hexadecimal and shortened forms), so anything but four decimal numbers is refused.
fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let hexadecimal = last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    hexadecimal || last.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
