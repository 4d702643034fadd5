//! A request as Tollgate understands it: which destination it is for, and by which spelling it said so.
//!
//! Three forms arrive: absolute-form on the proxy listener, origin-form inside a tunnel, and absolute-form inside a
//! tunnel (RFC 9112 section 3.2). All become a [`ProxyRequest`], once, here. CONNECT is in [`connect_target`]. Framing
//! was checked by `wire`; nothing here decides whether the request may pass.

use std::borrow::Cow;

use http::header::{HOST, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, Method, Uri, Version};

use crate::destination::{Destination, DestinationError, Scheme};
use crate::record::DenyReason;

/// Why a request head that is well formed still cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The target is not repeated: in an origin-form target anything may be a secret.
    #[error("the request target is not a URL with a host; a proxy needs absolute-form (GET http://host/path)")]
    NotAbsolute,
    #[error("the proxy is asked for an https URL in the clear; send CONNECT instead")]
    HttpsWithoutConnect,
    #[error("the scheme {0:?} is not http")]
    UnknownScheme(String),
    #[error("the request URI's scheme {named:?} is not that of the tunnel, which carries {tunnel}")]
    SchemeDisagrees { named: String, tunnel: &'static str },
    #[error("the request URI has user information before its host")]
    UserInfo,
    #[error("CONNECT inside a tunnel is not served")]
    NestedConnect,
    #[error("the authority {raw:?} is not valid: {error}")]
    Authority { raw: String, error: DestinationError },
    #[error("the Host header {raw:?} is not valid: {error}")]
    HostHeader { raw: String, error: DestinationError },
    #[error("the request names no host")]
    NoHost,
    #[error("the Host header {host_header:?} does not agree with the request URI's {authority:?}")]
    HostDisagrees { host_header: String, authority: String },
    #[error("the request is for {named} inside a tunnel to {tunnel}")]
    NotTheTunnels { named: Destination, tunnel: Destination },
}

impl RequestError {
    /// The audit column's code.
    pub const fn reason(&self) -> DenyReason {
        match self {
            Self::NotAbsolute
            | Self::HttpsWithoutConnect
            | Self::UnknownScheme(_)
            | Self::SchemeDisagrees { .. }
            | Self::NestedConnect => DenyReason::UnsupportedRequest,
            Self::UserInfo | Self::Authority { .. } | Self::HostHeader { .. } | Self::NoHost => {
                DenyReason::InvalidAuthority
            }
            Self::HostDisagrees { .. } | Self::NotTheTunnels { .. } => DenyReason::HostMismatch,
        }
    }
}

/// A request whose destination is known and is named the same way everywhere it is named.
#[derive(Clone, Debug)]
pub struct ProxyRequest {
    pub scheme: Scheme,
    pub destination: Destination,
    /// The host as the request spelled it.
    pub host_raw: String,
    /// Path and query exactly as received.
    pub target: Uri,
    pub version: Version,
}

impl ProxyRequest {
    /// A request sent to the proxy listener in absolute-form.
    pub fn absolute(parts: &Parts) -> Result<Self, RequestError> {
        let (scheme, authority) = match (parts.uri.scheme_str(), parts.uri.authority()) {
            (Some("http"), Some(authority)) => (Scheme::Http, authority.as_str()),
            (Some("https"), Some(_)) => return Err(RequestError::HttpsWithoutConnect),
            (Some(other), Some(_)) => return Err(RequestError::UnknownScheme(other.to_owned())),
            _ => return Err(RequestError::NotAbsolute),
        };
        let destination = authority_destination(authority, scheme)?;
        let host_header = host_header(&parts.headers);
        agree(host_header.as_deref(), &destination, authority)?;
        Ok(Self::assemble(parts, scheme, destination, authority.to_owned()))
    }

    /// A request sent inside a tunnel to `tunnel`, whose payload is `scheme`.
    pub fn inside(parts: &Parts, tunnel: &Destination, scheme: Scheme) -> Result<Self, RequestError> {
        if parts.method == Method::CONNECT {
            return Err(RequestError::NestedConnect);
        }
        if let Some(named) = parts.uri.scheme_str().filter(|named| Scheme::parse(named) != Some(scheme)) {
            let (named, tunnel) = (named.to_owned(), scheme.as_str());
            return Err(RequestError::SchemeDisagrees { named, tunnel });
        }
        let host_header = host_header(&parts.headers);
        let (raw, destination) = match (parts.uri.authority(), &host_header) {
            (Some(authority), _) => {
                let destination = inner_destination(authority.as_str(), tunnel, AuthoritySource::Uri)?;
                agree(host_header.as_deref(), &destination, authority.as_str())?;
                (authority.as_str().to_owned(), destination)
            }
            (None, Some(host)) => (host.to_string(), inner_destination(host, tunnel, AuthoritySource::HostHeader)?),
            (None, None) if parts.version == Version::HTTP_10 => (tunnel.to_string(), tunnel.clone()),
            (None, None) => return Err(RequestError::NoHost),
        };
        if destination != *tunnel {
            return Err(RequestError::NotTheTunnels { named: destination, tunnel: tunnel.clone() });
        }
        Ok(Self::assemble(parts, scheme, destination, raw))
    }

