//! Calls of the last day that failed as calls fail where interception breaks them: Kibana refused Tollgate's certificate, or the
//! destination missed Kibana's. Of connectors of which the catalogue says that this may happen; of others `rejected` tells.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Finding, Setup, rejected, shown_time};
use crate::connectors::{AvoidInterception, Catalogue, Sighting};
use crate::destination::{Destination, Host};
use crate::record::{OutcomeKind, Row};
use crate::search::SearchError;

pub(super) fn calls(setup: &Setup) -> Vec<Finding> {
    setup.with_config(|config| {
        setup.with_data_dir(|data_dir| match failed(setup, data_dir) {
            Ok(rows) => judge(&rows, &config.connectors),
            Err(error) => vec![Finding::skip(error.to_string())],
        })
    })
}

fn failed(setup: &Setup, data_dir: &Path) -> Result<Vec<Row>, SearchError> {
    let mut rows = rejected::rows(setup, data_dir, OutcomeKind::ClientRejectedCa)?;
    rows.extend(rejected::rows(setup, data_dir, OutcomeKind::UpstreamFailed)?);
    Ok(rows)
}

/// One finding for each connector and host.
pub(super) fn judge(rows: &[Row], catalogue: &Catalogue) -> Vec<Finding> {
    let mut calls: BTreeMap<(&str, &str), Failures> = BTreeMap::new();
    for row in rows {
        let Some((connector, host, reason)) = broken(row, catalogue) else { continue };
        let failures = calls.entry((connector, host)).or_insert(Failures { count: 0, newest_us: i64::MIN, reason });
        failures.count += 1;
        failures.newest_us = failures.newest_us.max(row.intent.event_time_us);
    }
    if calls.is_empty() {
        return vec![Finding::ok("no call failed in the last 24 hours where interception may be why")];
    }
    let findings = calls.into_iter().map(|((connector, host), Failures { count, newest_us, reason })| {
        let (last, why) = (shown_time(newest_us), reason.explanation());
        Finding::warn(
            format!(
                "interception may have broken calls of {connector} to {host} ({count} in the last 24 hours, last at {last}): {why}"
            ),
            reason.remedy(),
        )
    });
    findings.collect()
}

struct Failures {
    count: usize,
    newest_us: i64,
    reason: AvoidInterception,
}

/// Connector and host of a call that interception may have broken, and how.
fn broken<'a>(row: &'a Row, catalogue: &'a Catalogue) -> Option<(&'a str, &'a str, AvoidInterception)> {
    let host = row.intent.host.as_deref()?;
    let destination = Destination { host: Host::parse(host).ok()?, port: row.intent.port? };
    // A client that refused the certificate made no request, so its connector is not in the row.
    let connector = match &row.intent.connector_type {
        Some(id) => catalogue.get(id)?,
        None => catalogue.identify(&Sighting { destination: &destination, request: None })?.connector,
    };
    let reason = connector.avoids(&destination.host)?;
    let refused = row.outcome.outcome == OutcomeKind::ClientRejectedCa;
    // Without a connection it was not a certificate that failed.
    let failed = row.outcome.status == Some(502) && row.outcome.upstream_ip.is_some();
    let broken = match reason {
        AvoidInterception::ClientCertificate => refused || failed,
        AvoidInterception::OwnCa => refused,
    };
    broken.then_some((connector.id.as_str(), host, reason))
}
