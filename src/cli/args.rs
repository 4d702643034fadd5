//! The command line: which subcommands and flags there are. Their names are a contract, other tools call them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use uuid::Uuid;

use super::retention::RetentionCommand;
use crate::config::Overrides;
use crate::record::Decision;
use crate::search::HostFilter;
use crate::search::time::{self, TimeError};

/// Outbound proxy for Kibana connectors: judges every call and keeps evidence of it in Parquet.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  tollgate run                                   observe everything on 127.0.0.1:3128
  tollgate run --allow-host hooks.slack.com      enforce: this host and nothing else
  tollgate run --config /etc/tollgate/tollgate.yml
  tollgate check --config tollgate.yml           all problems at once, or what would run
  tollgate records --decision deny --since 1h    what was refused in the last hour
  tollgate verify                                whether the evidence is what was signed

Exit codes: 0 success, 1 failure while running, 64 wrong command line, 74 input or output error,
78 configuration error.";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the proxy until SIGTERM or SIGINT; SIGHUP reloads the policy
    #[command(after_help = RUN_EXAMPLES)]
    Run(SettingsArgs),
    /// Check a configuration: print every problem, or what would run
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Show recorded calls, newest first, from a running or stopped proxy's data directory
    #[command(after_help = RECORDS_EXAMPLES)]
    Records(RecordsArgs),
    /// Verify that the evidence is complete and as it was signed, on the spot or in a copy
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(VerifyArgs),
    /// Write one row with the proof that it is the one that was signed
    #[command(after_help = PROVE_EXAMPLES)]
    Prove(ProveArgs),
    /// Change the key that signs the evidence
    #[command(name = "manifest-key", subcommand)]
    ManifestKey(ManifestKeyCommand),
    /// Show, or do now, what compaction and retention would do to the evidence
    #[command(subcommand)]
    Retention(RetentionCommand),
    /// Print the kibana.yml lines, and how each Kibana version is told to trust the CA
    #[command(name = "kibana-config", after_help = KIBANA_EXAMPLES)]
    KibanaConfig(KibanaArgs),
    /// Show or export the interception CA's certificate
    #[command(subcommand)]
    Ca(CaCommand),
    /// Show which connectors are known, which one a URL is of, and their hosts
    #[command(subcommand)]
    Connectors(ConnectorsCommand),
}

const RUN_EXAMPLES: &str = "\
Flags override the configuration file. Paths in the file are relative to the file, paths in flags
to the working directory. Without a policy nothing is refused and every verdict is recorded.

Examples:
  tollgate run
  tollgate run --policy policy.yml --enforce
  tollgate run --allow-host hooks.slack.com --allow-host '*.service-now.com'
  tollgate run --listen 10.0.0.5:3128 --admin 127.0.0.1:3129 --data-dir /var/lib/tollgate
  tollgate run --tunnel-host mtls.example.com --upstream-ca internal-ca.pem --allow-address 10.1.0.0/16";

const CHECK_EXAMPLES: &str = "\
Examples:
  tollgate check --config /etc/tollgate/tollgate.yml
  tollgate check --config tollgate.yml --json
  tollgate check --policy policy.yml --enforce";

const RECORDS_EXAMPLES: &str = "\
T is RFC 3339 (2026-11-22T10:00:00Z), a date (2026-11-22) or a time ago (15m, 2h, 7d).

Examples:
  tollgate records
  tollgate records --deployment 5f2a9c --since 2h
  tollgate records --host '*.slack.com' --decision would_deny --limit 20
  tollgate records --since 2026-11-01 --json | jq .host";

const VERIFY_EXAMPLES: &str = "\
Reads audit, manifest and journal; needs neither the proxy nor a private key. A public key from
the verified directory itself shows accidents only: keep a copy of keys/manifest.pub elsewhere.
With --since and --until all signatures are checked, and the files that have rows of that time.

