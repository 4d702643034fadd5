//! `tollgate prove` and `tollgate manifest-key`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use uuid::Uuid;

pub(super) const PROVE_EXAMPLES: &str = "\
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
    Rotate(ManifestKeyRotateArgs),
}

/// `tollgate manifest-key rotate`
#[derive(Args, Debug)]
pub struct ManifestKeyRotateArgs {
    /// Data directory of the stopped proxy
    #[arg(long, value_name = "DIR", default_value = "tollgate-data")]
    pub data_dir: PathBuf,
}
