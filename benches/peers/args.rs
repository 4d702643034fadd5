//! The command line of the bench.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::scenario::Scenario;

/// Tollgate and other proxies end to end, side by side. Results are kept below the work directory
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
    /// What evidence costs: Tollgate with `fsync`, with `write` and without any, on the same calls
    Evidence(EvidenceArgs),
    /// Time of a Kibana-style call to an origin far away: direct, warm, cold
    Latency(LatencyArgs),
    /// Memory of idle tunnels and idle intercepted connections
    Idle(IdleArgs),
    /// Cost with more connections, more rules, more workers
    Scale(ScaleArgs),
    /// Mixed traffic at a share of saturation, for long: memory, descriptors and latency over time
    Soak(SoakArgs),
    /// Print what was measured last, or write docs/benchmarks.md from it
    Report(ReportArgs),
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
    #[command(flatten)]
    pub(crate) output: ReportArgs,
}

/// Where results are, and how they are shown.
#[derive(Args, Clone, Debug)]
pub(crate) struct ReportArgs {
    /// Where proxies keep their files, logs and evidence included, and results are kept; a real disk
    #[arg(long, value_name = "DIR", default_value = env!("CARGO_TARGET_TMPDIR"))]
    pub(crate) work_dir: PathBuf,
    /// Print JSON instead of tables
    #[arg(long)]
    pub(crate) json: bool,
    /// Write docs/benchmarks.md and its charts from the last results of every mode
    #[arg(long)]
    pub(crate) write_docs: bool,
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
    #[command(flatten)]
    pub(crate) extent: Extent,
}

/// How much is measured.
#[derive(Args, Clone, Debug)]
pub(crate) struct Extent {
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

#[derive(Args, Clone, Debug)]
pub(crate) struct EvidenceArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) extent: Extent,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct LatencyArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Calls of each kind
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub(crate) calls: u64,
    /// Delay in each direction
    #[arg(long, value_name = "MS", default_value_t = 20)]
    pub(crate) delay_ms: u64,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct IdleArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Only these proxies
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    pub(crate) peer: Vec<String>,
    /// Connections to open
    #[arg(long, value_name = "N", default_value_t = 2000)]
    pub(crate) connections: usize,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ScaleArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Numbers of connections
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_values_t = [1, 100, 1000, 10_000])]
    pub(crate) connections: Vec<usize>,
    /// Numbers of hosts in the policy
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_values_t = [10, 1000, 10_000, 100_000, 1_000_000])]
    pub(crate) rules: Vec<usize>,
    /// Length of one measurement
    #[arg(long, value_name = "S", default_value_t = 3.0)]
    pub(crate) seconds: f64,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct SoakArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Length of the run
    #[arg(long, value_name = "S", default_value_t = 600.0)]
    pub(crate) seconds: f64,
    /// Share of the calls a second that saturate it
    #[arg(long, value_name = "SHARE", default_value_t = 0.7)]
    pub(crate) load: f64,
    /// Length of the windows that are shown
    #[arg(long, value_name = "S", default_value_t = 5.0)]
    pub(crate) window: f64,
}
