//! The only place that builds responses of Tollgate's own.
//!
//! A [`Refusal`] is any reason not to relay. Kibana shows the `message` of the JSON body to its user, so it says what
//! happened, for whom, and what to do; everything else about it goes into the audit row.

use std::borrow::Cow;
use std::cell::RefCell;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, PROXY_AUTHENTICATE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use hyper::ext::ReasonPhrase;
use serde::Serialize;

use crate::client::ClientError;
use crate::journal::NoEvidence;
use crate::observe::{Exchange, Payload};
use crate::policy::Deny;
use crate::record::{Decision, DenyReason, OutcomeKind};
use crate::request::RequestError;
use crate::upstream::UpstreamError;
use crate::wire::ViolationReason;

/// Why an exchange is not relayed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("{0}")]
    Policy(Deny),
    #[error("bad request: {0}")]
    Request(#[from] RequestError),
    #[error("bad request: {0}")]
    Wire(#[from] ViolationReason),
    #[error("{0}")]
    Client(#[from] ClientError),
    #[error("the User-Agent claims a deployment or project, and this client is bound to none")]
    UnboundClaim,
    #[error("{0}")]
    Upstream(#[from] UpstreamError),
    #[error("the evidence could not be written, so nothing was sent ({0})")]
    NoEvidence(#[from] NoEvidence),
    #[error("too many connections ({0})")]
    Overloaded(&'static str),
    #[error("Tollgate is stopping")]
    Stopping,
}

impl From<Deny> for Refusal {
    fn from(deny: Deny) -> Self {
        Self::Policy(deny)
    }
}

impl Refusal {
    /// The status of the answer, chosen by who is at fault.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Policy(_) | Self::UnboundClaim => StatusCode::FORBIDDEN,
            Self::Request(_) => StatusCode::BAD_REQUEST,
            Self::Wire(violation) => match violation.deny_reason() {
                DenyReason::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                _ => StatusCode::BAD_REQUEST,
            },
            Self::Client(_) => StatusCode::PROXY_AUTHENTICATION_REQUIRED,
            Self::Upstream(error) => upstream_status(error),
            Self::NoEvidence(_) | Self::Overloaded(_) | Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The audit column `deny_reason`; `None` for failures that are nobody's decision.
    pub const fn deny_reason(&self) -> Option<DenyReason> {
        match self {
            Self::Policy(deny) => Some(deny.reason),
            Self::Request(error) => Some(error.reason()),
            Self::Wire(violation) => Some(violation.deny_reason()),
            Self::Client(_) => Some(DenyReason::ClientNotAuthenticated),
            Self::UnboundClaim => Some(DenyReason::UnboundClaim),
            Self::Upstream(error) => error.deny_reason(),
            Self::NoEvidence(_) => Some(DenyReason::NoEvidence),
            Self::Overloaded(_) => Some(DenyReason::Overloaded),
            Self::Stopping => Some(DenyReason::ShuttingDown),
        }
    }

    /// The audit column `outcome`.
    pub const fn outcome(&self) -> OutcomeKind {
        match self {
            Self::Upstream(error) => error.outcome(),
            Self::Policy(_)
            | Self::Request(_)
            | Self::Wire(_)
            | Self::Client(_)
            | Self::UnboundClaim
            | Self::NoEvidence(_)
            | Self::Overloaded(_)
            | Self::Stopping => OutcomeKind::Denied,
        }
    }

    /// What the reader of the message can do about it.
    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Policy(deny) => return Cow::Owned(deny.remedy()),
            Self::Request(_) | Self::Wire(_) => {
                "The client sent a request that a proxy must not guess about; correct the client."
            }
            Self::Client(_) => {
                "Put credentials of a configured client into xpack.actions.proxyUrl or xpack.actions.proxyHeaders."
            }
            Self::UnboundClaim => {
                "Name the deployment or project under this client in `clients` of the Tollgate configuration; as long as \
                 identity.refuse_unbound_claims is set, only bound clients may claim an id."
            }
            Self::Upstream(UpstreamError::AddressRefused(_)) => {
                "If this internal address is meant to be reached, add it to upstream.allow_addresses."
            }
            Self::Upstream(UpstreamError::OwnListener(_)) => {
                "Correct the connector's URL: it points at the proxy itself."
            }
            Self::Upstream(UpstreamError::ClientCertificateWanted { .. }) => {
                "Give Tollgate one to show in client_cert of this host under upstream.hosts, or list the host in \
                 tunnel_hosts so that the connector shows its own."
            }
            Self::Upstream(UpstreamError::ClientCertificateRefused { .. }) => {
                "Look at client_cert of this host under upstream.hosts: is it the one the destination knows, with its \
                 intermediates, and still valid?"
            }
            Self::Upstream(_) => "Tollgate allowed this call; look at the destination and at the network between.",
            Self::NoEvidence(_) => {
                "Tollgate sends nothing it cannot record; look at its journal directory and log. Retry later."
            }
            Self::Overloaded(_) => "Retry later, or raise the limit named in the message.",
            Self::Stopping => "Retry later.",
        })
    }

    /// Whether the connection cannot go on: its framing is in doubt, or nothing on it would be served.
    const fn closes_connection(&self) -> bool {
        match self {
            Self::Request(_) | Self::Wire(_) | Self::Client(_) | Self::Overloaded(_) | Self::Stopping => true,
            Self::Policy(_) | Self::UnboundClaim | Self::Upstream(_) | Self::NoEvidence(_) => false,
        }
    }

    /// Writes the refusal into the exchange's columns.
    pub fn note(&self, exchange: &mut Exchange) {
        exchange.outcome_mut().status = Some(self.status().as_u16());
        match self {
            Self::Policy(deny) => exchange.denied_by(deny),
            refusal => {
                if let Some(reason) = refusal.deny_reason() {
                    exchange.refused_for(reason);
                }
            }
        }
    }
}

const fn upstream_status(error: &UpstreamError) -> StatusCode {
    match error {
        UpstreamError::AddressRefused(_) | UpstreamError::OwnListener(_) => StatusCode::FORBIDDEN,
        UpstreamError::ClientBroke(_) => StatusCode::BAD_REQUEST,
        UpstreamError::ResolverBusy => StatusCode::SERVICE_UNAVAILABLE,
        UpstreamError::ResolveTimedOut { .. }
        | UpstreamError::DialTimedOut(_)
        | UpstreamError::TlsTimedOut(_)
        | UpstreamError::ResponseTimedOut(_) => StatusCode::GATEWAY_TIMEOUT,
        UpstreamError::Unresolved { .. }
        | UpstreamError::Unreachable { .. }
        | UpstreamError::Tls { .. }
        | UpstreamError::ClientCertificateRefused { .. }
        | UpstreamError::ClientCertificateWanted { .. }
        | UpstreamError::Exchange(_)
        | UpstreamError::SwitchedUnasked => StatusCode::BAD_GATEWAY,
    }
}

/// What a refused caller is told. `message` is the field Kibana's webhook connector shows; the OpenAI SDK and the
/// connectors around language models look for the same text in `error.message`.
#[derive(Serialize)]
struct Explanation<'a> {
    message: &'a str,
    error: ErrorObject<'a>,
    event_id: String,
    reason: &'a str,
    rule: Option<&'a str>,
    deployment: Option<&'a str>,
    project: Option<&'a str>,
    remedy: &'a str,
}

#[derive(Serialize)]
struct ErrorObject<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    code: &'a str,
}

