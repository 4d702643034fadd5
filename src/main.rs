//! The `tollgate` program: parse the command line, do what it asks, turn an error into an exit code.

use std::process::ExitCode;

use clap::Parser as _;
use tollgate::cli::{self, Bound, Cli, EXIT_USAGE, Start};
use tollgate::server;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    match cli::dispatch(cli, serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is_silent() {
                eprintln!("tollgate: {error}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}

/// Prints help to stdout with success, and complaints about the command line to stderr with failure.
fn usage(message: &clap::Error) -> ExitCode {
    // There is no other place to report that neither can be written.
    let _ = message.print();
    if message.use_stderr() {
        ExitCode::from(EXIT_USAGE)
    } else {
        ExitCode::SUCCESS
    }
}

fn serve(start: Start) -> anyhow::Result<()> {
    let Start {
        config,
        authority,
        reload,
        announce,
    } = start;
    let reload = Box::new(move || reload().map_err(|error| error.to_string()));
    server::run(config, authority, reload, |started| {
        announce(&Bound {
            listeners: started.listeners.clone(),
            admin: started.admin,
        });
    })?;
    Ok(())
}
