//! The flags of `tollgate connectors`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

const CONNECTORS_MATCH_EXAMPLES: &str = "\
Nothing is called. A URL on the command line can be seen by other users of the machine and stays in
the shell's history: replace its secret by any other text, the result is the same.

Examples:
  tollgate connectors match https://hooks.slack.com/services/T0/B0/x
  tollgate connectors match https://hive.internal/api/v1/case --header X-Organisation
  tollgate connectors match https://mail.internal:587 --tunnel";

/// `tollgate connectors`
#[derive(Debug, Subcommand)]
pub enum ConnectorsCommand {
    /// List the connector types and their hosts
    List(ConnectorsListArgs),
    /// Print the connector a URL is of, and its path and query as they are stored
    #[command(after_help = CONNECTORS_MATCH_EXAMPLES)]
    Match(ConnectorsMatchArgs),
    /// Print the hosts that a policy's `connectors: [TYPE]` allows, one a line
    Hosts(ConnectorsHostsArgs),
}

/// `tollgate connectors list`
#[derive(Args, Debug)]
pub struct ConnectorsListArgs {
    /// Configuration file that names a `connectors_file`
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Print the Markdown of docs/connectors.md
    #[arg(long, conflicts_with = "json")]
    pub markdown: bool,
}

/// `tollgate connectors match`
#[derive(Args, Debug)]
pub struct ConnectorsMatchArgs {
    /// URL of the call
    #[arg(value_name = "URL")]
    pub url: http::Uri,
    /// Method of the call
    #[arg(long, value_name = "METHOD", default_value = "POST")]
    pub method: http::Method,
    /// Name of a header field of the call; repeatable
    #[arg(long, value_name = "NAME")]
    pub header: Vec<http::HeaderName>,
    /// The call passes as a tunnel: only host and port are seen
    #[arg(long)]
    pub tunnel: bool,
    /// Configuration file that names a `connectors_file`
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `tollgate connectors hosts`
#[derive(Args, Debug)]
pub struct ConnectorsHostsArgs {
    /// Connector type, e.g. .bedrock
    #[arg(value_name = "TYPE")]
    pub connector: String,
    /// Configuration file that names a `connectors_file`
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
