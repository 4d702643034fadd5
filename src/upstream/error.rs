//! What can go wrong outbound, with who is at fault.

use std::time::Duration;

use crate::destination::Destination;
use crate::record::{DenyReason, OutcomeKind};

use super::address::AddressRefusal;

/// Why a permitted request got no response. Refusals of an address are denials, the rest are failures.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("the name {host} could not be resolved: {reason}")]
    Unresolved { host: String, reason: String },
    #[error("resolving {host} took longer than {timeout:?} (limits.dns_timeout_s)")]
    ResolveTimedOut { host: String, timeout: Duration },
    #[error("too many names are being resolved at once (upstream.dns_in_flight_max)")]
    ResolverBusy,
    #[error(transparent)]
    AddressRefused(#[from] AddressRefusal),
    #[error("{0} is one of Tollgate's own listeners")]
    OwnListener(Destination),
    #[error("no connection to {destination}: {reason}")]
    Unreachable { destination: Destination, reason: String },
    #[error("no connection to {0} within the dial deadline (limits.dial_timeout_s)")]
    DialTimedOut(Destination),
    #[error("TLS with {destination} failed: {reason}")]
    Tls { destination: String, reason: String },
    /// The upstream refused the certificate that was shown in the connector's place.
    #[error("the destination refused the client certificate it was shown ({alert})")]
    ClientCertificateRefused { alert: String },
    /// The upstream wants a certificate and there is none to be shown.
    #[error("the destination asks for a client certificate ({alert})")]
    ClientCertificateWanted { alert: String },
    #[error("no TLS session with {0} within the dial deadline (limits.dial_timeout_s)")]
    TlsTimedOut(Destination),
    #[error("the upstream closed the connection or broke HTTP before its response: {0}")]
    Exchange(String),
    /// RFC 9110 section 7.8: a server must not switch to a protocol that the client did not offer.
    #[error("the upstream switched protocols (101) although the client did not ask for it")]
    SwitchedUnasked,
    #[error("the upstream sent no response head for {0:?} (limits.response_head_timeout_s)")]
    ResponseTimedOut(Duration),
    #[error("the client's request body broke off: {0}")]
    ClientBroke(String),
}

impl UpstreamError {
    /// How the exchange ended.
    pub const fn outcome(&self) -> OutcomeKind {
        match self {
            Self::AddressRefused(_) | Self::OwnListener(_) => OutcomeKind::Denied,
            Self::ResolveTimedOut { .. } | Self::DialTimedOut(_) | Self::TlsTimedOut(_) | Self::ResponseTimedOut(_) => {
                OutcomeKind::TimedOut
            }
            Self::ClientBroke(_) => OutcomeKind::ClientAborted,
            Self::Unresolved { .. }
            | Self::ResolverBusy
            | Self::Unreachable { .. }
            | Self::Tls { .. }
            | Self::ClientCertificateRefused { .. }
            | Self::ClientCertificateWanted { .. }
            | Self::Exchange(_)
            | Self::SwitchedUnasked => OutcomeKind::UpstreamFailed,
        }
    }

    /// The audit column's code, for the refusals among these.
    pub const fn deny_reason(&self) -> Option<DenyReason> {
        match self {
            Self::AddressRefused(refusal) => refusal.deny_reason(),
            Self::OwnListener(_) => Some(DenyReason::OwnListener),
            Self::Unresolved { .. }
            | Self::ResolveTimedOut { .. }
            | Self::ResolverBusy
            | Self::Unreachable { .. }
            | Self::DialTimedOut(_)
            | Self::Tls { .. }
            | Self::ClientCertificateRefused { .. }
            | Self::ClientCertificateWanted { .. }
            | Self::TlsTimedOut(_)
            | Self::Exchange(_)
            | Self::SwitchedUnasked
            | Self::ResponseTimedOut(_)
            | Self::ClientBroke(_) => None,
        }
    }
}
