//! The command line: one module a subcommand, and the one place where errors become exit codes.

mod args;
mod banner;
mod ca;
mod check;
mod connectors;
mod doctor;
mod error;
mod fingerprint_key;
mod kibana;
mod log;
mod lookup;
mod manifest_key;
mod progress;
mod prove;
mod records;
mod retention;
mod run;
mod verify;

use std::io;

pub use args::{Cli, Command};
pub use error::{CliError, EXIT_USAGE};

/// Does what the command line asks. Results go to stdout, everything else to stderr.
///
/// # Errors
/// Whatever kept it from doing so; [`CliError::exit_code`] is the process's exit code.
pub fn dispatch(cli: Cli) -> Result<(), CliError> {
    let stdout = &mut io::stdout();
    match cli.command {
        Command::Run(settings) => run::run(&settings),
        Command::Check(args) => check::check(&args, stdout),
        Command::Records(args) => records::records(&args, stdout),
        Command::Verify(args) => verify::verify(&args, stdout),
        Command::Prove(args) => prove::prove(&args, stdout),
        Command::Retention(command) => retention::retention(&command, stdout),
        Command::ManifestKey(command) => manifest_key::manifest_key(&command, stdout),
        Command::Doctor(args) => doctor::doctor(&args, stdout),
        Command::KibanaConfig(args) => kibana::kibana_config(&args, stdout),
        Command::Ca(command) => ca::ca(command, stdout),
        Command::FingerprintKey(command) => fingerprint_key::fingerprint_key(&command, stdout),
        Command::Connectors(command) => connectors::connectors(&command, stdout),
    }
}

#[cfg(test)]
mod tests;
