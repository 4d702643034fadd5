//! Settings that are allowed but weaken what Tollgate guarantees.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

/// One weakening; its text says what is lost and how to get it back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// The policy's mode is observe.
    #[error(
        "OBSERVE ONLY: nothing is refused by policy; pass --enforce or set `mode: enforce` in the policy to enforce it"
    )]
    ObserveOnly,
    /// Addresses beyond loopback were opened.
    #[error(
        "allow_addresses {0} lets clients reach addresses that are refused by default; keep it as narrow as possible"
    )]
    AllowedAddresses(IpNet),
    /// Evidence is not synced.
    #[error("audit.durability is `write`: a power failure can lose evidence of calls already made; set it to `fsync`")]
    DurabilityWrite,
    /// Evidence is synced only now and then.
    #[error(
        "audit.durability is `interval`: a power failure can lose evidence of the calls of the last {sync_interval:?}; set it to `fsync`"
    )]
    DurabilityInterval { sync_interval: Duration },
    /// Calls go on without evidence.
    #[error(
        "DANGER: audit.on_failure is `continue`: while the journal cannot be written, calls are made WITHOUT evidence; set it to `refuse`"
    )]
    OnFailureContinue,
    /// Anybody who reaches the listener can use it.
    #[error(
        "listener {0} is not on loopback and no clients are configured: whoever reaches it can use it; configure `clients`"
    )]
    OpenListener(SocketAddr),
    /// The admin listener has no authentication.
    #[error(
        "admin {0} is not on loopback: whoever reaches it can read the metrics and the console; bind it to 127.0.0.1"
    )]
    OpenAdmin(SocketAddr),
}
