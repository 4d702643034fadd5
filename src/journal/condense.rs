//! Makes an over-large record small enough for a frame instead of losing it.
//!
//! Limits elsewhere keep records far below the frame limit; this is what happens when one of them is missing.

use std::net::IpAddr;

use uuid::Uuid;

use super::frame::{EncodeError, Payload};
use crate::record::{IdAssurance, Intent, Kind, Outcome, OutcomeKind};

/// An outcome's payload, without its texts if they do not fit.
pub(super) fn outcome(event_id: Uuid, outcome: &Outcome, bytes_max: u32) -> Result<Payload, EncodeError> {
    match Payload::outcome(event_id, outcome, bytes_max) {
        Err(EncodeError::TooLarge { bytes, .. }) => {
            Payload::outcome(event_id, &outcome_without_texts(outcome, bytes), bytes_max)
        }
        result => result,
    }
}

/// A row's payload, without its optional texts if they do not fit.
pub(super) fn row(intent: &Intent, outcome: &Outcome, bytes_max: u32) -> Result<Payload, EncodeError> {
    match Payload::row(intent, outcome, bytes_max) {
        Err(EncodeError::TooLarge { bytes, .. }) => Payload::row(
            &intent_without_texts(intent),
            &outcome_without_texts(outcome, bytes),
            bytes_max,
        ),
        result => result,
    }
}

fn outcome_without_texts(outcome: &Outcome, bytes: usize) -> Outcome {
    Outcome {
        tls_version: None,
        tls_cipher: None,
        upstream_cert_sha256: None,
        response_content_type: None,
        error: Some(format!(
            "the record took {bytes} bytes; its texts were left out to fit a journal frame"
        )),
        ..outcome.clone()
    }
}

fn intent_without_texts(intent: &Intent) -> Intent {
    Intent {
        event_time_us: intent.event_time_us,
        kind: intent.kind,
        id_assurance: intent.id_assurance,
        client_port: intent.client_port,
        port: intent.port,
        decision: intent.decision,
        deny_reason: intent.deny_reason,
        ..bare_intent(intent.event_id, intent.event_time_us, intent.client_ip)
    }
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
