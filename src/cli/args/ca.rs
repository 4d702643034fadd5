//! The arguments of `tollgate ca`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `tollgate ca`
#[derive(Debug, Subcommand)]
pub enum CaCommand {
    /// Print subject, fingerprint, validity, path and key permissions
    Show(CaArgs),
    /// Print the certificate as PEM; never the key
    Export(CaExportArgs),
}

/// Which CA.
#[derive(Args, Debug)]
pub struct CaArgs {
    /// Configuration file that names the CA
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// CA certificate, PEM, instead of the configuration's [default: certs/ca.pem]
    #[arg(long, value_name = "FILE", requires = "ca_key")]
    pub ca_cert: Option<PathBuf>,
    /// CA key, PEM, instead of the configuration's [default: certs/ca.key]
    #[arg(long, value_name = "FILE", requires = "ca_cert")]
    pub ca_key: Option<PathBuf>,
}

/// `tollgate ca export`
#[derive(Args, Debug)]
pub struct CaExportArgs {
    #[command(flatten)]
    pub ca: CaArgs,
    /// Write to this new file instead of stdout
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}