/// Who a refused exchange was for, for its message.
pub struct Addressee {
    is_connect: bool,
    event_id: uuid::Uuid,
    host: Option<String>,
    port: Option<u16>,
    rule: Option<String>,
    deployment: Option<String>,
    project: Option<String>,
}

impl Addressee {
    /// Taken before the exchange is settled.
    pub fn of(exchange: &mut Exchange) -> Self {
        let intent = exchange.intent_mut();
        let denied = intent.decision == Some(Decision::Deny);
        Self {
            is_connect: intent.method.as_deref() == Some("CONNECT"),
            event_id: intent.event_id,
            host: intent.host.clone(),
            port: intent.port,
            rule: intent.policy_rule.clone().filter(|_| denied),
            deployment: intent.deployment_id.clone(),
            project: intent.project_id.clone(),
        }
    }

    fn destination(&self) -> String {
        match (&self.host, self.port) {
            (Some(host), Some(port)) => format!(" {host}:{port}"),
            _ => String::new(),
        }
    }
}

/// The answer to a refused exchange: one small body with its length. After a refused CONNECT the connection is closed,
/// because what the client has sent behind it is not for us (RFC 9110 section 9.3.6).
pub fn refused(refusal: &Refusal, addressee: &Addressee) -> Response<Payload> {
    let status = refusal.status();
    let remedy = refusal.remedy();
    let verb = if refusal.deny_reason().is_some() { "refused" } else { "could not reach" };
    let message =
        format!("Tollgate {verb}{}: {refusal}. {remedy} (event {})", addressee.destination(), addressee.event_id);
    let reason = refusal.deny_reason().map_or_else(|| refusal.outcome().code(), DenyReason::code);
    let explanation = Explanation {
        message: &message,
        error: ErrorObject { message: &message, kind: "tollgate", code: reason },
        event_id: addressee.event_id.to_string(),
        reason,
        rule: addressee.rule.as_deref(),
        deployment: addressee.deployment.as_deref(),
        project: addressee.project.as_deref(),
        remedy: &remedy,
    };
    let body = serde_json::to_vec(&explanation).unwrap_or_default();
    let mut response = Response::new(Payload::Own(Full::new(Bytes::from(body))));
    *response.status_mut() = status;
    let length = http_body::Body::size_hint(response.body()).lower();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        headers.insert(PROXY_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"tollgate\""));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    date(headers, SystemTime::now());
    if addressee.is_connect || refusal.closes_connection() {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Dates a response that has no date: our own, and one that an upstream sent without (RFC 9110 section 6.6.1). hyper would
/// date the answer to a CONNECT, too, which is to have no fields.
pub fn date(headers: &mut http::HeaderMap, now: SystemTime) {
    if let http::header::Entry::Vacant(vacant) = headers.entry(DATE)
        && let Some(date) = date_of(now)
    {
        vacant.insert(date);
    }
}

thread_local! {
    /// The second that was last written as a date, and that date: the responses of one second share it.
    static LAST_DATE: RefCell<Option<(u64, HeaderValue)>> = const { RefCell::new(None) };
}

/// A time as the Date field has it (RFC 9110 section 5.6.7), to the second.
fn date_of(now: SystemTime) -> Option<HeaderValue> {
    let second = now.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    LAST_DATE.with_borrow_mut(|last| {
        if last.as_ref().is_none_or(|(of, _)| *of != second) {
            *last = Some((second, HeaderValue::try_from(httpdate::fmt_http_date(now)).ok()?));
        }
        last.as_ref().map(|(_, date)| date.clone())
    })
}

/// The one answer that opens a tunnel. The phrase is what Kibana's clients were measured to accept; no fields follow.
pub fn established() -> Response<Payload> {
    let mut response = Response::new(Payload::Own(Full::default()));
    response.extensions_mut().insert(ReasonPhrase::from_static(b"Connection established"));
    response
}

/// An interim response as it goes to an HTTP/1.1 client; `None` for those that hyper or an upgrade handle.
pub fn interim(status: StatusCode, headers: &http::HeaderMap) -> Option<Vec<u8>> {
    if matches!(status, StatusCode::CONTINUE | StatusCode::SWITCHING_PROTOCOLS) {
        return None;
    }
    let mut head =
        format!("HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or_default()).into_bytes();
    for (name, value) in headers {
        if *name != CONNECTION {
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
    }
    head.extend_from_slice(b"\r\n");
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operating_guide_explains_every_reason() {
        let guide = include_str!("../docs/operating.md");
        for reason in DenyReason::ALL {
            assert!(guide.contains(&format!("| `{reason}` |")), "{reason} is not in docs/operating.md");
        }
    }

    #[test]
    fn only_a_response_without_a_date_is_dated() {
        let mut headers = http::HeaderMap::new();
        date(&mut headers, SystemTime::UNIX_EPOCH);
        assert_eq!(headers["date"], "Thu, 01 Jan 1970 00:00:00 GMT");
        date(&mut headers, SystemTime::now());
        assert_eq!(headers["date"], "Thu, 01 Jan 1970 00:00:00 GMT");
    }

    #[test]
    fn the_date_is_that_of_its_second_also_when_the_clock_is_set_back() {
        let times = [(999, 0), (1_000, 1), (1_999, 1), (2_000, 2), (0, 0)];
        for (ms, second) in times {
            let mut headers = http::HeaderMap::new();
            date(&mut headers, SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(ms));
            assert_eq!(headers["date"], format!("Thu, 01 Jan 1970 00:00:0{second} GMT"), "{ms} ms");
        }
    }

    #[test]
    fn interim_responses_are_complete_heads() {
        let mut headers = http::HeaderMap::new();
        headers.insert("link", HeaderValue::from_static("</style.css>; rel=preload"));
        let hints = interim(StatusCode::EARLY_HINTS, &headers).unwrap();
        assert_eq!(hints, b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n");
        assert_eq!(interim(StatusCode::CONTINUE, &headers), None);
        assert_eq!(interim(StatusCode::SWITCHING_PROTOCOLS, &headers), None);
    }
}
