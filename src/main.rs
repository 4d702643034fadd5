//! The `tollgate` program: parse the command line, do what it asks, turn an error into an exit code.

use std::process::ExitCode;

use clap::Parser as _;
use tollgate::cli::{self, Cli, EXIT_USAGE};

/// A call makes some sixty small allocations on one thread and frees some of them on another: see docs/decisions/0014.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    match cli::dispatch(cli) {
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
    if message.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS }
}
