//! The arguments of `tollgate verify` and `tollgate prove`.

use std::path::PathBuf;

use clap::Args;
use uuid::Uuid;

use super::parse_time_us;

pub(super) const VERIFY_EXAMPLES: &str = "\
Reads audit, manifest and journal; needs neither the proxy nor a private key. A public key from
the verified directory itself shows accidents only: keep a copy of keys/manifest.pub elsewhere.
With --since and --until all signatures are checked, and the files that have rows of that time.
Of modified files the rows that are not as they were signed are named, after the verdict.

Examples:
  tollgate verify
  tollgate verify --data-dir /var/lib/tollgate --public-key /etc/tollgate/manifest.pub
  tollgate verify --copy backup --public-key manifest.pub --since 30d --json
  tollgate verify --public-key manifest.pub --anchor /mnt/anchors/tollgate.jsonl

Exit codes: 0 intact, 1 tampered, 2 incomplete (records are known to be lost), 64 wrong command
line or directory, 74 input or output error.";

pub(super) const PROVE_EXAMPLES: &str = "\
The bundle has the row, its place in the file that was signed, and the signed entry. Whoever gets
it needs the public key of the chain and nothing else. With --anchor it leads on to an anchored
head, which shows that it was signed before that head was anchored.

Examples:
  tollgate prove --event-id 019ac1d2-7f3e-7c41-9d2b-3f5a6b7c8d9e --out row.json
  tollgate verify --bundle row.json --public-key manifest.pub";

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
