//! The flags of `tollgate doctor`.

use std::path::PathBuf;

use clap::Args;

use super::SettingsArgs;
use crate::kibana::Version;

pub(super) const EXAMPLES: &str = "\
Takes the flags of the `run` it is about. It changes nothing; it connects to Tollgate's own listeners,
which leaves a row (user_agent tollgate-doctor), asks for the names of the policy, and calls nobody.
The event log is an export of .kibana-event-log-*: NDJSON, or the response of a search.

Examples:
  tollgate doctor --config /etc/tollgate/tollgate.yml --kibana-version 8.19
  tollgate doctor --listen 127.0.0.1:3128 --data-dir tollgate-data --json
  tollgate doctor --data-dir /var/lib/tollgate --kibana-version 9.1 --event-log executions.ndjson

Exit codes: 0 nothing failed, 1 a check failed, 64 wrong command line, 74 output error.";

/// `tollgate doctor`
#[derive(Args, Debug)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Version of Kibana, 9.4.2 or 9.4: what of its traffic bypasses the proxy
    #[arg(long, value_name = "X")]
    pub kibana_version: Option<Version>,
    /// Export of Kibana's event log: which executions have no row
    #[arg(long, value_name = "FILE")]
    pub event_log: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