Examples:
  tollgate verify
  tollgate verify --data-dir /var/lib/tollgate --public-key /etc/tollgate/manifest.pub
  tollgate verify --copy backup --public-key manifest.pub --since 30d --json
  tollgate verify --public-key manifest.pub --anchor /mnt/anchors/tollgate.jsonl

Exit codes: 0 intact, 1 tampered, 2 incomplete (records are known to be lost), 64 wrong command
line or directory, 74 input or output error.";

const KIBANA_EXAMPLES: &str = "\
Examples:
  tollgate kibana-config
  tollgate kibana-config --config /etc/tollgate/tollgate.yml --proxy-host tollgate.internal
  tollgate kibana-config --json";

/// Settings of a run: the configuration file and what overrides it.
#[derive(Args, Clone, Debug, Default)]
pub struct SettingsArgs {
    /// Configuration file; without one, embedded defaults
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Listen here, not on the file's listeners; repeatable [default: 127.0.0.1:3128]
    #[arg(long, value_name = "ADDR")]
    listen: Vec<String>,
    /// Address of metrics, health and console [default: none]
    #[arg(long, value_name = "ADDR")]
    admin: Option<String>,
    /// Where journal, audit files and keys are kept [default: tollgate-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Interception CA certificate, PEM [default: certs/ca.pem]
    #[arg(long, value_name = "FILE")]
    ca_cert: Option<PathBuf>,
    /// Interception CA key, PEM [default: certs/ca.key]
    #[arg(long, value_name = "FILE")]
    ca_key: Option<PathBuf>,
    /// CA to trust for upstreams beside the system's roots; repeatable
    #[arg(long, value_name = "FILE")]
    upstream_ca: Vec<PathBuf>,
    /// Policy file, instead of the configuration's policy
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Refuse what the policy does not allow, whatever mode it has
    #[arg(long)]
    enforce: bool,
    /// Enforce: allow this host, `*.suffix` or `host:port` and no other; repeatable
    #[arg(long, value_name = "PATTERN")]
    allow_host: Vec<String>,
    /// Host that is never intercepted; repeatable
    #[arg(long, value_name = "PATTERN")]
    tunnel_host: Vec<String>,
    /// Network that may be dialled although private, loopback, ..; repeatable
    #[arg(long, value_name = "CIDR")]
    allow_address: Vec<String>,
    /// Use this address for a name instead of asking DNS; repeatable
    #[arg(long, value_name = "HOST=ADDR")]
    resolve: Vec<String>,
    /// `fsync`: evidence survives power loss; `interval`: most; `write`: only a crash [default: fsync]
    #[arg(long, value_name = "LEVEL")]
    durability: Option<String>,
    /// Worker threads [default: number of CPUs]
    #[arg(long, value_name = "N")]
    threads: Option<u64>,
}

impl SettingsArgs {
    /// The flags, as the configuration takes them.
    pub fn overrides(&self) -> Overrides {
        let Self { config: _, listen, admin, data_dir, ca_cert, ca_key, upstream_ca, policy, .. } = self.clone();
        let Self { enforce, allow_host, tunnel_host, allow_address, resolve, durability, threads, .. } = self.clone();
        Overrides {
            listen,
            admin,
            data_dir,
            ca_cert,
            ca_key,
            upstream_ca,
            policy,
            enforce,
            allow_host,
            tunnel_host,
            allow_address,
            resolve,
            durability,
            threads,
        }
    }
}

