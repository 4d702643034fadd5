//! The arguments of the commands that replace keys.

use std::path::PathBuf;

use clap::{Args, Subcommand};

const MANIFEST_KEY_HELP: &str = "\
The old key signs for the new one in the chain, and everything after that is signed with the new
one. A verifier with either public key believes both. The proxy must not be running.

Examples:
  tollgate manifest-key rotate --config /etc/tollgate/tollgate.yml
  tollgate manifest-key rotate --data-dir /var/lib/tollgate";

const FINGERPRINT_KEY_HELP: &str = "\
The proxy must not be running. The old key stays beside the new one, in url-fingerprint-<id>.key, so
that URLs recorded with it are still found; delete it when nothing of its time is to be found again.

Examples:
  tollgate fingerprint-key rotate --config /etc/tollgate/tollgate.yml
  tollgate fingerprint-key rotate --data-dir /var/lib/tollgate";

/// `tollgate manifest-key`
#[derive(Debug, Subcommand)]
pub enum ManifestKeyCommand {
    /// Make a new key and hand over to it in the chain
    #[command(after_help = MANIFEST_KEY_HELP)]
    Rotate(RotateArgs),
}

/// `tollgate fingerprint-key`
#[derive(Debug, Subcommand)]
pub enum FingerprintKeyCommand {
    /// Make a new key; the old one is kept for looking URLs up
    #[command(after_help = FINGERPRINT_KEY_HELP)]
    Rotate(RotateArgs),
}

/// Whose key to replace.
#[derive(Args, Debug)]
pub struct RotateArgs {
    /// Configuration file that names the data directory and the key
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Data directory of the stopped proxy, instead of the configuration's [default: tollgate-data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}
