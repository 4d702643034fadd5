//! Clients that refused Tollgate's certificates in the last day, and how their Kibana is told to trust the CA.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Finding, Setup, shown_time};
use crate::kibana::{Standing, TLS_OPTIONS};
use crate::record::{OutcomeKind, Row};
use crate::search::{self, Query, SearchError};

/// How far back is looked.
const SINCE_US: i64 = 24 * 60 * 60 * 1_000_000;
/// Most rows that are counted.
const ROWS_MAX: usize = 100_000;

/// The rows of the last day that ended so.
pub(super) fn rows(setup: &Setup, data_dir: &Path, outcome: OutcomeKind) -> Result<Vec<Row>, SearchError> {
    let query = Query {
        outcome: Some(outcome),
        since_us: Some(setup.now_us().saturating_sub(SINCE_US)),
        limit: ROWS_MAX,
        ..Query::default()
    };
    Ok(search::run(data_dir, &query)?.rows)
}

pub(super) fn clients(setup: &Setup) -> Vec<Finding> {
    setup.with_data_dir(|data_dir| match rows(setup, data_dir, OutcomeKind::ClientRejectedCa) {
        Ok(rows) => judge(&rows, &fix(setup)),
        Err(error) => vec![Finding::skip(error.to_string())],
    })
}

/// One finding for each client.
pub(super) fn judge(rows: &[Row], fix: &str) -> Vec<Finding> {
    let mut clients: BTreeMap<String, (usize, &Row)> = BTreeMap::new();
    for row in rows {
        let client = row.intent.client_identity.clone().unwrap_or_else(|| row.intent.client_ip.to_string());
        let (count, newest) = clients.entry(client).or_insert((0, row));
        *count += 1;
        if row.intent.event_time_us > newest.intent.event_time_us {
            *newest = row;
        }
    }
    if clients.is_empty() {
        return vec![Finding::ok("no client refused a certificate in the last 24 hours")];
    }
    let findings = clients.into_iter().map(|(client, (count, newest))| {
        let host = newest.intent.host.as_deref().unwrap_or("an unknown host");
        Finding::fail(
            format!(
                "{client} refused our certificate {count} times in the last 24 hours, last at {} for {host}",
                shown_time(newest.intent.event_time_us)
            ),
            fix,
        )
    });
    findings.collect()
}

/// What to do for this version of Kibana.
fn fix(setup: &Setup) -> String {
    let change = setup.releases.change(TLS_OPTIONS);
    let standing = setup.kibana_version.and_then(|version| Some((version, change?.standing(version))));
    let rest = match standing {
        Some((version, Standing::Absent)) => {
            format!("; Kibana {version} ignores customHostSettings behind a proxy, so there is no other way")
        }
        Some((version, Standing::Present)) => {
            format!("; in Kibana {version} customHostSettings of that host works too")
        }
        Some((version, Standing::From(_) | Standing::Unknown(_))) => {
            format!("; whether customHostSettings works in Kibana {version} depends on its patch")
        }
        None => "; --kibana-version X says what else works in that version".to_owned(),
    };
    format!(
        "set NODE_EXTRA_CA_CERTS to the file of `tollgate ca export` in the environment of that Kibana and restart it \
         (`tollgate kibana-config` prints the lines){rest}. A host that pins its certificate belongs into tunnel_hosts"
    )
}