/// `tollgate check`
#[derive(Args, Debug)]
pub struct CheckArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `tollgate records`
#[derive(Args, Debug)]
pub struct RecordsArgs {
    /// Data directory of the proxy
    #[arg(long, value_name = "DIR", default_value = "tollgate-data")]
    pub data_dir: PathBuf,
    /// Calls of this deployment
    #[arg(long, value_name = "ID")]
    pub deployment: Option<String>,
    /// Calls of this project
    #[arg(long, value_name = "ID")]
    pub project: Option<String>,
    /// Calls to this host, or to the names below `*.suffix`
    #[arg(long, value_name = "PATTERN")]
    pub host: Option<HostFilter>,
    /// Calls with this verdict
    #[arg(long, value_name = "allow|deny|would_deny", value_parser = parse_decision)]
    pub decision: Option<Decision>,
    /// Calls that began at or after this time
    #[arg(long, value_name = "T", value_parser = parse_time_us)]
    pub since: Option<i64>,
    /// Calls that began before this time
    #[arg(long, value_name = "T", value_parser = parse_time_us)]
    pub until: Option<i64>,
    /// At most this many, the newest
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: usize,
    /// Print one JSON object a line, with every column
    #[arg(long)]
    pub json: bool,
}

/// `tollgate verify`
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// Data directory of the proxy
    #[arg(long, value_name = "DIR", default_value = "tollgate-data")]
    pub data_dir: PathBuf,
    /// A copy of a data directory, instead of one in use
    #[arg(long, value_name = "DIR", conflicts_with = "data_dir")]
    pub copy: Option<PathBuf>,
    /// Public key that signatures are checked with [default: keys/manifest.pub in the directory]
    #[arg(long, value_name = "FILE")]
    pub public_key: Option<PathBuf>,
    /// Anchors of the chain from elsewhere, which it must contain
    #[arg(long, value_name = "FILE")]
    pub anchor: Option<PathBuf>,
    /// Check a bundle of `tollgate prove` and nothing else
    #[arg(long, value_name = "FILE", requires = "public_key", conflicts_with_all = ["data_dir", "copy", "anchor", "since", "until"])]
    pub bundle: Option<PathBuf>,
    /// Files with calls that began at or after this time
    #[arg(long, value_name = "T", value_parser = parse_time_us)]
    pub since: Option<i64>,
    /// Files with calls that began before this time
    #[arg(long, value_name = "T", value_parser = parse_time_us)]
    pub until: Option<i64>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

fn parse_decision(code: &str) -> Result<Decision, String> {
    Decision::from_code(code).ok_or_else(|| "it is one of allow, deny, would_deny".to_owned())
}

/// Microseconds since the Unix epoch; times ago are counted from the parsing of the command line.
fn parse_time_us(text: &str) -> Result<i64, TimeError> {
    time::parse(text, jiff::Timestamp::now().as_microsecond())
}

const PROVE_EXAMPLES: &str = "\
The bundle has the row, its place in the file that was signed, and the signed entry. Whoever gets
it needs the public key of the chain and nothing else. With --anchor it leads on to an anchored
head, which shows that it was signed before that head was anchored.

Examples:
  tollgate prove --event-id 019ac1d2-7f3e-7c41-9d2b-3f5a6b7c8d9e --out row.json
  tollgate verify --bundle row.json --public-key manifest.pub";

