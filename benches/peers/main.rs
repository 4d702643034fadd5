//! End to end: Tollgate between a load and an origin, next to other proxies. Linux only, it reads /proc.
//!
//! `cargo bench --bench peers -- compare --help`. The load and the origin are processes of their own, this binary in other
//! roles, on CPUs the proxy does not use. Every answer is checked, and after each measurement of ours there must be exactly
//! as many rows as there were calls. Nothing here asserts a time.

#![expect(
    clippy::disallowed_methods,
    reason = "the load comes from outside the program: its clients open their own connections"
)]
#![expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52, and figures are for people")]
#![expect(clippy::similar_names, reason = "p99 and p999, cpu_s and cpu_us are what these figures are called")]

mod args;
mod compare;
mod delay;
mod idle;
mod latency;
mod load;
mod machine;
mod origin;
mod price;
mod process;
mod proxies;
mod report;
mod results;
mod roles;
mod scale;
mod scenario;
mod soak;
mod wire;

use anyhow::{Context as _, Result, ensure};
use clap::Parser as _;

use args::{Cli, CompareArgs, EvidenceArgs, IdleArgs, LatencyArgs, Mode, ReportArgs, ScaleArgs, SoakArgs};
use compare::Stage;
use machine::Machine;
use proxies::{KINDS, Peer};
use report::Results;
use results::Run;
use scenario::Scenario;

fn main() -> Result<()> {
    // Cargo adds --bench.
    let args: Vec<String> = std::env::args().filter(|arg| arg != "--bench").collect();
    match (args.get(1).map(String::as_str), args.get(2)) {
        (Some(load::ROLE), Some(job)) => return load::run(serde_json::from_str(job)?),
        (Some(origin::ROLE), Some(settings)) => return origin::run(&serde_json::from_str(settings)?),
        (Some(delay::ROLE), Some(settings)) => return delay::run(&serde_json::from_str(settings)?),
        _ => {}
    }
    machine::raise_descriptor_limit()?;
    let mode = Cli::parse_from(args).mode;
    match &mode {
        Mode::Compare(args) => compare(args),
        Mode::Evidence(args) => evidence(args),
        Mode::Latency(args) => latency(args),
        Mode::Idle(args) => idle(args),
        Mode::Scale(args) => scale(args),
        Mode::Soak(args) => soak(args),
        Mode::Report(args) => show(args),
    }
}

fn compare(args: &CompareArgs) -> Result<()> {
    let (peers, machine) = (find(&args.peer)?, Machine::describe()?);
    let stage = Stage::prepare(&args.common)?;
    let scenarios = if args.scenario.is_empty() { &Scenario::ALL } else { args.scenario.as_slice() };
    let entries = results::medians(&compare::run(&stage, &args.extent, scenarios, &peers)?)?;
    let run = Run::of(&stage, machine, &peers, entries);
    run.keep(&args.common, "compare")?;
    report::print(&stage, &run, &report::comparison_markdown(&run.results))?;
    write_docs(&args.common.output)
}

fn evidence(args: &EvidenceArgs) -> Result<()> {
    let machine = Machine::describe()?;
    let peers = price::peers()?;
    let stage = Stage::prepare(&args.common)?;
    let entries = results::medians(&compare::run(&stage, &args.extent, &price::SCENARIOS, &peers)?)?;
    let run = Run::of(&stage, machine, &peers, entries);
    run.keep(&args.common, "evidence")?;
    report::print(&stage, &run, &price::markdown(&run.results))?;
    write_docs(&args.common.output)
}

fn latency(args: &LatencyArgs) -> Result<()> {
    let machine = Machine::describe()?;
    let stage = Stage::prepare(&args.common)?;
    let run = Run::of(&stage, machine, &[], latency::run(&stage, args)?);
    run.keep(&args.common, "latency")?;
    report::print(&stage, &run, &run.results.markdown())?;
    write_docs(&args.common.output)
}

fn idle(args: &IdleArgs) -> Result<()> {
    let (peers, machine) = (find(&args.peer)?, Machine::describe()?);
    let stage = Stage::prepare(&args.common)?;
    let run = Run::of(&stage, machine, &peers, idle::run(&stage, args, &peers)?);
    run.keep(&args.common, "idle")?;
    report::print(&stage, &run, &idle::markdown(&run.results))?;
    write_docs(&args.common.output)
}

fn scale(args: &ScaleArgs) -> Result<()> {
    let machine = Machine::describe()?;
    let stage = Stage::prepare(&args.common)?;
    let run = Run::of(&stage, machine, &[], scale::run(&stage, args)?);
    run.keep(&args.common, "scale")?;
    report::print(&stage, &run, &run.results.markdown())?;
    write_docs(&args.common.output)
}

fn soak(args: &SoakArgs) -> Result<()> {
    let machine = Machine::describe()?;
    let stage = Stage::prepare(&args.common)?;
    let run = Run::of(&stage, machine, &[], soak::run(&stage, args)?);
    run.keep(&args.common, "soak")?;
    report::print(&stage, &run, &run.results.markdown())?;
    write_docs(&args.common.output)
}

fn show(args: &ReportArgs) -> Result<()> {
    let results = Results::last(&args.work_dir)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&results)?);
    } else {
        results.sections().iter().for_each(|(title, section)| println!("## {title}\n\n{section}"));
    }
    write_docs(args)
}

/// If asked for.
fn write_docs(args: &ReportArgs) -> Result<()> {
    if args.write_docs { report::write_docs(&Results::last(&args.work_dir)?) } else { Ok(()) }
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