    fn assemble(parts: &Parts, scheme: Scheme, destination: Destination, host_raw: String) -> Self {
        Self { scheme, destination, host_raw, target: origin_form(&parts.uri), version: parts.version }
    }

    /// The path as received; `*` for `OPTIONS *`.
    pub fn path(&self) -> &str {
        self.target.path()
    }

    /// The query as received, without its question mark.
    pub fn query(&self) -> Option<&str> {
        self.target.query()
    }

    /// Path and query as received: with scheme and destination, what the URL fingerprint covers.
    pub fn path_and_query(&self) -> &[u8] {
        self.target.path_and_query().map_or(b"/", |target| target.as_str().as_bytes())
    }
}

/// The destination of a CONNECT and the authority as it was spelled (RFC 9110 section 9.3.6: the port is mandatory).
pub fn connect_target(parts: &Parts) -> Result<(Destination, String), RequestError> {
    let raw = parts.uri.authority().map(|authority| authority.as_str().to_owned()).unwrap_or_default();
    if raw.contains('@') {
        return Err(RequestError::UserInfo);
    }
    match Destination::from_connect(&raw) {
        Ok(destination) => Ok((destination, raw)),
        Err(error) => Err(RequestError::Authority { raw, error }),
    }
}

/// The audit column's code for the version the client used.
pub const fn version_code(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

/// The User-Agent field lines, in order.
pub fn user_agents(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(USER_AGENT).iter().map(http::HeaderValue::as_bytes)
}

/// All User-Agent field lines joined by a space, or `None` when there are none.
pub fn user_agent(headers: &HeaderMap) -> Option<Cow<'_, [u8]>> {
    let mut lines = user_agents(headers);
    let mut joined = Cow::Borrowed(lines.next()?);
    for line in lines {
        let joined = joined.to_mut();
        joined.push(b' ');
        joined.extend_from_slice(line);
    }
    Some(joined)
}

/// Bytes from the wire as text for a column.
pub fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn host_header(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    headers.get(HOST).map(|value| lossy(value.as_bytes()))
}

/// Origin-form of what is sent upstream (RFC 9112 section 3.2.1); `*` stays.
fn origin_form(uri: &Uri) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.path_and_query = uri.path_and_query().cloned();
    if parts.path_and_query.as_ref().is_none_or(|target| target.as_str().is_empty()) {
        parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
    }
    Uri::from_parts(parts).unwrap_or_else(|_| Uri::from_static("/"))
}

fn authority_destination(raw: &str, scheme: Scheme) -> Result<Destination, RequestError> {
    if raw.contains('@') {
        return Err(RequestError::UserInfo);
    }
    Destination::with_default_port(raw, scheme.default_port())
        .map_err(|error| RequestError::Authority { raw: raw.to_owned(), error })
}

/// Which part of an inner request named its destination, for the error.
#[derive(Clone, Copy)]
enum AuthoritySource {
    Uri,
    HostHeader,
}

/// The destination an inner authority names. One without a port means the tunnel's port: no client library that omits
/// the port from Host means another one, and the connection it is about is the tunnel's anyway.
fn inner_destination(raw: &str, tunnel: &Destination, source: AuthoritySource) -> Result<Destination, RequestError> {
    if raw.contains('@') {
        return Err(RequestError::UserInfo);
    }
    Destination::with_default_port(raw, tunnel.port).map_err(|error| match source {
        AuthoritySource::Uri => RequestError::Authority { raw: raw.to_owned(), error },
        AuthoritySource::HostHeader => RequestError::HostHeader { raw: raw.to_owned(), error },
    })
}

/// Host, where present, must name what the URI names (RFC 9112 section 3.2.2 lets a proxy ignore Host; refusing is safer).
fn agree(host_header: Option<&str>, destination: &Destination, authority: &str) -> Result<(), RequestError> {
    let Some(raw) = host_header else { return Ok(()) };
    if raw == authority {
        return Ok(());
    }
    let named = Destination::with_default_port(raw, destination.port)
        .map_err(|error| RequestError::HostHeader { raw: raw.to_owned(), error })?;
    if named == *destination {
        return Ok(());
    }
    Err(RequestError::HostDisagrees { host_header: raw.to_owned(), authority: authority.to_owned() })
}
