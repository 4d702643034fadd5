//! Rows as real calls leave them, for the subjects that store and find them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tollgate::record::{Decision, IdAssurance, Intent, Kind, Outcome, OutcomeKind, Row, Writer};
use uuid::Uuid;

/// 2026-11-22T00:00:00Z.
const MIDNIGHT_US: i64 = 1_795_305_600_000_000;

pub(crate) fn writer() -> Writer {
    Writer { instance_id: "bench".to_owned(), boot_id: Uuid::from_u128(1), epoch: 1 }
}

/// The intent of the call with this number: one of fifty hosts, twenty deployments, three paths.
pub(crate) fn intent(number: u64) -> Intent {
    let client = SocketAddr::from((Ipv4Addr::new(10, 20, 0, (number % 7) as u8), (30_000 + number % 20_000) as u16));
    let time_us = MIDNIGHT_US + i64::try_from(number).unwrap_or(0) * 731;
    let host = format!("service{}.example.com", number % 50);
    Intent {
        deployment_id: Some(format!("{:032x}", 0x0763_c7f3_u64 + number % 20)),
        id_assurance: IdAssurance::Verified,
        client_identity: Some("kibana-production".to_owned()),
        user_agent: Some(format!("axios/1.7.2 elastic (deployment:{:032x})", 0x0763_c7f3_u64 + number % 20)),
        user_agent_product: Some("axios/1.7.2".to_owned()),
        connector_type: Some(".webhook".to_owned()),
        method: Some("POST".to_owned()),
        scheme: Some("https".to_owned()),
        host: Some(host.clone()),
        port: Some(443),
        connect_host: Some(format!("{host}:443")),
        sni: Some(host.clone()),
        host_header: Some(host),
        path: Some(path(number).to_owned()),
        url_fingerprint: Some(format!(
            "{:064x}",
            u128::from(number % 150).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834)
        )),
        http_version: Some("1.1".to_owned()),
        request_content_type: Some("application/json".to_owned()),
        decision: Some(Decision::Allow),
        policy_rule: Some("ticketing".to_owned()),
        policy_hash: Some(format!("{:064x}", 0x0c0f_fee0_u64)),
        ..Intent::new(event_id(number, time_us), time_us, Kind::Connect, client)
    }
}

fn path(number: u64) -> &'static str {
    match number % 3 {
        0 => "/api/v2/alerts",
        1 => "/services/[redacted]",
        _ => "/rest/api/2/issue",
    }
}

/// Version 7: the time, then what looks random.
fn event_id(number: u64, time_us: i64) -> Uuid {
    let random = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    let bytes = random.to_be_bytes();
    uuid::Builder::from_unix_timestamp_millis(
        (time_us / 1000).unsigned_abs(),
        &[bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7], bytes[8], bytes[9]],
    )
    .into_uuid()
}

/// The outcome of the call with this number.
pub(crate) fn outcome(number: u64) -> Outcome {
    let jitter = i64::try_from(number.wrapping_mul(2_654_435_761) % 4096).unwrap_or(0);
    let end_us = MIDNIGHT_US + i64::try_from(number).unwrap_or(0) * 731 + 42_000 + jitter;
    Outcome {
        duration_us: 42_000 + jitter,
        request_bytes: 1024 + jitter % 97,
        response_bytes: 312 + jitter % 31,
        upstream_ip: Some(IpAddr::from([203, 0, 113, (number % 50) as u8])),
        upstream_port: Some(443),
        upstream_reused: Some(!number.is_multiple_of(9)),
        tls_version: Some("1.3".to_owned()),
        tls_cipher: Some("TLS_AES_128_GCM_SHA256".to_owned()),
        status: Some(200),
        response_content_type: Some("application/json".to_owned()),
        first_byte_us: Some(41_000 + jitter),
        audit_wait_us: Some(800 + jitter % 512),
        ..Outcome::new(end_us, OutcomeKind::Completed)
    }
}

/// The first `count` rows.
pub(crate) fn rows(count: u64) -> Vec<Row> {
    let writer = Arc::new(writer());
    (0..count)
        .map(|number| Row {
            seq: number + 1,
            writer: Arc::clone(&writer),
            intent: intent(number),
            outcome: outcome(number),
        })
        .collect()
}
