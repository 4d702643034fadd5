//! The arguments of `tollgate prove`.

use std::path::PathBuf;

use clap::Args;
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
