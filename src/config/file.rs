//! The configuration file as written: which keys there are, and nothing about what they may hold.
//!
//! Every key is optional, every unknown key is an error. Values are strings and numbers here; `check` gives them types.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::client::ClientSettings;

use super::problem::{ConfigError, Problem, ProblemKind};
use super::setting::{Place, Setting};
use super::unknown::unknown_keys;

/// A larger configuration file is a mistake.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A key that may be absent.
pub(super) type Key<T> = Option<Setting<T>>;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ConfigFile {
    pub(super) listeners: Key<Vec<ListenerFile>>,
    pub(super) admin: Key<String>,
    pub(super) data_dir: Key<PathBuf>,
    pub(super) threads: Key<u64>,
    pub(super) danger_core_dumps: bool,
    pub(super) interception: InterceptionFile,
    pub(super) upstream: UpstreamFile,
    pub(super) policy_file: Key<PathBuf>,
    /// The policy reads its own text, so that its errors have places too; this is what the text must mean.
    pub(super) policy: Key<serde_json::Value>,
    pub(super) tunnel_hosts: Vec<Setting<String>>,
    pub(super) tunnel_ports: Key<Vec<Setting<u64>>>,
    pub(super) connectors_file: Key<PathBuf>,
    pub(super) clients: Vec<Setting<ClientSettings>>,
    pub(super) identity: IdentityFile,
    pub(super) audit: AuditFile,
    pub(super) limits: LimitsFile,
    pub(super) log: LogFile,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ListenerFile {
    pub(super) name: Key<String>,
    pub(super) address: Key<String>,
    pub(super) tls: Key<ListenerTlsFile>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ListenerTlsFile {
    pub(super) cert_file: Key<PathBuf>,
    pub(super) key_file: Key<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct InterceptionFile {
    pub(super) ca_cert_file: Key<PathBuf>,
    pub(super) ca_key_file: Key<PathBuf>,
    pub(super) leaf_cache_entries: Key<u64>,
    pub(super) leaf_valid_days: Key<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct UpstreamFile {
    pub(super) ca_files: Vec<Setting<PathBuf>>,
    pub(super) system_roots: Option<bool>,
    pub(super) tls_min: Key<String>,
    pub(super) hosts: Key<Vec<Setting<UpstreamHostFile>>>,
    pub(super) allow_addresses: Vec<Setting<String>>,
    pub(super) resolve: BTreeMap<String, Setting<String>>,
    pub(super) pool_idle_per_destination_max: Key<u64>,
    pub(super) pool_idle_max: Key<u64>,
    pub(super) pool_idle_timeout_s: Key<u64>,
    pub(super) pool_spare: Option<bool>,
    pub(super) dns_cache_ttl_s: Key<u64>,
    pub(super) dns_cache_entries: Key<u64>,
    pub(super) dns_in_flight_max: Key<u64>,
}

/// TLS with some hosts. What is not given is as in [`UpstreamFile`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct UpstreamHostFile {
    pub(super) hosts: Vec<Setting<String>>,
    pub(super) ca_files: Key<Vec<Setting<PathBuf>>>,
    pub(super) system_roots: Key<bool>,
    pub(super) tls_min: Key<String>,
    pub(super) client_cert: Key<ClientCertFile>,
    pub(super) danger_skip_verify: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ClientCertFile {
    pub(super) cert_file: Key<PathBuf>,
    pub(super) key_file: Key<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct IdentityFile {
    pub(super) strip_elastic_fragment: Vec<Setting<String>>,
    pub(super) refuse_unbound_claims: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AuditFile {
    pub(super) durability: Key<String>,
    pub(super) sync_interval_ms: Key<u64>,
    pub(super) on_failure: Key<String>,
    pub(super) seal_after_s: Key<u64>,
    pub(super) segment_bytes_max: Key<u64>,
    pub(super) commit_gap_us: Key<u64>,
    pub(super) wait_max_ms: Key<u64>,
    pub(super) backlog_frames_max: Key<u64>,
    pub(super) free_bytes_min: Key<u64>,
    pub(super) watch_s: Key<u64>,
    pub(super) heartbeat_s: Key<u64>,
    pub(super) anchors: Vec<Setting<AnchorFile>>,
    pub(super) anchor_every_s: Key<u64>,
    pub(super) keep_days: Key<u64>,
    pub(super) legal_holds: Vec<Setting<LegalHoldFile>>,
    pub(super) compact_after_s: Key<u64>,
    pub(super) compact_rows_max: Key<u64>,
    pub(super) compact_bytes_max: Key<u64>,
    pub(super) maintenance_every_s: Key<u64>,
    pub(super) url_fingerprint_key_file: Key<PathBuf>,
    pub(super) excerpts: ExcerptsFile,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ExcerptsFile {
    pub(super) request_bytes: Key<u64>,
    pub(super) response_bytes: Key<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LegalHoldFile {
    pub(super) name: Key<String>,
    pub(super) deployment: Key<String>,
    pub(super) project: Key<String>,
    pub(super) host: Key<String>,
    pub(super) since: Key<String>,
    pub(super) until: Key<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AnchorFile {
    pub(super) file: Key<PathBuf>,
    pub(super) syslog: Key<PathBuf>,
    pub(super) command: Key<Vec<String>>,
    pub(super) timeout_s: Key<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsFile {
    pub(super) header_bytes_max: Key<u64>,
    pub(super) header_fields_max: Key<u64>,
    pub(super) connections_max: Key<u64>,
    pub(super) connections_per_client_max: Key<u64>,
    pub(super) http2_streams_max: Key<u64>,
    pub(super) connect_wait_s: Key<u64>,
    pub(super) handshake_timeout_s: Key<u64>,
    pub(super) dial_timeout_s: Key<u64>,
    pub(super) response_head_timeout_s: Key<u64>,
    pub(super) idle_timeout_s: Key<u64>,
    pub(super) keep_alive_timeout_s: Key<u64>,
    pub(super) drain_timeout_s: Key<u64>,
    pub(super) dns_timeout_s: Key<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LogFile {
    pub(super) format: Key<String>,
    pub(super) level: Key<String>,
}

/// Parses the text of the file at `path`; an empty text is a file without keys.
///
/// # Errors
/// All unknown keys, or the first place where the text is not the YAML of a [`ConfigFile`].
pub(super) fn parse(path: &Path, text: &str) -> Result<ConfigFile, ConfigError> {
    let problems = unknown_keys(path, text);
    if !problems.is_empty() {
        return Err(ConfigError { problems, sources: Box::default() });
    }
    let options = serde_saphyr::options! { with_snippet: false };
    let parsed = serde_saphyr::from_str_with_options::<Option<ConfigFile>>(text, options);
    parsed.map(Option::unwrap_or_default).map_err(|error| Problem::from_yaml(path, &error).into())
}

/// Reads the file's text.
///
/// # Errors
/// One problem: the file cannot be read, or is too large.
pub(super) fn read_text(path: &Path) -> Result<String, ConfigError> {
    let place = || Place::WholeFile(path.to_owned());
    let unreadable = |source: std::io::Error| Problem { place: place(), kind: ProblemKind::Unreadable { source } };
    let mut text = String::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(Problem { place: place(), kind: ProblemKind::FileTooLarge { bytes_max: FILE_BYTES_MAX } }.into());
    }
    Ok(text)
}
