//! Writes a small audit dataset to try queries and readers on: `cargo run --example sample_dataset -- DIR`.
//!
//! Four files over two UTC days, by two runs of one instance; the same rows every time. `tests/readers/check.py` opens
//! it with the engines people use, `tollgate verify --data-dir DIR` verifies it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use tollgate::archive::chain::Chain;
use tollgate::archive::cover::cover;
use tollgate::archive::{Settings, Signer, seal};
use tollgate::journal::segment::SegmentBytes;
use tollgate::record::{Decision, DenyReason, IdAssurance, Intent, Kind, Outcome, OutcomeKind, Row, Writer};
use uuid::Uuid;

/// 2026-11-21T23:00:00Z: an hour before the day turns.
const START_US: i64 = 1_795_302_000_000_000;
const ROWS_PER_RUN: u64 = 500;
/// So that half of the rows of a run fall on either side of midnight.
const INTERVAL_US: i64 = 14_400_000;

fn main() -> anyhow::Result<()> {
    let data_dir = std::env::args_os().nth(1).map(PathBuf::from);
    let data_dir = data_dir.context("usage: sample_dataset DIR")?;
    let settings = Settings::new(&data_dir);
    seal::prepare(&settings)?;
    let keys = data_dir.join("keys");
    std::fs::create_dir_all(&keys)?;
    let mut chain = Chain::open(settings.clone(), Signer::load_or_create(&keys)?)?;
    for epoch in 1..=2 {
        let boot_id = Uuid::from_u128(u128::from(epoch) << 64);
        let writer = Arc::new(Writer { instance_id: "sample".to_owned(), boot_id, epoch });
        let rows: Vec<Row> = (1..=ROWS_PER_RUN).map(|seq| row(&writer, seq)).collect();
        let segment = SegmentBytes::of_rows(&data_dir, &writer, &rows)?;
        let rows = segment.rows()?;
        let written = seal::seal(&settings, &rows)?;
        for file in &written {
            println!("{} ({} rows, {} bytes)", file.path.display(), file.rows(), file.bytes());
        }
        cover(&mut chain, &rows, &written, START_US + INTERVAL_US * ROWS_PER_RUN as i64)?;
    }
    Ok(())
}

fn row(writer: &Arc<Writer>, seq: u64) -> Row {
    let refused = seq.is_multiple_of(7);
    let event_time_us = START_US + seq as i64 * INTERVAL_US;
    let event_id = Uuid::from_u128((u128::from(writer.epoch) << 64) | u128::from(seq));
    Row {
        seq,
        writer: Arc::clone(writer),
        intent: intent(event_id, event_time_us, seq, refused),
        outcome: outcome(event_time_us, seq, refused),
    }
}

fn intent(event_id: Uuid, event_time_us: i64, seq: u64, refused: bool) -> Intent {
    let host = if refused { "pastebin.example" } else { "hooks.slack.com" };
    let deployment_id = (!seq.is_multiple_of(3)).then(|| format!("deployment{}", seq % 5));
    let product = "axios/1.7.2";
    let fragment = deployment_id.as_ref().map(|id| format!(" elastic (deployment:{id})")).unwrap_or_default();
    Intent {
        event_id,
        event_time_us,
        kind: Kind::Intercepted,
        id_assurance: if deployment_id.is_some() { IdAssurance::Claimed } else { IdAssurance::Absent },
        deployment_id,
        project_id: None,
        client_identity: Some("prod-kibana".to_owned()),
        client_ip: IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3)),
        client_port: 40_000 + (seq % 1_000) as u16,
        user_agent: Some(format!("{product}{fragment}")),
        user_agent_product: Some(product.to_owned()),
        connector_type: None,
        connector_id: None,
        connector_source: None,
        method: Some("POST".to_owned()),
        scheme: Some("https".to_owned()),
        host: Some(host.to_owned()),
        port: Some(443),
        host_raw: Some(host.to_owned()),
        connect_host: Some(format!("{host}:443")),
        sni: Some(host.to_owned()),
        host_header: Some(host.to_owned()),
        path: Some("/services/{team}/{bot}/{secret}".to_owned()),
        query: None,
        url_fingerprint: Some(format!("{seq:064x}")),
        url_fingerprint_key: Some("5f2a9c01".to_owned()),
        http_version: Some("HTTP/1.1".to_owned()),
        request_content_type: Some("application/json".to_owned()),
        decision: Some(if refused { Decision::Deny } else { Decision::Allow }),
        policy_rule: (!refused).then(|| "slack-for-all".to_owned()),
        policy_hash: Some("2c26b46b68ffc68f".to_owned()),
        deny_reason: refused.then_some(DenyReason::HostNotAllowed),
    }
}

fn outcome(event_time_us: i64, seq: u64, refused: bool) -> Outcome {
    let duration_us = 20_000 + (seq % 100) as i64;
    let reached = |value: i64| (!refused).then_some(value);
    Outcome {
        end_time_us: event_time_us + duration_us,
        duration_us,
        request_bytes: 512,
        upstream_ip: (!refused).then_some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7))),
        upstream_port: (!refused).then_some(443),
        upstream_reused: (!refused).then_some(seq.is_multiple_of(2)),
        tls_version: (!refused).then(|| "TLSv1.3".to_owned()),
        tls_cipher: (!refused).then(|| "TLS13_AES_256_GCM_SHA384".to_owned()),
        upstream_cert_sha256: (!refused).then(|| format!("{:064x}", 7)),
        status: Some(if refused { 403 } else { 200 }),
        response_content_type: Some("application/json".to_owned()),
        response_bytes: 128,
        dns_us: reached(900),
        connect_us: reached(5_000),
        tls_us: reached(7_000),
        first_byte_us: reached(12_000),
        audit_wait_us: Some(300),
        outcome: if refused { OutcomeKind::Denied } else { OutcomeKind::Completed },
        error: None,
        request_excerpt: None,
        response_excerpt: None,
        upstream_verified: (!refused).then_some(true),
    }
}
