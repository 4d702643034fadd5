//! Makes an over-large record small enough for a frame instead of losing it.
//!
//! Limits elsewhere keep records far below the frame limit; this is what happens when one of them is missing.

use std::net::SocketAddr;

use uuid::Uuid;

use super::frame::{EncodeError, Payload};
use crate::record::{Intent, Outcome};

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
        Err(EncodeError::TooLarge { bytes, .. }) => {
            Payload::row(&intent_without_texts(intent), &outcome_without_texts(outcome, bytes), bytes_max)
        }
        result => result,
    }
}

fn outcome_without_texts(outcome: &Outcome, bytes: usize) -> Outcome {
    Outcome {
        tls_version: None,
        tls_cipher: None,
        upstream_cert_sha256: None,
        response_content_type: None,
        request_excerpt: None,
        response_excerpt: None,
        error: Some(format!("the record took {bytes} bytes; its texts were left out to fit a journal frame")),
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
        ..Intent::new(
            intent.event_id,
            intent.event_time_us,
            intent.kind,
            SocketAddr::new(intent.client_ip, intent.client_port),
        )
    }
}
