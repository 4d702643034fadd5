//! The audit record: the columns of schema version 2 as Rust types.
//!
//! A record has two halves because it is written in two steps. [`Intent`] holds what is known before the first byte
//! goes upstream and is durable before it does; [`Outcome`] holds what was learned afterwards. [`Row`] is both, plus
//! the position the journal gave it. Their texts are `String`, or `&str` where rows are only passed through. This module does
//! no I/O, reads no clock and knows nothing of Parquet.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Version of the column set below, written to every row. Columns are only ever added.
pub const SCHEMA_VERSION: i32 = 2;

/// Declares a closed enum with one stable lower-case code per variant: the value of the column.
macro_rules! coded_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $code:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vmeta])* $variant,)+ }

        impl $name {
            /// Every variant, in declaration order.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// The stable code written to the audit column.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $($name::$variant => $code,)+ }
            }

            /// The variant a code stands for, or `None` for an unknown code.
            #[must_use]
            pub fn from_code(code: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.code() == code)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.code())
            }
        }
    };
}

coded_enum! {
    /// What kind of exchange a row describes (`kind`).
    Kind {
        /// An absolute-form `http://` request, or plain HTTP inside a CONNECT.
        Http = "http",
        /// A request seen inside a TLS connection that Tollgate terminated.
        Intercepted = "intercepted",
        /// A CONNECT relayed without looking inside.
        Tunnel = "tunnel",
        /// A connection or CONNECT that ended before any request could be seen.
        Connect = "connect",
    }
}

coded_enum! {
    /// How far the deployment or project id can be believed (`id_assurance`).
    IdAssurance {
        /// The client's configuration binds it to this id.
        Verified = "verified",
        /// The client's configuration binds it to other ids.
        Mismatch = "mismatch",
        /// The User-Agent says so and nothing confirms or contradicts it.
        Claimed = "claimed",
        /// The User-Agent has no `elastic (...)` fragment, which is normal for many connectors.
        Absent = "absent",
        /// The User-Agent has fragments that name different ids; none is used.
        Contradicting = "contradicting",
        /// A fragment is present but its id is empty, over-long or has forbidden characters; it is not used.
        Malformed = "malformed",
        /// The User-Agent has no fragment; the client is bound to exactly this one id.
        Bound = "bound",
    }
}

coded_enum! {
    /// What policy said (`decision`).
    Decision {
        /// Allowed by the named rule.
        Allow = "allow",
        /// Refused.
        Deny = "deny",
        /// Would have been refused if the policy were enforced; it was let through.
        WouldDeny = "would_deny",
    }
}

coded_enum! {
    /// How an exchange ended (`outcome`).
    OutcomeKind {
        /// The response (or tunnel) was relayed to its end.
        Completed = "completed",
        /// Tollgate refused it; see `deny_reason`.
        Denied = "denied",
        /// The client went away before the end.
        ClientAborted = "client_aborted",
        /// The client refused the certificate Tollgate presented: it does not trust the interception CA.
        ClientRejectedCa = "client_rejected_ca",
        /// Resolution, connection, TLS or the response failed upstream.
        UpstreamFailed = "upstream_failed",
        /// A deadline passed.
        TimedOut = "timed_out",
        /// The process stopped before the end was recorded; written by recovery.
        Interrupted = "interrupted",
        /// Evidence was lost here; `error` says how many records and why.
        Gap = "gap",
    }
}

coded_enum! {
    /// Why a request was, or would have been, refused (`deny_reason`).
    DenyReason {
        /// No rule names this host.
        HostNotAllowed = "host_not_allowed",
        /// A rule names this host, but not for this deployment, project or client.
        SubjectNotAllowed = "subject_not_allowed",
        /// The claimed id is not one the client is bound to.
        IdentityMismatch = "identity_mismatch",
        /// The name resolves to an address class that is not allowed.
        AddressNotAllowed = "address_not_allowed",
        /// The name resolves to allowed and refused addresses at once.
        MixedAddresses = "mixed_addresses",
        /// The destination is one of Tollgate's own listeners.
        OwnListener = "own_listener",
        /// The client did not identify itself, or with wrong credentials.
        ClientNotAuthenticated = "client_not_authenticated",
        /// The CONNECT authority or request URI is not a valid host and port.
        InvalidAuthority = "invalid_authority",
        /// The SNI names another host than the CONNECT.
        SniMismatch = "sni_mismatch",
        /// The Host header or `:authority` names another host than the connection is for.
        HostMismatch = "host_mismatch",
        /// The request line or a header field breaks RFC 9112.
        MalformedRequest = "malformed_request",
        /// The message length is ambiguous (RFC 9112 section 6.3).
        AmbiguousLength = "ambiguous_length",
        /// The request head is larger, or has more fields, than the configured limit.
        HeadTooLarge = "head_too_large",
        /// The method or target form is not one a proxy can serve.
        UnsupportedRequest = "unsupported_request",
        /// What the client sent through the CONNECT is neither TLS nor HTTP.
        UnknownProtocol = "unknown_protocol",
        /// A configured limit on connections or work in progress is reached.
        Overloaded = "overloaded",
        /// Tollgate is stopping.
        ShuttingDown = "shutting_down",
        /// The evidence could not be written.
        NoEvidence = "no_evidence",
        /// An id is claimed by a client that is bound to none, and only bound clients may claim.
        UnboundClaim = "unbound_claim",
    }
}

