//! The price of evidence: the same calls through Tollgate with `durability: fsync`, with `write`, and through the program
//! that keeps none, in rounds of one run. What is compared with other proxies is `compare`'s part.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};

use crate::proxies::{Peer, WARM, WITHOUT_EVIDENCE, WITHOUT_SYNC};
use crate::results::Entry;
use crate::scenario::Scenario;

/// What is measured, by 64 clients each.
pub(crate) const SCENARIOS: [Scenario; 3] =
    [Scenario::HttpKeepAlive, Scenario::InterceptedKeepAlive, Scenario::InterceptedNew];

/// The most that p50 may grow by: one gap between commits.
const P50_GROWTH_US_MAX: f64 = 1000.0;

/// With evidence, less of it, and none.
///
/// # Errors
/// One of the programs is absent.
pub(crate) fn peers() -> Result<Vec<Peer>> {
    let kinds = [&WARM, &WITHOUT_SYNC, &WITHOUT_EVIDENCE];
    kinds
        .iter()
        .map(|kind| kind.find()?.with_context(|| format!("{} is absent: {}", kind.name, kind.install)))
        .collect()
}

/// The most CPU time a call may take with evidence, as a multiple of that without.
fn cpu_ratio_max(scenario: Scenario) -> f64 {
    if scenario.keep_alive() { 1.2 } else { 1.3 }
}

/// A line for each scenario and durability, with the ratio to the same without evidence.
pub(crate) fn markdown(entries: &[Entry]) -> String {
    let mut text =
        "| calls | evidence | CPU µs a call | of that without | goal | | p50 µs | more than without | goal | |\n\
                    |---|---|---:|---:|---:|---|---:|---:|---:|---|\n"
            .to_owned();
    for scenario in SCENARIOS {
        let of = |name| entries.iter().find(|entry| entry.scenario == scenario && entry.peer == name);
        let Some(without) = of(WITHOUT_EVIDENCE.name) else { continue };
        for (name, evidence) in [(WARM.name, "fsync"), (WITHOUT_SYNC.name, "write")] {
            if let Some(with) = of(name) {
                text += &line(with, evidence, without);
            }
        }
        // Writing to a string does not fail.
        let (title, measured) = (scenario.title(), &without.measured);
        let _ = writeln!(text, "| {title} | off | {:.1} | | | | {:.0} | | | |", measured.cpu_us, measured.p50_us);
    }
    text
}

fn line(with: &Entry, evidence: &str, without: &Entry) -> String {
    let verdict = |reached: bool| if reached { "reached" } else { "**not reached**" };
    let (cpu, cpu_without) = (with.measured.cpu_us, without.measured.cpu_us);
    let (p50, p50_without) = (with.measured.p50_us, without.measured.p50_us);
    let (ratio, ratio_max, growth) = (cpu / cpu_without, cpu_ratio_max(with.scenario), p50 - p50_without);
    format!(
        "| {} | {evidence} | {cpu:.1} | {ratio:.2} | at most {ratio_max:.2} | {} | {p50:.0} | {growth:.0} | at most \
         {P50_GROWTH_US_MAX:.0} | {} |\n",
        with.scenario.title(),
        verdict(ratio <= ratio_max),
        verdict(growth <= P50_GROWTH_US_MAX),
    )
}
