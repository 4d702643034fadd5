//! Settings that are allowed but weaken what Tollgate guarantees, or let calls fail.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use ipnet::IpNet;
use jiff::Timestamp;

use crate::connectors::AvoidInterception;
use crate::policy::HostPattern;
use crate::upstream::{ClientCertificate, TlsSettings};

/// How long before its end a client certificate is warned of: time enough to have a new one issued.
const CLIENT_CERTIFICATE_NOTICE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Hosts that a warning writes out; the others are counted.
const HOSTS_SHOWN: usize = 4;

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
    /// Anybody can pose as these hosts.
    #[error(
        "UNVERIFIED UPSTREAMS: danger_skip_verify accepts any certificate from {}, so that whoever is between can read and \
         change these calls; give the service's certificate or CA in ca_files instead", listed(.0)
    )]
    Unverified(Vec<HostPattern>),
    /// A client certificate is about to be useless.
    #[error("the client certificate {} is valid until {until} only; put a new one in its place and restart", file.display())]
    ClientCertificateExpires { file: PathBuf, until: Timestamp },
    /// A client certificate is useless.
    #[error("the client certificate {} expired at {at}: the hosts it is for will refuse it; put a new one in its place and restart", file.display())]
    ClientCertificateExpired { file: PathBuf, at: Timestamp },
    /// Evidence is not synced.
    #[error("audit.durability is `write`: a power failure can lose evidence of calls already made; set it to `fsync`")]
    DurabilityWrite,
    /// A crash writes the process's memory to disk.
    #[error("danger_core_dumps: a crash writes keys, credentials and bodies to disk; remove the key after debugging")]
    CoreDumps,
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
    /// Calls of a connector are allowed and may fail, because they are intercepted.
    #[error("interception may break calls of {connector} to {}: {}; {}", first(hosts), reason.explanation(), reason.remedy())]
    MayNotBeIntercepted { connector: String, reason: AvoidInterception, hosts: Vec<HostPattern> },
}

impl Warning {
    /// The client certificates that are at their end `now`, or soon will be.
    pub fn of_client_certificates(tls: &TlsSettings, now: SystemTime) -> Vec<Self> {
        let shown = tls.hosts.iter().filter_map(|entry| entry.options.client_certificate.as_ref());
        shown.filter_map(|certificate| Self::of_client_certificate(certificate, now)).collect()
    }

    fn of_client_certificate(certificate: &ClientCertificate, now: SystemTime) -> Option<Self> {
        let end = certificate.not_after();
        let file = certificate.file().to_owned();
        let at = Timestamp::try_from(end).unwrap_or(Timestamp::MAX);
        if end < now {
            return Some(Self::ClientCertificateExpired { file, at });
        }
        (end < now + CLIENT_CERTIFICATE_NOTICE).then_some(Self::ClientCertificateExpires { file, until: at })
    }
}

fn listed(hosts: &[HostPattern]) -> String {
    hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The first hosts, and how many more there are.
fn first(hosts: &[HostPattern]) -> String {
    let shown = listed(hosts.get(..HOSTS_SHOWN).unwrap_or(hosts));
    match hosts.len().saturating_sub(HOSTS_SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
