//! Rows for tests: plain ones, and a strategy over every column with nulls, Unicode and extreme values.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use uuid::Uuid;

use super::chain::Chain;
use super::cover::{self, CoverError};
use super::digest::Sha256;
use super::manifest::Start;
use super::seal::{self, SealError, Sealed, Settings};
use super::sealer::Opening;
use super::statement::{RecoverySummary, RefusedReloadStatement, StartStatement, StopReason, StopStatement};
use crate::journal::segment::SegmentBytes;
use crate::record::{Decision, DenyReason, IdAssurance, Intent, Kind, Outcome, OutcomeKind, Row, Writer};

/// 2026-11-22T00:00:00Z.
pub(crate) const MIDNIGHT_US: i64 = 1_795_305_600_000_000;

pub(crate) fn writer() -> Arc<Writer> {
    Arc::new(Writer { instance_id: "gate-1".to_owned(), boot_id: Uuid::from_u128(0xb007), epoch: 7 })
}

/// What the chain says first of the start that wrote the rows.
pub(crate) fn opening() -> Opening {
    let statement = StartStatement {
        version: "1.2.3".to_owned(),
        policy_hash: "p".to_owned(),
        config_sha256: None,
        catalogue_sha256: Sha256::of(b"catalogue"),
        durability: "fsync".to_owned(),
        on_failure: "refuse".to_owned(),
        recovery: RecoverySummary::default(),
    };
    Opening { start: start(), statement }
}

/// What the chain says last of it.
pub(crate) const STOP: StopStatement = StopStatement { reason: StopReason::Terminated, last_seq: 9 };

/// A policy that was refused while `policy_hash` was in force.
pub(crate) fn refused(policy_hash: &str, problems: u64) -> RefusedReloadStatement {
    RefusedReloadStatement {
        policy_hash: policy_hash.to_owned(),
        problems,
        config_sha256: None,
        policy_sha256: Some(Sha256::of(b"refused")),
        connectors_sha256: None,
    }
}

/// The start that wrote the rows.
pub(crate) fn start() -> Start {
    Start { instance_id: "gate-1".to_owned(), epoch: 7 }
}

/// A row with every optional column null. Its event id follows from `seq`.
pub(crate) fn row(seq: u64, event_time_us: i64) -> Row {
    Row { seq, writer: writer(), intent: intent(Uuid::from_u128(u128::from(seq)), event_time_us), outcome: outcome() }
}

/// A closed segment with these rows, which are of one writer.
pub(crate) fn segment(rows: &[Row]) -> SegmentBytes {
    let writer = rows.first().map_or_else(writer, |row| Arc::clone(&row.writer));
    SegmentBytes::of_rows(Path::new("sample.journal"), &writer, rows).expect("encodes")
}

/// Seals the rows of a segment.
pub(crate) fn seal(settings: &Settings, rows: &[Row]) -> Result<Vec<Sealed>, SealError> {
    seal::seal(settings, &segment(rows).rows().expect("undamaged"))
}

/// Signs for what was sealed of the rows of a segment.
pub(crate) fn cover(chain: &mut Chain, rows: &[Row], written: &[Sealed], time_us: i64) -> Result<(), CoverError> {
    cover::cover(chain, &segment(rows).rows().expect("undamaged"), written, time_us)
}

fn intent(event_id: Uuid, event_time_us: i64) -> Intent {
    Intent::new(event_id, event_time_us, Kind::Http, SocketAddr::from((Ipv4Addr::LOCALHOST, 40_000)))
}

fn outcome() -> Outcome {
    Outcome::new(0, OutcomeKind::Completed)
}

fn text() -> impl Strategy<Value = Option<String>> {
    option::of(prop_oneof![Just(String::new()), "[a-z./-]{1,20}", "\\PC{0,12}", ".{0,6}"])
}

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![Just(i64::MIN), Just(-1), Just(0), Just(i64::MAX), any::<i64>()]
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<Ipv4Addr>().prop_map(IpAddr::V4),
        any::<Ipv6Addr>().prop_map(IpAddr::V6),
        any::<Ipv4Addr>().prop_map(|v4| IpAddr::V6(v4.to_ipv6_mapped())),
    ]
}

fn one_of<T: Copy + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = T> {
    proptest::sample::select(all)
}

/// Any row, every column filled independently.
pub(crate) fn any_row() -> impl Strategy<Value = Row> {
    (any_intent(), any_outcome(), 0..=i64::MAX as u64).prop_map(|(intent, outcome, seq)| Row {
        seq,
        writer: writer(),
        intent,
        outcome,
    })
}

fn any_intent() -> impl Strategy<Value = Intent> {
    let enums = (
        one_of(Kind::ALL),
        one_of(IdAssurance::ALL),
        option::of(one_of(Decision::ALL)),
        option::of(one_of(DenyReason::ALL)),
    );
    let ports = (any::<u16>(), option::of(any::<u16>()));
    (any::<u128>(), number(), enums, address(), ports, vec(text(), 23)).prop_map(
        |(id, event_time_us, (kind, id_assurance, decision, deny_reason), client_ip, (client_port, port), texts)| {
            let mut texts = texts.into_iter();
            Intent {
                kind,
                id_assurance,
                decision,
                deny_reason,
                client_ip,
                client_port,
                port,
                deployment_id: texts.next().flatten(),
                project_id: texts.next().flatten(),
                client_identity: texts.next().flatten(),
                user_agent: texts.next().flatten(),
                user_agent_product: texts.next().flatten(),
                connector_type: texts.next().flatten(),
                connector_id: texts.next().flatten(),
                connector_source: texts.next().flatten(),
                method: texts.next().flatten(),
                scheme: texts.next().flatten(),
                host: texts.next().flatten(),
                host_raw: texts.next().flatten(),
                connect_host: texts.next().flatten(),
                sni: texts.next().flatten(),
                host_header: texts.next().flatten(),
                path: texts.next().flatten(),
                query: texts.next().flatten(),
                url_fingerprint: texts.next().flatten(),
                url_fingerprint_key: texts.next().flatten(),
                http_version: texts.next().flatten(),
                request_content_type: texts.next().flatten(),
                policy_rule: texts.next().flatten(),
                policy_hash: texts.next().flatten(),
                ..intent(Uuid::from_u128(id), event_time_us)
            }
        },
    )
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    let upstream = (option::of(address()), option::of(any::<u16>()), vec(option::of(any::<bool>()), 2));
    let ends = (one_of(OutcomeKind::ALL), option::of(any::<u16>()));
    (vec(number(), 4), vec(option::of(number()), 5), vec(text(), 7), upstream, ends).prop_map(
        |(numbers, times, texts, (upstream_ip, upstream_port, booleans), (outcome, status))| Outcome {
            end_time_us: numbers[0],
            duration_us: numbers[1],
            request_bytes: numbers[2],
            upstream_ip,
            upstream_port,
            upstream_reused: booleans[0],
            tls_version: texts[0].clone(),
            tls_cipher: texts[1].clone(),
            upstream_cert_sha256: texts[2].clone(),
            status,
            response_content_type: texts[3].clone(),
            response_bytes: numbers[3],
            dns_us: times[0],
            connect_us: times[1],
            tls_us: times[2],
            first_byte_us: times[3],
            audit_wait_us: times[4],
            outcome,
            error: texts[4].clone(),
            request_excerpt: texts[5].clone(),
            response_excerpt: texts[6].clone(),
            upstream_verified: booleans[1],
        },
    )
}
