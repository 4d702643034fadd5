//! The arguments of `tollgate retention`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `tollgate retention`
#[derive(Debug, Subcommand)]
pub enum RetentionCommand {
    /// Show what would be removed, held and compacted, by day; changes nothing
    #[command(after_help = PLAN_EXAMPLES)]
    Plan(RetentionPlanArgs),
    /// Do it now; the proxy must not be running
    #[command(after_help = APPLY_EXAMPLES)]
    Apply(RetentionApplyArgs),
}

const PLAN_EXAMPLES: &str = "\
Examples:
  tollgate retention plan --config /etc/tollgate/tollgate.yml
  tollgate retention plan --data-dir /var/lib/tollgate --json";

const APPLY_EXAMPLES: &str = "\
A running proxy does the same by itself. Interrupted at any moment, it is completed by the next
apply or the next start. Exit code 1 if a day could not be worked on; nothing is lost.

Examples:
  tollgate retention apply --config /etc/tollgate/tollgate.yml
  tollgate retention apply --config /etc/tollgate/tollgate.yml --yes --json";

/// Which evidence, and under what rules.
#[derive(Args, Debug)]
pub struct PlaceArgs {
    /// Configuration file with audit.keep_days, audit.legal_holds and audit.compact_*
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Data directory of the proxy [default: the configuration's]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `tollgate retention plan`
#[derive(Args, Debug)]
pub struct RetentionPlanArgs {
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// `tollgate retention apply`
#[derive(Args, Debug)]
pub struct RetentionApplyArgs {
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Believe the clock even if the chain does not bear it out: after a long stop, when it is right
    #[arg(long)]
    pub yes: bool,
}
