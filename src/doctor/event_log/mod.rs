//! Which executions of connectors in Kibana's event log left no row.

mod matching;
mod read;

use std::collections::BTreeMap;
use std::path::Path;

pub use read::EventLogError;

use super::{Finding, Setup, shown_time};
use crate::connectors::Source;
use crate::kibana::{Applies, BlindSpotKind};
use crate::record::{OutcomeKind, Row};
use crate::search::{self, Query};
use matching::{Evidence, Seen, TOLERANCE_US, evidence};
use read::{Execution, Export};

/// Most rows that are compared.
const ROWS_MAX: usize = 5_000_000;
/// Rows held at a time; of each only what is compared is kept.
const PAGE_ROWS: usize = 50_000;
/// Most executions without a row that are named, for each connector type.
const NAMED_MAX: usize = 20;

pub(super) fn compare(setup: &Setup) -> Vec<Finding> {
    let Some(path) = &setup.event_log else {
        return vec![Finding::skip("--event-log FILE tells which executions have no row")];
    };
    match read::read(path) {
        Err(error) => vec![Finding::fail(error.to_string(), "export it again")],
        Ok(export) => setup.with_data_dir(|data_dir| {
            let mut findings = vec![summary(path, &export)];
            match rows(data_dir, &export.executions) {
                Ok(rows) => findings.extend(judge(setup, &export.executions, &rows)),
                Err(finding) => findings.push(finding),
            }
            findings
        }),
    }
}

/// What the export holds, and what of it could not be used.
fn summary(path: &Path, export: &Export) -> Finding {
    let Export { executions, documents, bad_lines, bad_count, left_out } = export;
    let seen = format!("{}: {} executions in {documents} documents", path.display(), executions.len());
    if *left_out > 0 {
        let fix = "export a shorter time, and compare one after the other";
        return Finding::warn(format!("{seen}; {left_out} more were not compared"), fix);
    }
    if *bad_count > 0 {
        let lines = bad_lines.iter().map(|bad| format!("line {}: {}", bad.line, bad.reason));
        let fix = "export it again; what is in these lines was not compared";
        return Finding::warn(format!("{seen}; {bad_count} cannot be used"), fix).with_details(lines.collect());
    }
    if executions.is_empty() {
        let fix = "export documents with event.provider: actions and event.action: execute from .kibana-event-log-*";
        return Finding::warn(seen, fix);
    }
    Finding::ok(seen)
}

/// The rows of the time of all executions.
fn rows(data_dir: &Path, executions: &[Execution]) -> Result<Vec<Seen>, Finding> {
    let since_us = executions.iter().map(|execution| execution.start_us).min().unwrap_or(0);
    let until_us = executions.iter().map(|execution| execution.end_us).max().unwrap_or(0);
    let since_us = since_us.saturating_sub(TOLERANCE_US);
    let page = |until_us| {
        let query = Query { since_us: Some(since_us), until_us: Some(until_us), limit: PAGE_ROWS, ..Query::default() };
        let found = search::run(data_dir, &query).map_err(|error| Finding::skip(error.to_string()))?;
        if found.problems.is_empty() {
            return Ok(found.rows);
        }
        let problems = found.problems.iter().map(ToString::to_string).collect();
        let fix = "see `tollgate verify`; without these files executions would look as if they had no row";
        Err(Finding::warn("not all rows can be read", fix).with_details(problems))
    };
    paged(page, until_us.saturating_add(TOLERANCE_US + 1), PAGE_ROWS)
}

/// All rows, page by page. `page` gives the newest rows before a time, at most `page_rows` of them, newest first.
fn paged(
    mut page: impl FnMut(i64) -> Result<Vec<Row>, Finding>,
    mut until_us: i64,
    page_rows: usize,
) -> Result<Vec<Seen>, Finding> {
    let mut all = Vec::new();
    loop {
        let rows = page(until_us)?;
        let oldest_us = rows.last().map(|row| row.intent.event_time_us).filter(|_| rows.len() >= page_rows);
        // Others of the same microsecond may be left: they are all read again.
        let whole = rows.iter().filter(|row| oldest_us.is_none_or(|oldest_us| row.intent.event_time_us > oldest_us));
        let before = all.len();
        all.extend(whole.filter(|row| row.outcome.outcome != OutcomeKind::Gap).map(seen));
        let Some(oldest_us) = oldest_us else { return Ok(all) };
        let stuck = oldest_us.saturating_add(1) >= until_us && all.len() == before;
        if stuck || all.len() > ROWS_MAX {
            let fix = "export a shorter time, and compare one after the other";
            return Err(Finding::warn("there are too many rows in that time to compare them", fix));
        }
        until_us = oldest_us.saturating_add(1);
    }
}