/// `tollgate prove`
#[derive(Args, Debug)]
pub struct ProveArgs {
    /// The row's `event_id`
    #[arg(long, value_name = "ID")]
    pub event_id: Uuid,
    /// Data directory of the proxy
    #[arg(long, value_name = "DIR", default_value = "tollgate-data")]
    pub data_dir: PathBuf,
    /// Lead on to a head anchored in this file
    #[arg(long, value_name = "FILE")]
    pub anchor: Option<PathBuf>,
    /// Write to this new file instead of stdout
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

const ROTATE_EXAMPLES: &str = "\
The old key signs for the new one in the chain, and everything after that is signed with the new
one. A verifier with either public key believes both. Stop the proxy first.

Examples:
  tollgate manifest-key rotate --data-dir /var/lib/tollgate";

/// `tollgate manifest-key`
#[derive(Debug, Subcommand)]
pub enum ManifestKeyCommand {
    /// Make a new key and hand over to it in the chain
    #[command(after_help = ROTATE_EXAMPLES)]
    Rotate(RotateArgs),
}

/// `tollgate manifest-key rotate`
#[derive(Args, Debug)]
pub struct RotateArgs {
    /// Data directory of the stopped proxy
    #[arg(long, value_name = "DIR", default_value = "tollgate-data")]
    pub data_dir: PathBuf,
}

/// `tollgate kibana-config`
#[derive(Args, Debug)]
pub struct KibanaArgs {
    /// Configuration file of the proxy
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Host name or address at which Kibana reaches the proxy [default: the listener's address]
    #[arg(long, value_name = "HOST")]
    pub proxy_host: Option<String>,
    /// Path of the CA certificate on the Kibana machine [default: its path here]
    #[arg(long, value_name = "FILE")]
    pub ca_cert: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `tollgate ca`
#[derive(Debug, Subcommand)]
pub enum CaCommand {
    /// Print subject, fingerprint, validity, path and key permissions
    Show(CaArgs),
    /// Print the certificate as PEM; never the key
    Export(CaExportArgs),
}

/// Which CA.
#[derive(Args, Debug)]
pub struct CaArgs {
    /// Configuration file that names the CA
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// CA certificate, PEM, instead of the configuration's [default: certs/ca.pem]
    #[arg(long, value_name = "FILE", requires = "ca_key")]
    pub ca_cert: Option<PathBuf>,
    /// CA key, PEM, instead of the configuration's [default: certs/ca.key]
    #[arg(long, value_name = "FILE", requires = "ca_cert")]
    pub ca_key: Option<PathBuf>,
}

/// `tollgate ca export`
#[derive(Args, Debug)]
pub struct CaExportArgs {
    #[command(flatten)]
    pub ca: CaArgs,
    /// Write to this new file instead of stdout
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

const CONNECTORS_MATCH_EXAMPLES: &str = "\
Nothing is called. A URL on the command line can be seen by other users of the machine and stays in
the shell's history: replace its secret by any other text, the result is the same.

Examples:
  tollgate connectors match https://hooks.slack.com/services/T0/B0/x
  tollgate connectors match https://hive.internal/api/v1/case --header X-Organisation
  tollgate connectors match https://mail.internal:587 --tunnel";

/// `tollgate connectors`
#[derive(Debug, Subcommand)]
pub enum ConnectorsCommand {
    /// List the connector types and their hosts
    List(ConnectorsListArgs),
    /// Print the connector a URL is of, and its path and query as they are stored
    #[command(after_help = CONNECTORS_MATCH_EXAMPLES)]
    Match(ConnectorsMatchArgs),
    /// Print the hosts of a connector type, one a line, as a policy takes them
    Hosts(ConnectorsHostsArgs),
}

/// `tollgate connectors list`
#[derive(Args, Debug)]
pub struct ConnectorsListArgs {
    /// Configuration file that names a `connectors_file`
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Print the Markdown of docs/connectors.md
    #[arg(long, conflicts_with = "json")]
    pub markdown: bool,
}

/// `tollgate connectors match`
#[derive(Args, Debug)]
pub struct ConnectorsMatchArgs {
    /// URL of the call
    #[arg(value_name = "URL")]
    pub url: http::Uri,
    /// Method of the call
    #[arg(long, value_name = "METHOD", default_value = "POST")]
    pub method: http::Method,
    /// Name of a header field of the call; repeatable
    #[arg(long, value_name = "NAME")]
    pub header: Vec<http::HeaderName>,
    /// The call passes as a tunnel: only host and port are seen
    #[arg(long)]
    pub tunnel: bool,
    /// Configuration file that names a `connectors_file`
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `tollgate connectors hosts`
#[derive(Args, Debug)]
pub struct ConnectorsHostsArgs {
    /// Connector type, e.g. .bedrock
    #[arg(value_name = "TYPE")]
    pub connector: String,
    /// Configuration file that names a `connectors_file`
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}
