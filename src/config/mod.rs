//! The settings of one run, checked and typed: what every other module is given.
//!
//! Two stages: `file` holds the YAML as written, [`Config`] is what came of it after every value was checked. All
//! problems are reported at once, each with its place and its remedy. Nothing here opens a socket, makes a key or reads
//! the clock; the files read are the configuration, the policy, password files and client certificates.

mod check;
mod data_dir;
mod defaults;
mod file;
mod limits;
mod overrides;
mod problem;
mod setting;
mod unknown;
mod warning;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

pub use data_dir::DataDir;
pub use overrides::Overrides;
pub use problem::{ConfigError, Problem, ProblemKind, Sources};
pub use setting::{Origin, Place};
pub use warning::Warning;

use crate::archive::anchor::Sink;
use crate::archive::digest::Sha256;
use crate::archive::maintenance::Rules;
use crate::client::Clients;
use crate::connectors::Catalogue;
use crate::destination::{Destination, Host};
use crate::intercept::authority;
use crate::journal;
use crate::policy::{HostPattern, Policy};
use crate::upstream::TlsSettings;

/// Everything a run needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where clients connect; at least one.
    pub listeners: Vec<Listener>,
    /// Where metrics, health and the console are served; `None` serves them nowhere.
    pub admin: Option<SocketAddr>,
    /// Root of everything written at run time.
    pub data_dir: DataDir,
    /// Worker threads.
    pub threads: NonZeroUsize,
    /// Whether the process may leave core dumps, which hold keys and secrets.
    pub danger_core_dumps: bool,
    pub interception: Interception,
    pub upstream: Upstream,
    /// The policy as it was when the configuration was loaded.
    pub policy: Arc<Policy>,
    /// Where the policy came from, for people.
    pub policy_source: PolicySource,
    pub tunnel: TunnelRules,
    /// Kibana's connector types, and the operator's own.
    pub connectors: Arc<Catalogue>,
    pub clients: Clients,
    pub identity: Identity,
    pub audit: Audit,
    pub limits: Limits,
    pub log: Log,
    /// Of the text of the configuration file; `None` without one.
    pub file_sha256: Option<Sha256>,
    /// What weakens safety in these settings; to be logged at start.
    pub warnings: Vec<Warning>,
}

/// One address clients connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Unique; clients can be recognised by it.
    pub name: Arc<str>,
    /// Port 0 lets the operating system choose.
    pub address: SocketAddr,
    /// `Some` when the proxy itself is spoken to over TLS.
    pub tls: Option<ListenerTls>,
}

/// The certificate a TLS listener shows, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTls {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
}

/// How CONNECT tunnels are opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interception {
    /// The CA and its leaves.
    pub authority: authority::Settings,
    /// Leaf certificates kept for reuse.
    pub leaf_cache_entries: usize,
}

/// How upstreams are resolved, verified and reused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// TLS with all hosts, and with some.
    pub tls: TlsSettings,
    /// Addresses that may be dialled although their class is refused by default.
    pub allow_addresses: Vec<IpNet>,
    /// Host to the address used instead of asking DNS.
    pub resolve: HashMap<Host, Vec<IpAddr>>,
    /// Idle connections kept per destination and worker.
    pub pool_idle_per_destination_max: usize,
    /// Idle connections kept in all.
    pub pool_idle_max: usize,
    pub pool_idle_timeout: Duration,
    /// Whether a spare connection is opened when a call finds all of its destination in use.
    pub pool_spare: bool,
    pub dns_cache_ttl: Duration,
    /// Names whose addresses are kept.
    pub dns_cache_entries: usize,
    /// Names looked up at once; each occupies a thread.
    pub dns_in_flight_max: usize,
}

/// Where the policy came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicySource {
    /// No policy given: observe only.
    BuiltIn,
    /// The `policy` key of the configuration file.
    Inline(PathBuf),
    /// A policy file.
    File(PathBuf),
    /// `--allow-host`: enforced, and the file's policy is set aside.
    Flags,
}

