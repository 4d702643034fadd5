use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::archive::samples;
use crate::config::Overrides;
use crate::intercept::authority::Authority;
use crate::record::OutcomeKind;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A setup over a configuration in a new directory, which is the data directory as well.
pub(super) fn setup(text: &str) -> (tempfile::TempDir, Setup) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tollgate.yml");
    fs::write(&path, format!("data_dir: .\n{text}")).unwrap();
    let setup = Setup {
        config: Config::load(Some(&path), &Overrides::default()),
        data_dir: Some(dir.path().to_owned()),
        kibana_version: None,
        releases: Releases::embedded().unwrap(),
        event_log: None,
        now: SystemTime::now(),
    };
    (dir, setup)
}

/// The only finding's status and text.
fn only(findings: &[Finding]) -> (Status, &str) {
    assert_eq!(findings.len(), 1, "{findings:#?}");
    (findings[0].status, &findings[0].seen)
}

#[test]
fn all_problems_of_a_configuration_are_findings_and_the_rest_is_skipped() {
    let (_dir, setup) = setup("threads: 0\nadmin: x\n");
    let findings = configuration::loads(&setup);
    assert_eq!(findings.iter().map(|finding| finding.status).collect::<Vec<_>>(), [Status::Fail, Status::Fail]);
    assert!(
        findings[0]
            .seen
            .ends_with("tollgate.yml:2:10: threads: 0 is outside 1 to 1024: at least one worker thread is needed")
    );
    let checked = run(&setup);
    assert_eq!(checked.len(), CHECKS.len());
    assert_eq!(worst(&checked), Status::Fail);
    for checked in checked.iter().filter(|checked| matches!(checked.group, Group::Certificates)) {
        assert_eq!(only(&checked.findings).0, Status::Skip, "{}", checked.name);
    }
}

#[test]
fn what_weakens_safety_is_a_warning() {
    let (_dir, setup) = setup("audit: { durability: write }\npolicy: { mode: enforce }\n");
    let findings = configuration::warnings(&setup);
    let (status, seen) = only(&findings);
    assert_eq!(status, Status::Warn);
    assert!(seen.contains("durability"), "{seen}");
}

const CA: &str = "interception: { ca_cert_file: ca.pem, ca_key_file: ca.key }\n";

#[test]
fn the_ca_is_judged_by_its_days() {
    let (_dir, mut setup) = setup(CA);
    assert_eq!(only(&certificates::authority(&setup)).0, Status::Warn, "there is none yet");
    let settings = setup.config.as_ref().unwrap().interception.authority.clone();
    Authority::load_or_create(&settings, setup.now).unwrap();
    assert_eq!(only(&certificates::authority(&setup)).0, Status::Ok);
    assert_eq!(only(&certificates::leaf(&setup)).0, Status::Ok);
    let made = setup.now;
    for (days, status, expected) in
        [(5 * 365 - 10, Status::Warn, "in 9 days"), (5 * 365 + 1, Status::Fail, "expired on")]
    {
        setup.now = made + DAY * days + DAY / 2;
        let findings = certificates::authority(&setup);
        let (found, seen) = only(&findings);
        assert_eq!(found, status, "{seen}");
        assert!(seen.contains(expected), "{seen}");
    }
    assert_eq!(only(&certificates::leaf(&setup)).0, Status::Skip);
}

#[test]
fn a_listener_whose_key_is_another_certificates_is_found() {
    let text = "listeners: [{ name: tls, address: 127.0.0.1:3128, tls: { cert_file: a.pem, key_file: b.key } }]\n";
    let dir = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        let made = rcgen::generate_simple_self_signed(vec!["gate.test".to_owned()]).unwrap();
        fs::write(dir.path().join(format!("{name}.pem")), made.cert.pem()).unwrap();
        fs::write(dir.path().join(format!("{name}.key")), made.signing_key.serialize_pem()).unwrap();
    }
    let config = |text: &str| {
        let path = dir.path().join("tollgate.yml");
        fs::write(&path, text).unwrap();
        Config::load(Some(&path), &Overrides::default())
    };
    let (_other, mut setup) = setup("");
    setup.config = config(text);
    let findings = certificates::listeners(&setup);
    let (status, seen) = only(&findings);
    assert_eq!(status, Status::Fail);
    assert!(seen.starts_with("tls: ") && seen.contains("b.key"), "{seen}");
    setup.config = config(&text.replace("b.key", "a.key"));
    assert_eq!(only(&certificates::listeners(&setup)).0, Status::Ok);
}

