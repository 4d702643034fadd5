//! The command line: which subcommands and flags there are. Their names are a contract, other tools call them.

mod connectors;
mod doctor;
mod evidence;
mod keys;
mod kibana;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(super) use connectors::{ConnectorsCommand, ConnectorsHostsArgs, ConnectorsListArgs, ConnectorsMatchArgs};
pub(super) use doctor::DoctorArgs;
pub(super) use evidence::ProveArgs;
pub(super) use keys::{FingerprintKeyCommand, ManifestKeyCommand, RotateArgs};
pub(super) use kibana::{KibanaArgs, KibanaFormat};

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
  tollgate doctor                                why calls fail or are not seen
  tollgate verify                                whether the evidence is what was signed

Exit codes: 0 success, 1 failure while running, 64 wrong command line, 74 input or output error,
78 configuration error.";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the proxy until SIGTERM or SIGINT; SIGHUP reloads policy and connectors
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
    #[command(after_help = evidence::PROVE_EXAMPLES)]
    Prove(ProveArgs),
    /// Change the key that signs the evidence
    #[command(name = "manifest-key", subcommand)]
    ManifestKey(ManifestKeyCommand),
    /// Show, or do now, what compaction and retention would do to the evidence
    #[command(subcommand)]
    Retention(RetentionCommand),
    /// Find out why calls fail or are not seen: settings, certificates, listeners, disk, Kibana
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(DoctorArgs),
    /// Print what goes into kibana.yml, its keystore and its environment, by version of Kibana
    #[command(name = "kibana-config", after_help = kibana::EXAMPLES)]
    KibanaConfig(KibanaArgs),
    /// Show or export the interception CA's certificate
    #[command(subcommand)]
    Ca(CaCommand),
    /// Rotate the key of the URL fingerprints
    #[command(name = "fingerprint-key", subcommand)]
    FingerprintKey(FingerprintKeyCommand),
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
  tollgate records --since 2026-11-01 --json | jq .host
  tollgate records --url-stdin --since 30d < leaked-url.txt";

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
    /// Calls of the URLs on stdin, one a line; none is printed
    #[arg(long)]
    pub url_stdin: bool,
    /// Key for --url-stdin [default: keys/url-fingerprint.key]
    #[arg(long, value_name = "FILE", requires = "url_stdin")]
    pub fingerprint_key: Option<PathBuf>,
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
