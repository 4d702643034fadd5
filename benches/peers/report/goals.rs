//! The goals this project has set itself, each relative to a named proxy in the same run, and whether they are reached.

use super::Results;
use super::comparison::{SATURATED, find};
use crate::compare::Measured;
use crate::load::Tls;
use crate::results::Entry;
use crate::scenario::Scenario;

const OURS: &str = "tollgate";

/// What was found.
#[derive(Clone, Debug, PartialEq)]
enum Found {
    /// A figure and the most it may be.
    AtMost(f64, f64),
    /// A figure and the least it must be.
    AtLeast(f64, f64),
    /// Why there is no answer.
    Unknown(String),
}

/// CPU time of ours over that of a proxy.
const COSTS: [(Scenario, &str, f64); 8] = [
    (Scenario::HttpKeepAlive, "g3proxy", 0.6),
    (Scenario::HttpKeepAlive, "haproxy", 1.3),
    (Scenario::HttpNew, "g3proxy", 0.5),
    (Scenario::InterceptedKeepAlive, "g3proxy", 0.7),
    (Scenario::InterceptedNew, "g3proxy", 0.35),
    (Scenario::TunnelNew, "squid", 0.9),
    (Scenario::TunnelBulk, "smokescreen", 0.6),
    (Scenario::HttpBulk, "haproxy", 0.75),
];

pub(super) fn markdown(results: &Results) -> String {
    let entries = results.compare.as_ref().map_or(&[][..], |run| &run.results);
    let mut lines: Vec<(String, Found)> = COSTS
        .iter()
        .map(|(scenario, peer, most)| {
            let goal = format!("{}: CPU time of {peer}'s", scenario.title());
            (goal, ratio(entries, *scenario, peer, *most, |measured| measured.cpu_us))
        })
        .collect();
    lines.push(("http, 16 MiB: MiB of memory beyond http, keep-alive".to_owned(), bulk_memory(entries)));
    lines.extend(Scenario::ALL.map(|scenario| throughput(entries, scenario)));
    lines.extend(Scenario::ALL.map(|scenario| {
        let found = ratio(entries, scenario, "g3proxy", 1.0, |measured| measured.p99_us);
        (format!("{}: p99 of g3proxy's", scenario.title()), found)
    }));
    lines.extend(latency(results));
    lines.extend(idle(results));
    lines.extend(scaling(results));
    let lines: String = lines.iter().map(|(goal, found)| line(goal, found)).collect();
    format!("| goal | limit | measured | |\n|---|---:|---:|---|\n{lines}")
}

fn line(goal: &str, found: &Found) -> String {
    let verdict = |reached: bool| if reached { "reached" } else { "**not reached**" };
    match found {
        Found::AtMost(figure, most) => {
            format!("| {goal} | at most {most} | {figure:.2} | {} |\n", verdict(figure <= most))
        }
        Found::AtLeast(figure, least) => {
            format!("| {goal} | at least {least} | {figure:.2} | {} |\n", verdict(figure >= least))
        }
        Found::Unknown(why) => format!("| {goal} | | | not measured: {why} |\n"),
    }
}

fn ratio(entries: &[Entry], scenario: Scenario, peer: &str, most: f64, figure: fn(&Measured) -> f64) -> Found {
    match (find(entries, scenario, OURS), find(entries, scenario, peer)) {
        (Some(ours), Some(theirs)) => Found::AtMost(figure(&ours.measured) / figure(&theirs.measured), most),
        (None, _) => Found::Unknown("scenario not run".to_owned()),
        (_, None) if scenario.is_for(peer) => Found::Unknown(format!("{peer} absent")),
        (_, None) => Found::Unknown(format!("{peer} cannot do this")),
    }
}

fn bulk_memory(entries: &[Entry]) -> Found {
    let pss = |scenario| find(entries, scenario, OURS).map(|entry| entry.measured.held.pss_kib as f64 / 1024.0);
    match (pss(Scenario::HttpBulk), pss(Scenario::HttpKeepAlive)) {
        // Sixteen clients: a body held whole by each would be 256 MiB.
        (Some(bulk), Some(small)) => Found::AtMost(bulk - small, 16.0),
        _ => Found::Unknown("scenario not run".to_owned()),
    }
}