#[test]
fn the_room_on_disk_is_compared_with_what_is_needed() {
    let limits = disk::Limits { free_bytes_min: 1 << 30, wait_max: Duration::from_secs(5) };
    let facts =
        |free_bytes, free_inodes, read_only| disk::Facts { dir: "/data".into(), free_bytes, free_inodes, read_only };
    for (facts, status, expected) in [
        (facts(1 << 40, None, true), Status::Fail, "/data: the file system is read-only"),
        (
            facts((1 << 30) - 1, None, false),
            Status::Fail,
            "/data: 1023 MiB free, below audit.free_bytes_min (1024 MiB): every call is refused",
        ),
        (facts(1 << 40, Some(9_999), false), Status::Warn, "/data: 9999 inodes free"),
        (facts(1 << 31, None, false), Status::Warn, "/data: 2048 MiB free; below 1024 MiB every call is refused"),
        (facts(1 << 32, Some(10_000), false), Status::Ok, "/data: 4096 MiB free"),
    ] {
        let finding = disk::judge_room(&facts, limits);
        assert_eq!((finding.status, finding.seen.as_str()), (status, expected));
    }
}

#[test]
fn a_slow_or_failing_disk_is_named() {
    let limits = disk::Limits { free_bytes_min: 1, wait_max: Duration::from_secs(5) };
    for (slowest, status) in [
        (Ok(Duration::from_millis(499)), Status::Ok),
        (Ok(Duration::from_millis(500)), Status::Warn),
        (Ok(Duration::from_secs(5)), Status::Fail),
        (Err(io::ErrorKind::PermissionDenied.into()), Status::Skip),
        (Err(io::ErrorKind::StorageFull.into()), Status::Fail),
    ] {
        let finding = disk::judge_write(Path::new("/data"), slowest, limits);
        assert_eq!(finding.status, status, "{}", finding.seen);
    }
}

#[test]
fn nothing_is_left_behind_by_the_probe_of_the_disk() {
    let (dir, setup) = setup("");
    fs::create_dir(dir.path().join("journal")).unwrap();
    let findings = disk::disk(&setup);
    assert_eq!(findings.len(), 2);
    assert!(findings[1].seen.contains("the slowest of 3 durable writes took"), "{findings:?}");
    let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort_unstable();
    assert_eq!(left, ["journal", "tollgate.yml"]);
    assert_eq!(fs::read_dir(dir.path().join("journal")).unwrap().count(), 0);
}

#[test]
fn a_clock_that_was_set_back_is_seen_by_rows_and_files() {
    let now_us = 1_795_305_600_000_000;
    let past = |row: Option<i64>, file: Option<i64>| system::Past {
        newest_row_us: row.map(|offset_us| now_us + offset_us),
        newest_file_us: file.map(|offset_us| now_us + offset_us),
    };
    for (past, status) in [
        (past(None, None), Status::Ok),
        (past(Some(-5), Some(2_000_000)), Status::Ok),
        (past(Some(-5), Some(2_000_001)), Status::Fail),
        (past(Some(2_000_001), None), Status::Fail),
    ] {
        assert_eq!(system::judge_clock(now_us, past).status, status, "{past:?}");
    }
    let finding = system::judge_clock(now_us, past(Some(3_600_000_000), None));
    assert_eq!(
        finding.seen,
        "it is 2026-11-22T00:00:00Z, but the newest row is from 2026-11-22T01:00:00Z: the clock was set back"
    );
}

#[test]
fn descriptors_are_counted_twice_for_each_connection() {
    let (_dir, setup) = setup("limits: { connections_max: 100, connections_per_client_max: 100 }\n");
    let limits = setup.config.unwrap().limits;
    for (limit, status) in [(Some(263), Status::Warn), (Some(264), Status::Ok), (None, Status::Ok)] {
        assert_eq!(system::judge_descriptors(limit, &limits).status, status, "{limit:?}");
    }
}

