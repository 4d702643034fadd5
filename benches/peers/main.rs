//! End to end: Tollgate between a load and an origin, next to other proxies. Linux only, it reads /proc.
//!
//! `cargo bench --bench peers -- compare --help`. The load and the origin are processes of their own, this binary in other
//! roles, on CPUs the proxy does not use. Every answer is checked, and after each measurement of ours there must be exactly
//! as many rows as there were calls. Nothing here asserts a time.

#![expect(
    clippy::disallowed_methods,
    reason = "the load comes from outside the program: its clients open their own connections"
)]

mod args;
mod compare;
mod load;
mod machine;
mod origin;
mod process;
mod proxies;
mod roles;
mod scenario;
mod wire;

use anyhow::{Context as _, Result, ensure};
use clap::Parser as _;

use args::{Cli, CompareArgs, Mode};
use compare::{Measured, Stage};
use proxies::{KINDS, Peer};

fn main() -> Result<()> {
    // Cargo adds --bench.
    let args: Vec<String> = std::env::args().filter(|arg| arg != "--bench").collect();
    match (args.get(1).map(String::as_str), args.get(2)) {
        (Some(load::ROLE), Some(job)) => return load::run(serde_json::from_str(job)?),
        (Some(origin::ROLE), Some(settings)) => return origin::run(&serde_json::from_str(settings)?),
        _ => {}
    }
    machine::raise_descriptor_limit()?;
    match Cli::parse_from(args).mode {
        Mode::Compare(args) => run_compare(&args),
    }
}

fn run_compare(args: &CompareArgs) -> Result<()> {
    let peers = find(&args.peer)?;
    let stage = Stage::prepare(&args.common)?;
    let rounds = compare::run(&stage, args, &peers)?;
    for ((scenario, peer), measured) in &rounds {
        println!("{:<32}{peer:<20}{}", scenario.title(), Measured::median(measured)?.line());
    }
    Ok(())
}

/// The proxies asked for, or all; those that are not installed are named.
fn find(names: &[String]) -> Result<Vec<Peer>> {
    for name in names {
        let known = KINDS.map(|kind| kind.name);
        ensure!(known.contains(&name.as_str()), "{name} is none of {}", known.join(", "));
    }
    let mut peers = Vec::new();
    for kind in KINDS.iter().filter(|kind| names.is_empty() || names.iter().any(|name| name == kind.name)) {
        match kind.find().with_context(|| format!("looking for {}", kind.name))? {
            Some(peer) => {
                eprintln!("{}: {} ({})", kind.name, peer.version, peer.program.display());
                peers.push(peer);
            }
            None => eprintln!("{}: absent; {}, or name a binary in {}", kind.name, kind.install, kind.variable),
        }
    }
    Ok(peers)
}
