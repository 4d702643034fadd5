//! Which traffic of connectors bypasses the proxy in a version of Kibana.

use super::{Finding, Setup};
use crate::kibana::{Applies, BlindSpot, BlindSpotKind};

pub(super) fn of_version(setup: &Setup) -> Vec<Finding> {
    let Some(version) = setup.kibana_version else {
        return vec![Finding::skip("--kibana-version X tells what of its traffic never comes here")];
    };
    let bypasses = setup.releases.blind_spots().iter().filter(|spot| spot.kind == BlindSpotKind::Bypass);
    let (mut findings, mut closed) = (Vec::new(), Vec::new());
    for spot in bypasses {
        match spot.applies(Some(version)) {
            Applies::Yes => findings.push(Finding::warn(said(spot, ""), &spot.fix)),
            Applies::Perhaps(when) => findings.push(Finding::warn(said(spot, &format!(" ({when})")), &spot.fix)),
            Applies::No => closed.extend(spot.connectors.iter().map(String::as_str)),
        }
    }
    if !closed.is_empty() {
        findings
            .push(Finding::ok(format!("Kibana {version} has no known way past the proxy for {}", closed.join(", "))));
    }
    findings.push(Finding::skip(format!("which of these connectors Kibana {version} has is not known here")));
    findings
}

fn said(spot: &BlindSpot, when: &str) -> String {
    let who = if spot.connectors.is_empty() { "all connectors".to_owned() } else { spot.connectors.join(", ") };
    format!("{who}: {}{when}", spot.what)
}