#[test]
fn names_are_judged_by_the_addresses_that_may_be_dialled() {
    let addresses =
        |texts: &[&str]| names::Resolved::Addresses(texts.iter().map(|text| text.parse().unwrap()).collect());
    assert_eq!(names::judge("a.test", &addresses(&["93.184.216.34"]), &[]), None);
    let internal = names::judge("a.test", &addresses(&["127.0.0.1"]), &[]).unwrap();
    assert_eq!(internal.status, Status::Fail);
    assert!(internal.seen.starts_with("a.test resolves to 127.0.0.1: "), "{}", internal.seen);
    assert_eq!(names::judge("a.test", &addresses(&["127.0.0.1"]), &["127.0.0.0/8".parse().unwrap()]), None);
    let unknown = names::judge("a.test", &names::Resolved::Not("no such name".to_owned()), &[]).unwrap();
    assert_eq!((unknown.status, unknown.seen.as_str()), (Status::Warn, "a.test does not resolve: no such name"));
}

#[test]
fn pinned_names_and_suffixes_are_not_asked_of_dns() {
    let text = "policy: { mode: enforce, rules: [{ name: r, hosts: [a.invalid, '*.b.invalid', 192.0.2.1] }] }\n\
                upstream: { resolve: { a.invalid: 192.0.2.7 } }\n";
    let (_dir, setup) = setup(text);
    assert_eq!(only(&names::resolve(&setup)).0, Status::Skip);
}

#[test]
fn each_answer_of_a_listener_means_something() {
    use probe::{Answer, ProbeError};
    use running::{Running, judge};

    let address = "127.0.0.1:3128".parse().unwrap();
    let refused = || ProbeError::Connect(io::ErrorKind::ConnectionRefused.into());
    for (answer, runs, status) in [
        (Ok(Answer::Inside(403)), Running::Yes, Status::Ok),
        (Ok(Answer::Outside(407)), Running::Yes, Status::Ok),
        (Ok(Answer::Outside(503)), Running::Yes, Status::Fail),
        (Ok(Answer::Inside(200)), Running::Yes, Status::Fail),
        (Ok(Answer::Outside(404)), Running::No, Status::Fail),
        (Err(refused()), Running::Yes, Status::Fail),
        (Err(refused()), Running::Unknown, Status::Fail),
        (Err(refused()), Running::No, Status::Skip),
        (Err(ProbeError::Tls("UnknownIssuer".to_owned())), Running::Yes, Status::Fail),
        (Err(ProbeError::Alpn), Running::Yes, Status::Fail),
        (Err(ProbeError::NotHttp), Running::Yes, Status::Fail),
    ] {
        let finding = judge("plain", &answer, runs, address);
        assert_eq!(finding.status, status, "{answer:?}");
        assert_eq!(finding.fix.is_some(), status == Status::Fail, "{answer:?}");
    }
}

#[test]
fn rejections_are_counted_by_client_with_the_newest_of_each() {
    let row = |seq: u64, time_us: i64, client: Option<&str>, host: &str| {
        let mut row = samples::row(seq, time_us);
        row.outcome.outcome = OutcomeKind::ClientRejectedCa;
        row.intent.client_identity = client.map(str::to_owned);
        row.intent.host = Some(host.to_owned());
        row
    };
    let rows = [
        row(1, 1_000_000, Some("lab"), "a.test"),
        row(2, 3_000_000, Some("lab"), "b.test"),
        row(3, 2_000_000, None, "c.test"),
    ];
    let findings = rejected::judge(&rows, "do this");
    let seen: Vec<&str> = findings.iter().map(|finding| finding.seen.as_str()).collect();
    assert_eq!(
        seen,
        [
            "127.0.0.1 refused our certificate 1 times in the last 24 hours, last at 1970-01-01T00:00:02Z for c.test",
            "lab refused our certificate 2 times in the last 24 hours, last at 1970-01-01T00:00:03Z for b.test",
        ]
    );
    assert!(findings.iter().all(|finding| finding.fix.as_deref() == Some("do this")));
    assert_eq!(only(&rejected::judge(&[], "")).0, Status::Ok);
}