/// What is known before the first byte goes upstream. Absent values are columns that did not apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent<S = String> {
    /// UUIDv7, also given to the caller in every response Tollgate makes itself.
    pub event_id: Uuid,
    /// Start of the exchange, microseconds since the Unix epoch, UTC.
    pub event_time_us: i64,
    pub kind: Kind,
    pub deployment_id: Option<S>,
    pub project_id: Option<S>,
    pub id_assurance: IdAssurance,
    /// Name of the configured client, when one was recognised.
    pub client_identity: Option<S>,
    pub client_ip: IpAddr,
    pub client_port: u16,
    pub user_agent: Option<S>,
    /// The first product of the User-Agent, e.g. `axios/1.7.2`.
    pub user_agent_product: Option<S>,
    pub connector_type: Option<S>,
    pub connector_id: Option<S>,
    pub connector_source: Option<S>,
    pub method: Option<S>,
    pub scheme: Option<S>,
    /// Canonical host: lower case, A-labels, no trailing dot, IPv6 without brackets.
    pub host: Option<S>,
    pub port: Option<u16>,
    /// The host as it was spelled on the wire.
    pub host_raw: Option<S>,
    /// The CONNECT authority as it was spelled on the wire.
    pub connect_host: Option<S>,
    pub sni: Option<S>,
    pub host_header: Option<S>,
    /// Redacted path.
    pub path: Option<S>,
    /// Redacted query: keys stay, values go.
    pub query: Option<S>,
    /// Keyed HMAC-SHA256 of the full URL, hex.
    pub url_fingerprint: Option<S>,
    /// Id of the key of `url_fingerprint` and of the mail addresses' tags in `path`.
    pub url_fingerprint_key: Option<S>,
    pub http_version: Option<S>,
    pub request_content_type: Option<S>,
    pub decision: Option<Decision>,
    pub policy_rule: Option<S>,
    pub policy_hash: Option<S>,
    pub deny_reason: Option<DenyReason>,
}

impl Intent {
    /// One of which nothing is known but when, from whom, and what kind.
    pub fn new(event_id: Uuid, event_time_us: i64, kind: Kind, client: SocketAddr) -> Self {
        Self {
            event_id,
            event_time_us,
            kind,
            deployment_id: None,
            project_id: None,
            id_assurance: IdAssurance::Absent,
            client_identity: None,
            client_ip: client.ip(),
            client_port: client.port(),
            user_agent: None,
            user_agent_product: None,
            connector_type: None,
            connector_id: None,
            connector_source: None,
            method: None,
            scheme: None,
            host: None,
            port: None,
            host_raw: None,
            connect_host: None,
            sni: None,
            host_header: None,
            path: None,
            query: None,
            url_fingerprint: None,
            url_fingerprint_key: None,
            http_version: None,
            request_content_type: None,
            decision: None,
            policy_rule: None,
            policy_hash: None,
            deny_reason: None,
        }
    }
}

/// What was learned after the intent was durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome<S = String> {
    /// End of the exchange, microseconds since the Unix epoch, UTC.
    pub end_time_us: i64,
    /// From a monotonic clock, so it may differ from `end_time - event_time` when the clock was set.
    pub duration_us: i64,
    /// Request body bytes read from the client; for a tunnel, all bytes from the client.
    pub request_bytes: i64,
    pub upstream_ip: Option<IpAddr>,
    pub upstream_port: Option<u16>,
    /// Whether the upstream connection had served an exchange before.
    pub upstream_reused: Option<bool>,
    pub tls_version: Option<S>,
    pub tls_cipher: Option<S>,
    /// SHA-256 of the upstream's leaf certificate (DER), hex.
    pub upstream_cert_sha256: Option<S>,
    pub status: Option<u16>,
    pub response_content_type: Option<S>,
    /// Response body bytes passed to the client; for a tunnel, all bytes from upstream.
    pub response_bytes: i64,
    pub dns_us: Option<i64>,
    pub connect_us: Option<i64>,
    pub tls_us: Option<i64>,
    /// From the request being sent to the response head.
    pub first_byte_us: Option<i64>,
    /// How long the exchange waited for its intent to be durable.
    pub audit_wait_us: Option<i64>,
    pub outcome: OutcomeKind,
    pub error: Option<S>,
    /// Redacted beginning of the request body, when configured.
    pub request_excerpt: Option<S>,
    /// Redacted beginning of the response body, when configured.
    pub response_excerpt: Option<S>,
    /// Whether the upstream's certificate was verified; `false` only where `danger_skip_verify` says so.
    pub upstream_verified: Option<bool>,
}

impl Outcome {
    /// One of which nothing is known but when and how.
    pub fn new(end_time_us: i64, outcome: OutcomeKind) -> Self {
        Self {
            end_time_us,
            duration_us: 0,
            request_bytes: 0,
            upstream_ip: None,
            upstream_port: None,
            upstream_reused: None,
            tls_version: None,
            tls_cipher: None,
            upstream_cert_sha256: None,
            status: None,
            response_content_type: None,
            response_bytes: 0,
            dns_us: None,
            connect_us: None,
            tls_us: None,
            first_byte_us: None,
            audit_wait_us: None,
            outcome,
            error: None,
            request_excerpt: None,
            response_excerpt: None,
            upstream_verified: None,
        }
    }
}

/// Which process wrote a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writer {
    /// Stable over restarts of one installation (one data directory).
    pub instance_id: String,
    /// New at every start.
    pub boot_id: Uuid,
    /// Counts the starts of this instance, from 1.
    pub epoch: u64,
}

/// One finished row of the audit dataset.
#[derive(Clone, Debug, PartialEq)]
pub struct Row<S = String> {
    /// Position among this writer's rows, from 1, without holes.
    pub seq: u64,
    pub writer: Arc<Writer>,
    pub intent: Intent<S>,
    pub outcome: Outcome<S>,
}
