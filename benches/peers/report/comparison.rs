//! The comparison as tables: CPU time of all proxies at a glance, then everything about each scenario.

use std::fmt::Write as _;

use crate::results::Entry;
use crate::scenario::Scenario;

/// Below this share of its CPU a proxy was not saturated.
pub(super) const SATURATED: f64 = 0.9;

pub(crate) fn markdown(entries: &[Entry]) -> String {
    let details = Scenario::ALL.map(|scenario| {
        let of_scenario: Vec<&Entry> = entries.iter().filter(|entry| entry.scenario == scenario).collect();
        if of_scenario.is_empty() { String::new() } else { details(scenario, &of_scenario) }
    });
    format!("{}{}", overview(entries), details.concat())
}

/// CPU time a call in microseconds: a line a scenario, a column a proxy.
fn overview(entries: &[Entry]) -> String {
    let mut peers: Vec<&str> = Vec::new();
    for entry in entries {
        if !peers.contains(&entry.peer.as_str()) {
            peers.push(&entry.peer);
        }
    }
    peers.sort_by_key(|peer| crate::proxies::KINDS.iter().position(|kind| kind.name == *peer));
    let mut text = format!("| CPU µs a call | {} |\n|---|{}\n", peers.join(" | "), "---:|".repeat(peers.len()));
    for scenario in Scenario::ALL {
        let cell = |peer: &&str| {
            let found = find(entries, scenario, peer);
            found.map_or("-".to_owned(), |entry| microseconds(entry.measured.cpu_us))
        };
        let cells: Vec<String> = peers.iter().map(cell).collect();
        if cells.iter().any(|cell| cell != "-") {
            // Writing to a string does not fail.
            let _ = writeln!(text, "| {} | {} |", scenario.title(), cells.join(" | "));
        }
    }
    text
}

pub(super) fn find<'a>(entries: &'a [Entry], scenario: Scenario, peer: &str) -> Option<&'a Entry> {
    entries.iter().find(|entry| entry.scenario == scenario && entry.peer == peer)
}

fn details(scenario: Scenario, entries: &[&Entry]) -> String {
    let line = |entry: &&Entry| {
        let Entry { peer, measured, cpu_us_range: (least, most), .. } = entry;
        let busy = if measured.busy < SATURATED { "*" } else { "" };
        format!(
            "| {peer} | {} ({} to {}) | {:.0}{busy} | {:.0} | {:.0} | {:.0} % | {:.1} | {:.1} | {} |\n",
            microseconds(measured.cpu_us),
            microseconds(*least),
            microseconds(*most),
            measured.requests_per_s,
            measured.p50_us,
            measured.p99_us,
            measured.busy * 100.0,
            measured.held.pss_kib as f64 / 1024.0,
            measured.calls_per_connection,
            failures(entry),
        )
    };
    format!(
        "\n### {}\n\n| proxy | CPU µs a call | calls/s | p50 µs | p99 µs | busy | PSS MiB | calls a connection | failed \
         |\n|---|---:|---:|---:|---:|---:|---:|---:|---|\n{}",
        scenario.title(),
        entries.iter().map(line).collect::<String>()
    )
}

fn failures(entry: &Entry) -> String {
    let reason = entry.measured.first_failure.as_deref().unwrap_or_default();
    match entry.measured.failures {
        0 => "0".to_owned(),
        failures => format!("{failures}: {}", reason.replace('|', "/")),
    }
}

/// With as many digits as mean something.
fn microseconds(us: f64) -> String {
    if us < 100.0 { format!("{us:.1}") } else { format!("{us:.0}") }
}