#[test]
fn calls_that_interception_may_have_broken_are_told_with_the_remedy() {
    let own = "connectors: [{ id: .hooks, hosts: [hooks.corp.test], avoid_interception: client-certificate }]";
    let catalogue = crate::connectors::Catalogue::extended(own).unwrap();
    let row = |seq: u64, host: &str, outcome: OutcomeKind, connector: Option<&str>, reached: bool| {
        let mut row = samples::row(seq, i64::try_from(seq).unwrap() * 1_000_000);
        (row.intent.host, row.intent.port) = (Some(host.to_owned()), Some(443));
        row.intent.connector_type = connector.map(str::to_owned);
        row.outcome.outcome = outcome;
        row.outcome.status = (outcome == OutcomeKind::UpstreamFailed).then_some(502);
        row.outcome.upstream_ip = reached.then_some([127, 0, 0, 1].into());
        row
    };
    let (rejected, failed) = (OutcomeKind::ClientRejectedCa, OutcomeKind::UpstreamFailed);
    let rows = [
        row(1, "hooks.corp.test", rejected, None, false),
        row(2, "hooks.corp.test", failed, Some(".hooks"), true),
        row(3, "llm.corp.test", failed, Some(".gen-ai"), true),
        row(4, "x.gr7.eu-west-1.eks.amazonaws.com", rejected, None, false),
        // What follows has other reasons: no connection, hosts for everybody, no such connector.
        row(5, "hooks.corp.test", failed, Some(".hooks"), false),
        row(6, "api.openai.com", failed, Some(".gen-ai"), true),
        row(7, "hooks.slack.com", rejected, None, false),
        row(8, "y.eks.amazonaws.com", failed, Some(".aws_eks"), true),
        row(9, "unknown.test", rejected, None, false),
    ];
    let findings = avoided::judge(&rows, &catalogue);
    let seen: Vec<&str> = findings.iter().map(|finding| finding.seen.as_str()).collect();
    assert_eq!(
        seen,
        [
            "interception may have broken calls of .aws_eks to x.gr7.eu-west-1.eks.amazonaws.com (1 in the last 24 hours, last \
             at 1970-01-01T00:00:04Z): it may trust only the service's own CA, and not Tollgate's",
            "interception may have broken calls of .gen-ai to llm.corp.test (1 in the last 24 hours, last at \
             1970-01-01T00:00:03Z): it may show a client certificate, which interception cannot pass on",
            "interception may have broken calls of .hooks to hooks.corp.test (2 in the last 24 hours, last at \
             1970-01-01T00:00:02Z): it may show a client certificate, which interception cannot pass on",
        ]
    );
    let fixes: Vec<&str> = findings.iter().filter_map(|finding| finding.fix.as_deref()).collect();
    assert_eq!(fixes[0], "name the host in tunnel_hosts");
    assert!(fixes[2].contains("client_cert") && fixes[2].contains("tunnel_hosts"), "{fixes:?}");
    assert_eq!(only(&avoided::judge(&rows[4..], &catalogue)).0, Status::Ok);
}

#[test]
fn blind_spots_are_those_of_the_version() {
    let (_dir, mut setup) = setup("");
    assert_eq!(only(&blind_spots::of_version(&setup)).0, Status::Skip);
    let seen = |setup: &Setup, connector: &str| {
        blind_spots::of_version(setup).into_iter().find(|finding| finding.seen.contains(connector)).unwrap()
    };
    setup.kibana_version = Some("8.15".parse().unwrap());
    assert_eq!(seen(&setup, ".bedrock").status, Status::Warn);
    assert!(seen(&setup, ".gen-ai").seen.starts_with(".gen-ai: streamed answers"));
    setup.kibana_version = Some("9.4".parse().unwrap());
    let closed = seen(&setup, ".bedrock");
    assert_eq!(closed.status, Status::Ok);
    assert_eq!(closed.seen, "Kibana 9.4 has no known way past the proxy for .gen-ai, .bedrock, .mcp");
    assert!(seen(&setup, ".http").seen.contains("look for #256491"));
}
