//! The arguments of `tollgate run` and `tollgate check`: the configuration file and what overrides it.

use std::path::PathBuf;

use clap::Args;

use crate::config::Overrides;

pub(super) const RUN_EXAMPLES: &str = "\
Flags override the configuration file. Paths in the file are relative to the file, paths in flags
to the working directory. Without a policy nothing is refused and every verdict is recorded.

Examples:
  tollgate run
  tollgate run --policy policy.yml --enforce
  tollgate run --allow-host hooks.slack.com --allow-host '*.service-now.com'
  tollgate run --listen 10.0.0.5:3128 --admin 127.0.0.1:3129 --data-dir /var/lib/tollgate
  tollgate run --tunnel-host mtls.example.com --upstream-ca internal-ca.pem --allow-address 10.1.0.0/16";

pub(super) const CHECK_EXAMPLES: &str = "\
Examples:
  tollgate check --config /etc/tollgate/tollgate.yml
  tollgate check --config tollgate.yml --json
  tollgate check --policy policy.yml --enforce";

/// Settings of a run: the configuration file and what overrides it.
#[derive(Args, Clone, Debug, Default)]
pub struct SettingsArgs {
    /// Configuration file; without one, embedded defaults
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Listen here, not on the file's listeners; repeatable [default: 127.0.0.1:3128]
    #[arg(long, value_name = "ADDR")]
    listen: Vec<String>,
    /// Address of metrics, health and console [default: none]
    #[arg(long, value_name = "ADDR")]
    admin: Option<String>,
    /// Where journal, audit files and keys are kept [default: tollgate-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Interception CA certificate, PEM [default: certs/ca.pem]
    #[arg(long, value_name = "FILE")]
    ca_cert: Option<PathBuf>,
    /// Interception CA key, PEM [default: certs/ca.key]
    #[arg(long, value_name = "FILE")]
    ca_key: Option<PathBuf>,
    /// CA to trust for upstreams beside the system's roots; repeatable
    #[arg(long, value_name = "FILE")]
    upstream_ca: Vec<PathBuf>,
    /// Policy file, instead of the configuration's policy
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Refuse what the policy does not allow, whatever mode it has
    #[arg(long)]
    enforce: bool,
    /// Enforce: allow this host, `*.suffix` or `host:port` and no other; repeatable
    #[arg(long, value_name = "PATTERN")]
    allow_host: Vec<String>,
    /// Host that is never intercepted; repeatable
    #[arg(long, value_name = "PATTERN")]
    tunnel_host: Vec<String>,
    /// Network that may be dialled although private, loopback, ..; repeatable
    #[arg(long, value_name = "CIDR")]
    allow_address: Vec<String>,
    /// Use this address for a name instead of asking DNS; repeatable
    #[arg(long, value_name = "HOST=ADDR")]
    resolve: Vec<String>,
    /// `fsync`: evidence survives power loss; `interval`: most; `write`: only a crash [default: fsync]
    #[arg(long, value_name = "LEVEL")]
    durability: Option<String>,
    /// Worker threads [default: number of CPUs]
    #[arg(long, value_name = "N")]
    threads: Option<u64>,
}

impl SettingsArgs {
    /// The flags, as the configuration takes them.
    pub fn overrides(&self) -> Overrides {
        let Self { config: _, listen, admin, data_dir, ca_cert, ca_key, upstream_ca, policy, .. } = self.clone();
        let Self { enforce, allow_host, tunnel_host, allow_address, resolve, durability, threads, .. } = self.clone();
        Overrides {
            listen,
            admin,
            data_dir,
            ca_cert,
            ca_key,
            upstream_ca,
            policy,
            enforce,
            allow_host,
            tunnel_host,
            allow_address,
            resolve,
            durability,
            threads,
        }
    }
}

/// `tollgate check`
#[derive(Args, Debug)]
pub struct CheckArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
