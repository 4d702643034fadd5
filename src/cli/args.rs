//! The command line: which subcommands and flags there are. Their names are a contract, other tools call them.

mod ca;
mod connectors;
mod doctor;
mod evidence;
mod keys;
mod kibana;
mod records;
mod retention;
mod settings;

use clap::{Parser, Subcommand};

pub(super) use ca::{CaArgs, CaCommand, CaExportArgs};
pub(super) use connectors::{ConnectorsCommand, ConnectorsHostsArgs, ConnectorsListArgs, ConnectorsMatchArgs};
pub(super) use doctor::DoctorArgs;
pub(super) use evidence::{ProveArgs, VerifyArgs};
pub(super) use keys::{FingerprintKeyCommand, ManifestKeyCommand, RotateArgs};
pub(super) use kibana::{KibanaArgs, KibanaFormat};
pub(super) use records::RecordsArgs;
pub(super) use retention::{PlaceArgs, RetentionApplyArgs, RetentionCommand};
pub(super) use settings::{CheckArgs, SettingsArgs};

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
    #[command(after_help = settings::RUN_EXAMPLES)]
    Run(SettingsArgs),
    /// Check a configuration: print every problem, or what would run
    #[command(after_help = settings::CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Show recorded calls, newest first, from a running or stopped proxy's data directory
    #[command(after_help = records::EXAMPLES)]
    Records(RecordsArgs),
    /// Verify that the evidence is complete and as it was signed, on the spot or in a copy
    #[command(after_help = evidence::VERIFY_EXAMPLES)]
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

/// Microseconds since the Unix epoch; times ago are counted from the parsing of the command line.
fn parse_time_us(text: &str) -> Result<i64, TimeError> {
    time::parse(text, jiff::Timestamp::now().as_microsecond())
}
