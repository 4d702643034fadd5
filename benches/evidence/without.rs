//! `tollgate-without-evidence CONFIG`: the proxy with its journal switched off, so that benches can tell what evidence costs.
//!
//! A program of its own, compiled only with the feature `bench-without-evidence`, so that no setting, flag or variable of
//! `tollgate` leads here. It judges and relays like `tollgate`, leaves no row of anything, and listens on loopback only.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use tollgate::config::{Config, Overrides};
use tollgate::intercept::authority::Authority;
use tollgate::journal::Durability;
use tollgate::server::{self, Reloaded};

/// As `tollgate` has it: the two are compared.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const WARNING: &str =
    "*** NO EVIDENCE IS KEPT OF ANYTHING. This program measures what evidence costs; never run it elsewhere. ***";

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == "--version") {
        println!("tollgate-without-evidence {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    eprintln!("{WARNING}");
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tollgate-without-evidence: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let argument = std::env::args_os().nth(1).map(PathBuf::from);
    let file = argument.ok_or("usage: tollgate-without-evidence CONFIG (for `make bench-evidence`)")?;
    let mut config = Config::load(Some(&file), &Overrides::default())?;
    if let Some(open) = config.listeners.iter().find(|listener| !listener.address.ip().is_loopback()) {
        return Err(
            format!("{} is not a loopback address; without evidence nobody else is served", open.address).into()
        );
    }
    config.audit.journal.durability = Durability::Off;
    let authority = Authority::load_or_create(&config.interception.authority, SystemTime::now())?;
    let reload = move || {
        let Config { policy, connectors, audit, .. } = Config::load(Some(&file), &Overrides::default())?;
        Ok(Reloaded { policy, connectors, maintenance: audit.maintenance })
    };
    server::run(config, authority, Arc::new(reload), |listening| {
        listening.listeners.iter().for_each(|address| println!("tollgate: listening on http://{address}"));
    })?;
    Ok(())
}
