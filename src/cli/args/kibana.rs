//! The flags of `tollgate kibana-config`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::kibana::Version;

pub(super) const EXAMPLES: &str = "\
Examples:
  tollgate kibana-config --kibana-version 8.19
  tollgate kibana-config --config /etc/tollgate/tollgate.yml --proxy-url http://tollgate.internal:3128
  tollgate kibana-config --client kibana-lab --format keystore
  tollgate kibana-config --kibana-version 9.4.2 --format kubernetes";

/// `tollgate kibana-config`
#[derive(Args, Debug)]
pub struct KibanaArgs {
    /// Configuration file of the proxy
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Version of Kibana, 9.4.2 or 9.4 [default: what differs is said for all]
    #[arg(long, value_name = "X")]
    pub kibana_version: Option<Version>,
    /// URL at which Kibana reaches the proxy, without credentials [default: the listener's address]
    #[arg(long, value_name = "URL")]
    pub proxy_url: Option<http::Uri>,
    /// The configured client that this Kibana is
    #[arg(long, value_name = "NAME")]
    pub client: Option<String>,
    /// Path of the CA certificate on the Kibana machine [default: its path here]
    #[arg(long, value_name = "FILE")]
    pub ca_cert: Option<PathBuf>,
    /// What to print
    #[arg(long, value_enum, default_value_t = KibanaFormat::All, value_name = "FORMAT")]
    pub format: KibanaFormat,
    /// Print the values as JSON, whatever the format
    #[arg(long)]
    pub json: bool,
}

/// Where the printed lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KibanaFormat {
    KibanaYml,
    Keystore,
    Docker,
    Systemd,
    Kubernetes,
    /// Elastic Cloud Hosted and Enterprise
    Cloud,
    All,
}
