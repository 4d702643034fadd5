//! Rows that stand for records that were lost, and the bare halves such rows are made from.
//!
//! Pure: the event id and the time are given.

use std::net::{IpAddr, Ipv4Addr};

use jiff::Timestamp;
use uuid::Uuid;

use super::queue::Lost;
use super::segment::Orphan;
use crate::record::{IdAssurance, Intent, Kind, Outcome, OutcomeKind};

/// One row that says how many records never reached storage, and when.
pub(super) fn lost_records(event_id: Uuid, lost: Lost) -> (Intent, Outcome) {
    let error = format!(
        "{} records lost between {} and {}: the journal could not be written",
        lost.records,
        timestamp(lost.first_us),
        timestamp(lost.last_us)
    );
    let outcome = Outcome {
        duration_us: lost.last_us.saturating_sub(lost.first_us),
        error: Some(error),
        ..bare_outcome(lost.last_us, OutcomeKind::Gap)
    };
    (bare_intent(event_id, lost.first_us, IpAddr::V4(Ipv4Addr::UNSPECIFIED)), outcome)
}

/// One row for one record that was in damaged bytes, found damaged at `now_us`.
pub(super) fn damaged_record(event_id: Uuid, now_us: i64) -> (Intent, Outcome) {
    let outcome = Outcome {
        error: Some("1 record lost to a damaged journal segment".to_owned()),
        ..bare_outcome(now_us, OutcomeKind::Gap)
    };
    (bare_intent(event_id, now_us, IpAddr::V4(Ipv4Addr::UNSPECIFIED)), outcome)
}

/// One row for one record of which only the outcome can be read.
pub(super) fn damaged_intent(orphan: &Orphan) -> (Intent, Outcome) {
    let kind = orphan.outcome.outcome;
    let outcome = Outcome {
        outcome: OutcomeKind::Gap,
        error: Some(format!("1 record lost to a damaged journal segment, except its outcome: {kind}")),
        ..orphan.outcome.clone()
    };
    (bare_intent(orphan.event_id, outcome.end_time_us, IpAddr::V4(Ipv4Addr::UNSPECIFIED)), outcome)
}

fn timestamp(time_us: i64) -> String {
    Timestamp::from_microsecond(time_us).map_or_else(|_| format!("{time_us} us"), |time| time.to_string())
}

/// An intent with nothing in it but what every intent has.
pub(super) fn bare_intent(event_id: Uuid, event_time_us: i64, client_ip: IpAddr) -> Intent {
    Intent {
        event_id,
        event_time_us,
        kind: Kind::Connect,
        deployment_id: None,
        project_id: None,
        id_assurance: IdAssurance::Absent,
        client_identity: None,
        client_ip,
        client_port: 0,
        user_agent: None,
        user_agent_product: None,
        connector_type: None,
        connector_id: None,
        connector_source: None,
        method: None,
        scheme: None,
        host: None,
        port: None,
        host_raw: None,
        connect_host: None,
        sni: None,
        host_header: None,
        path: None,
        query: None,
        url_fingerprint: None,
        http_version: None,
        request_content_type: None,
        decision: None,
        policy_rule: None,
        policy_hash: None,
        deny_reason: None,
    }
}

/// An outcome with nothing in it but its kind and end.
pub(super) fn bare_outcome(end_time_us: i64, outcome: OutcomeKind) -> Outcome {
    Outcome {
        end_time_us,
        duration_us: 0,
        request_bytes: 0,
        upstream_ip: None,
        upstream_port: None,
        upstream_reused: None,
        tls_version: None,
        tls_cipher: None,
        upstream_cert_sha256: None,
        status: None,
        response_content_type: None,
        response_bytes: 0,
        dns_us: None,
        connect_us: None,
        tls_us: None,
        first_byte_us: None,
        audit_wait_us: None,
        outcome,
        error: None,
    }
}