/// What is relayed without being intercepted.
#[derive(Clone, Debug)]
pub struct TunnelRules {
    /// Destinations that pin certificates or want client certificates.
    pub hosts: Vec<HostPattern>,
    /// Ports of protocols in which the server speaks first.
    pub ports: Vec<u16>,
}

/// What is made of the ids that callers claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Destinations that are not told them: the fragment is taken out of the User-Agent.
    pub strip_elastic_fragment: Vec<HostPattern>,
    /// Whether a claim of a client that is bound to no id is refused.
    pub refuse_unbound_claims: bool,
}

impl Identity {
    /// Whether a destination is not told which deployment or project calls.
    pub fn hides_from(&self, destination: &Destination) -> bool {
        self.strip_elastic_fragment.iter().any(|pattern| pattern.matches(destination))
    }
}

/// How evidence is kept.
#[derive(Clone, Debug)]
pub struct Audit {
    pub journal: journal::Settings,
    /// How often sealed files are looked at.
    pub watch: Duration,
    /// Without a row for so long, the chain says that there was none.
    pub heartbeat: Duration,
    /// Where the head of the chain is anchored.
    pub anchors: Vec<Sink>,
    /// The least time between two anchors.
    pub anchor_every: Duration,
    /// What is kept, for how long, and when it is compacted.
    pub maintenance: Rules,
    /// Key of the keyed URL fingerprint; made when it does not exist.
    pub url_fingerprint_key_file: PathBuf,
    pub excerpts: Excerpts,
}

/// How much of bodies is kept, redacted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Excerpts {
    /// Of each request body, in octets; 0 for none.
    pub request_bytes_max: usize,
    /// Of each response body, in octets; 0 for none.
    pub response_bytes_max: usize,
}

/// Limits on what one client, or all of them, can make the process hold or wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request or response head.
    pub header_bytes_max: usize,
    /// Fields of a request or response head.
    pub header_fields_max: usize,
    /// Client connections in all.
    pub connections_max: usize,
    /// Client connections of one client identity or, without one, one address.
    pub connections_per_client_max: usize,
    /// Concurrent requests of one HTTP/2 connection.
    pub http2_streams_max: u32,
    /// For the first bytes of a connection or a tunnel.
    pub connect_wait: Duration,
    /// For a TLS handshake, on either side.
    pub handshake_timeout: Duration,
    /// For reaching an upstream: resolving, connecting and its TLS handshake.
    pub dial_timeout: Duration,
    /// For an upstream's response head.
    pub response_head_timeout: Duration,
    /// Without a byte in either direction on an established exchange or tunnel.
    pub idle_timeout: Duration,
    /// Between two requests of a client connection, and for a request body after its response has ended.
    pub keep_alive_timeout: Duration,
    /// For exchanges under way to end when the process stops.
    pub drain_timeout: Duration,
    /// For one DNS answer.
    pub dns_timeout: Duration,
}

/// What is written to stderr.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    pub format: LogFormat,
    /// A `tracing` filter, e.g. `info` or `tollgate=debug`.
    pub level: String,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Reads the configuration file, if one is named, applies the flags over it and checks the result. Loading again is
    /// how policy and connectors are reloaded: take them from the new value.
    ///
    /// # Errors
    /// Every problem found, in one [`ConfigError`].
    pub fn load(file: Option<&Path>, overrides: &Overrides) -> Result<Self, ConfigError> {
        let text = file.map_or_else(|| Ok(String::new()), file::read_text)?;
        Self::from_text(file, &text, overrides)
    }

    /// As [`Config::load`], but with the text of the file at `path` already read.
    fn from_text(path: Option<&Path>, text: &str, overrides: &Overrides) -> Result<Self, ConfigError> {
        let parsed = file::parse(path.unwrap_or(Path::new("")), text);
        let checked = parsed.and_then(|mut file| {
            overrides.apply(&mut file);
            check::check(file, path, text, overrides)
        });
        checked.map_err(|mut error| {
            error.sources.config = path.map(|_| Sha256::of(text.as_bytes()));
            error
        })
    }
}

#[cfg(test)]
mod tests;
