//! What policy answers: a permit, without which nothing is dialled, or a refusal with its remedy.

use std::fmt;
use std::sync::Arc;

use crate::destination::Destination;
use crate::record::{Decision, DenyReason};

/// Leave to connect to one destination, with the evidence of who gave it. Only `policy` can make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permit {
    destination: Destination,
    rule: Option<Arc<str>>,
    would_deny: Option<DenyReason>,
    policy_hash: Arc<str>,
}

impl Permit {
    pub(super) const fn allow(destination: Destination, rule: Option<Arc<str>>, policy_hash: Arc<str>) -> Self {
        Self { destination, rule, would_deny: None, policy_hash }
    }

    pub(super) const fn would_deny_for(
        destination: Destination,
        reason: DenyReason,
        rule: Option<Arc<str>>,
        policy_hash: Arc<str>,
    ) -> Self {
        Self { destination, rule, would_deny: Some(reason), policy_hash }
    }

    /// The only destination this permit is good for.
    pub const fn destination(&self) -> &Destination {
        &self.destination
    }

    /// `Allow`, or `WouldDeny` when the call passes only because policy observes. Never `Deny`.
    pub const fn decision(&self) -> Decision {
        match self.would_deny {
            None => Decision::Allow,
            Some(_) => Decision::WouldDeny,
        }
    }

    /// The rule that allowed the call, or the first rule that names the host but does not admit the subject.
    pub const fn rule(&self) -> Option<&Arc<str>> {
        self.rule.as_ref()
    }

    /// Why enforcing would have refused the call.
    pub const fn would_deny(&self) -> Option<DenyReason> {
        self.would_deny
    }

    /// Hash of the policy that decided, see `Policy::hash`.
    pub const fn policy_hash(&self) -> &Arc<str> {
        &self.policy_hash
    }
}

/// A refusal by policy. Displays as a sentence for the caller, without the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deny {
    pub destination: Destination,
    pub reason: DenyReason,
    /// The first rule that names the host, when one does.
    pub rule: Option<Arc<str>>,
    /// Hash of the policy that decided, see `Policy::hash`.
    pub policy_hash: Arc<str>,
}

impl Deny {
    /// What the operator can do so that such a call passes.
    pub fn remedy(&self) -> String {
        let host = &self.destination.host;
        let rule = self.rule.as_deref().unwrap_or("that names the host");
        match self.reason {
            DenyReason::HostNotAllowed => format!("Add \"{host}\" to the hosts of a rule in the Tollgate policy."),
            DenyReason::SubjectNotAllowed => format!(
                "Add this deployment, project or client to `for` of the Tollgate policy rule \"{rule}\", or give it a \
                 rule of its own for \"{host}\"."
            ),
            DenyReason::IdentityMismatch => "Add the claimed id to this client's deployments or projects in the \
                                             Tollgate configuration, or let the right client send the call."
                .to_owned(),
            DenyReason::UnknownProtocol => {
                format!(
                    "If \"{host}\" is to be reached with another protocol than TLS or HTTP, list it as a tunnel host."
                )
            }
            DenyReason::AddressNotAllowed
            | DenyReason::MixedAddresses
            | DenyReason::OwnListener
            | DenyReason::ClientNotAuthenticated
            | DenyReason::InvalidAuthority
            | DenyReason::SniMismatch
            | DenyReason::HostMismatch
            | DenyReason::MalformedRequest
            | DenyReason::AmbiguousLength
            | DenyReason::HeadTooLarge
            | DenyReason::UnsupportedRequest
            | DenyReason::Overloaded
            | DenyReason::ShuttingDown
            | DenyReason::NoEvidence
            | DenyReason::UnboundClaim => {
                format!("No policy rule can allow this; look up the reason `{}` in the operating guide.", self.reason)
            }
        }
    }
}

impl fmt::Display for Deny {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let destination = &self.destination;
        match (self.reason, &self.rule) {
            (DenyReason::HostNotAllowed, _) => write!(f, "no policy rule allows {destination}"),
            (DenyReason::SubjectNotAllowed, Some(rule)) => {
                write!(f, "policy rule \"{rule}\" allows {destination}, but not for this deployment, project or client")
            }
            (DenyReason::IdentityMismatch, _) => {
                write!(f, "the deployment or project named in the User-Agent is not one this client may speak for")
            }
            (reason, _) => write!(f, "{destination} was refused: {reason}"),
        }
    }
}

impl std::error::Error for Deny {}
