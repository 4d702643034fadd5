//! docs/benchmarks.md and its charts, written from the last results of every mode.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::{Results, bars, lines};
use crate::results::Run;

const METHOD: &str = include_str!("method.md");

/// Writes the document and the charts into the repository's `docs`.
///
/// # Errors
/// There are no results, or files cannot be written.
pub(crate) fn write(results: &Results) -> Result<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let compare = results.compare.as_ref().context("nothing was compared yet: run `make bench-peers` first")?;
    ensure!(!compare.results.is_empty(), "no scenario was compared");
    let put = |name: &str, text: &str| {
        let path = docs.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    put("benchmarks.svg", &bars::svg(&compare.results))?;
    if let Some(soak) = &results.soak {
        put("soak.svg", &lines::svg(&soak.results))?;
    }
    put("benchmarks.md", &document(results, compare))
}

fn document<T>(results: &Results, compare: &Run<T>) -> String {
    let mut text = format!("{METHOD}\n## Where and when\n\n{}\n", origin(results));
    text += &versions(compare);
    for (title, section) in results.sections() {
        let chart = match title {
            "Side by side" => "![CPU time a call, as a multiple of Tollgate's](benchmarks.svg)\n\n",
            "Soak" => "![Memory, descriptors and latency over time](soak.svg)\n\n",
            _ => "",
        };
        // Writing to a string does not fail.
        let _ = write!(text, "\n## {title}\n\n{chart}{section}");
    }
    text
}

/// The machine and the command of each mode.
fn origin(results: &Results) -> String {
    let lines = [
        results.compare.as_ref().map(line),
        results.evidence.as_ref().map(line),
        results.latency.as_ref().map(line),
        results.idle.as_ref().map(line),
        results.scale.as_ref().map(line),
        results.soak.as_ref().map(line),
    ];
    let lines: String = lines.into_iter().flatten().collect();
    format!(
        "| command | date | CPU | CPUs | memory | kernel | load average before |\n|---|---|---|---:|---:|---|---:|\n{lines}"
    )
}

fn line<T>(run: &Run<T>) -> String {
    let machine = &run.machine;
    // This mode takes a program that only its own target builds.
    let (target, arguments) = match run.command.strip_prefix("evidence") {
        Some(arguments) => ("bench-evidence", arguments.trim_start()),
        None => ("bench-peers", run.command.as_str()),
    };
    format!(
        "| `make {target} ARGS='{arguments}'` | {} | {} | {} (load on {:?}, proxy on {:?}) | {} MiB | {} | {} |\n",
        machine.date,
        machine.cpu,
        machine.cpus,
        run.load_cpus,
        run.proxy_cpus,
        machine.memory_mib,
        machine.kernel,
        machine.load_average
    )
}

fn versions<T>(run: &Run<T>) -> String {
    let peers: Vec<String> = run.peers.iter().map(|(name, version)| format!("- {name}: {version}")).collect();
    let clients = if run.clients_resume { "resume TLS sessions" } else { "never resume TLS sessions" };
    let origin = if run.origin_tickets { "issues session tickets" } else { "issues no session tickets" };
    format!("\n{}\n\nClients {clients}; the origin {origin}.\n", peers.join("\n"))
}