/// Calls a second of the best peer but HAProxy; of HAProxy nine tenths.
fn throughput(entries: &[Entry], scenario: Scenario) -> (String, Found) {
    let goal = |of: &str| format!("{}: calls/s of {of}", scenario.title());
    let Some(ours) = find(entries, scenario, OURS) else {
        return (goal("the best peer"), Found::Unknown("scenario not run".to_owned()));
    };
    let others = entries.iter().filter(|entry| entry.scenario == scenario && !entry.peer.starts_with(OURS));
    let required = others.map(|entry| {
        let share = if entry.peer == "haproxy" { 0.9 } else { 1.0 };
        (entry.peer.as_str(), entry.measured.requests_per_s * share)
    });
    let Some((peer, rate)) = required.max_by(|a, b| a.1.total_cmp(&b.1)) else {
        return (goal("the best peer"), Found::Unknown("no peer".to_owned()));
    };
    let of = if peer == "haproxy" { "nine tenths of haproxy's".to_owned() } else { format!("{peer}'s, the best") };
    let limited = if ours.measured.busy < SATURATED { " (the load was the limit)" } else { "" };
    (goal(&of) + limited, Found::AtLeast(ours.measured.requests_per_s / rate, 1.0))
}

fn latency(results: &Results) -> Vec<(String, Found)> {
    let Some(run) = &results.latency else {
        return vec![("a call to a distant origin".to_owned(), Found::Unknown("`latency` not run".to_owned()))];
    };
    let lines = run.results.timed.iter().flat_map(|timed| {
        let version = match timed.tls {
            Tls::Tls12 => "TLS 1.2",
            Tls::Tls13 => "TLS 1.3",
        };
        let direct = timed.direct.p50_us;
        [
            (format!("distant origin, {version}, warm: of direct"), Found::AtMost(timed.warm.p50_us / direct, 0.28)),
            (format!("distant origin, {version}, cold: of direct"), Found::AtMost(timed.cold.p50_us / direct, 1.05)),
        ]
    });
    lines.collect()
}

fn idle(results: &Results) -> Vec<(String, Found)> {
    let ours = results.idle.iter().flat_map(|run| &run.results).find(|idle| idle.peer == OURS);
    let found = |kib: Option<f64>, most| {
        kib.map_or_else(|| Found::Unknown("`idle` not run".to_owned()), |kib| Found::AtMost(kib, most))
    };
    vec![
        ("KiB an idle tunnel".to_owned(), found(ours.and_then(|idle| idle.tunnel_kib), 4.0)),
        ("KiB an idle intercepted connection".to_owned(), found(ours.and_then(|idle| idle.intercepted_kib), 32.0)),
    ]
}

fn scaling(results: &Results) -> Vec<(String, Found)> {
    let Some(run) = &results.scale else {
        return vec![("scaling".to_owned(), Found::Unknown("`scale` not run".to_owned()))];
    };
    // Flat: the dearest at most a quarter above the cheapest. A single connection never shares a group commit.
    let spread = |points: &[crate::scale::Point]| {
        let costs = || points.iter().filter(|point| point.connections > 1).map(|point| point.cpu_us);
        Found::AtMost(costs().fold(0.0, f64::max) / costs().fold(f64::INFINITY, f64::min), 1.25)
    };
    let workers = match run.results.workers.as_slice() {
        [one, two] => Found::AtLeast(two.requests_per_s / one.requests_per_s, 1.8),
        _ => Found::Unknown("it takes two CPUs besides the load's".to_owned()),
    };
    vec![
        ("CPU time from 100 to 10,000 connections: most of least".to_owned(), spread(&run.results.connections)),
        ("CPU time from 10 to 1,000,000 hosts in the policy: most of least".to_owned(), spread(&run.results.rules)),
        ("calls/s of two workers, of one's".to_owned(), workers),
    ]
}
