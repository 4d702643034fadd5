//! Settings that are allowed but weaken what Tollgate guarantees.

use std::net::SocketAddr;

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
    /// A crash writes the process's memory to disk.
    #[error("danger_core_dumps: a crash writes keys, credentials and bodies to disk; remove the key after debugging")]
    CoreDumps,
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
