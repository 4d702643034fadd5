//! The arguments of `tollgate records`.

use std::path::PathBuf;

use clap::Args;

use super::parse_time_us;
use crate::record::Decision;
use crate::search::HostFilter;

pub(super) const EXAMPLES: &str = "\
T is RFC 3339 (2026-11-22T10:00:00Z), a date (2026-11-22) or a time ago (15m, 2h, 7d).

Examples:
  tollgate records
  tollgate records --deployment 5f2a9c --since 2h
  tollgate records --host '*.slack.com' --decision would_deny --limit 20
  tollgate records --since 2026-11-01 --json | jq .host
  tollgate records --url-stdin --since 30d < leaked-url.txt";

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

fn parse_decision(code: &str) -> Result<Decision, String> {
    Decision::from_code(code).ok_or_else(|| "it is one of allow, deny, would_deny".to_owned())
}