/// A row as it is compared: a connector that several types share is not known for certain.
fn seen(row: &Row) -> Seen {
    let shared = row.intent.connector_source.as_deref() == Some(Source::Shared.as_str());
    let connector_type = row.intent.connector_type.clone().filter(|_| !shared);
    Seen { time_us: row.intent.event_time_us, connector_type }
}

/// One finding for each connector type.
fn judge(setup: &Setup, executions: &[Execution], rows: &[Seen]) -> Vec<Finding> {
    let expected: Vec<Execution> =
        executions.iter().filter(|execution| !stays_inside(setup, &execution.connector_type)).cloned().collect();
    let mut types: BTreeMap<&str, Vec<(&Execution, Evidence)>> = BTreeMap::new();
    for (execution, evidence) in expected.iter().zip(evidence(&expected, rows, |id| calls_any_host(setup, id))) {
        types.entry(&execution.connector_type).or_default().push((execution, evidence));
    }
    let mut findings: Vec<Finding> =
        types.into_iter().map(|(connector_type, judged)| judge_type(setup, connector_type, &judged)).collect();
    let inside = executions.len() - expected.len();
    if inside > 0 {
        findings.push(Finding::ok(format!(
            "{inside} executions of connectors that work inside Kibana: no row is expected"
        )));
    }
    findings
}

fn stays_inside(setup: &Setup, connector_type: &str) -> bool {
    let mut spots = setup.releases.blind_spots().iter();
    spots.any(|spot| spot.kind == BlindSpotKind::NoEgress && spot.concerns(connector_type))
}

/// Whether the catalogue cannot tell calls of this type from those of others.
fn calls_any_host(setup: &Setup, connector_type: &str) -> bool {
    let known = setup.config.as_ref().ok().and_then(|config| config.connectors.get(connector_type));
    known.is_some_and(|connector| connector.all_hosts().is_empty() && connector.self_hosted.is_none())
}

fn judge_type(setup: &Setup, connector_type: &str, judged: &[(&Execution, Evidence)]) -> Finding {
    let count = |kind| judged.iter().filter(|(_, evidence)| *evidence == kind).count();
    let (named, by_time, missing) = (count(Evidence::Row), count(Evidence::RowByTime), count(Evidence::None));
    let seen = format!(
        "{}: {} executions, {named} with a row of this connector, {by_time} with some row at that time, {missing} \
         without (tolerance {} s)",
        connector_type,
        judged.len(),
        TOLERANCE_US / 1_000_000
    );
    if missing == 0 {
        return Finding::ok(seen);
    }
    let without = judged.iter().filter(|(_, evidence)| *evidence == Evidence::None);
    let mut details: Vec<String> = without.take(NAMED_MAX).map(|(execution, _)| described(execution)).collect();
    if missing > NAMED_MAX {
        details.push(format!("and {} more", missing - NAMED_MAX));
    }
    let reasons = reasons(setup, connector_type);
    let finding = if reasons.is_empty() {
        Finding::fail(
            seen,
            "no known way past the proxy explains it: look at proxyBypassHosts and proxyOnlyHosts of that Kibana, at the \
             connector's own proxy settings, and whether its clock is right; block direct egress in the network",
        )
    } else {
        Finding::warn(seen, format!("this may be legitimate: {}", reasons.join("; ")))
    };
    finding.with_details(details)
}

/// Ways past the proxy that this type has, in this version or in any.
fn reasons(setup: &Setup, connector_type: &str) -> Vec<String> {
    let own = setup.releases.blind_spots().iter().filter(|spot| spot.concerns(connector_type));
    let reasons = own.filter_map(|spot| match spot.applies(setup.kibana_version) {
        Applies::Yes => Some(spot.what.clone()),
        Applies::Perhaps(when) => Some(format!("{} ({when})", spot.what)),
        Applies::No => None,
    });
    reasons.collect()
}

fn described(execution: &Execution) -> String {
    let failed = if execution.failed { ", failed in Kibana, perhaps before it called" } else { "" };
    format!(
        "connector {} from {} to {}{failed}",
        execution.connector_id,
        shown_time(execution.start_us),
        shown_time(execution.end_us)
    )
}

#[cfg(test)]
mod tests;
