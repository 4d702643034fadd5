//! The command line of the bench.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::scenario::Scenario;

/// Tollgate and other proxies end to end, side by side
#[derive(Debug, Parser)]
#[command(name = "peers", max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) mode: Mode,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Mode {
    /// Every scenario with every proxy that is installed: cost, latency, throughput, memory
    Compare(CompareArgs),
}

/// What all modes take.
#[derive(Args, Clone, Debug)]
pub(crate) struct Common {
    /// CPUs of the load and the origin [default: the first]
    #[arg(long, value_name = "N,..", value_delimiter = ',')]
    pub(crate) load_cpus: Option<Vec<usize>>,
    /// CPUs of the proxy, and how many worker threads it gets [default: the last]
    #[arg(long, value_name = "N,..", value_delimiter = ',')]
    pub(crate) proxy_cpus: Option<Vec<usize>>,
    /// Clients resume TLS sessions; without this they never do
    #[arg(long)]
    pub(crate) resume: bool,
    /// The origin issues no session tickets: proxies cannot resume either
    #[arg(long)]
    pub(crate) no_origin_tickets: bool,
    /// Where proxies keep their files, logs and evidence included; a real disk
    #[arg(long, value_name = "DIR", default_value = env!("CARGO_TARGET_TMPDIR"))]
    pub(crate) work_dir: PathBuf,
    /// Print JSON instead of tables
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct CompareArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Only these scenarios
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    pub(crate) scenario: Vec<Scenario>,
    /// Only these proxies, e.g. tollgate,haproxy
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    pub(crate) peer: Vec<String>,
    /// Rounds; each measures every proxy once, in an order that rotates. Results are medians
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Length of one measurement
    #[arg(long, value_name = "S", default_value_t = 3.0)]
    pub(crate) seconds: f64,
    /// Ends a measurement earlier
    #[arg(long, value_name = "N", default_value_t = u64::MAX)]
    pub(crate) requests: u64,
}
