use std::fs;

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::Status;
use super::super::tests::setup;
use super::*;

fn document(connector_type: &str, id: &str, start: &str, end: &str) -> serde_json::Value {
    serde_json::json!({
        "@timestamp": end,
        "event": {
            "provider": "actions", "action": "execute", "kind": "action", "outcome": "success",
            "start": start, "end": end, "duration": "250000000",
        },
        "kibana": {
            "saved_objects": [
                { "rel": "primary", "type": "action", "id": id, "type_id": connector_type },
                { "rel": "primary", "type": "alert", "id": "r", "type_id": ".es-query" },
            ],
            "action": { "id": id, "type_id": connector_type, "execution": { "uuid": "u" } },
        },
        "message": format!("action executed: {connector_type}:{id}: name"),
    })
}

const START: &str = "2026-11-22T00:00:01.000Z";
const END: &str = "2026-11-22T00:00:02.000Z";
const START_US: i64 = 1_795_305_601_000_000;

fn read_text(text: &str) -> Export {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    read::read(file.path()).unwrap()
}

#[test]
fn both_forms_of_an_export_hold_the_same_executions() {
    let document = document(".slack", "c1", START, END);
    let expected = Execution {
        connector_id: "c1".to_owned(),
        connector_type: ".slack".to_owned(),
        start_us: START_US,
        end_us: START_US + 1_000_000,
        failed: false,
    };
    let hit = serde_json::json!({ "_index": ".ds-.kibana-event-log-ds", "_source": document });
    let response = serde_json::json!({ "took": 1, "hits": { "total": { "value": 1 }, "hits": [hit] } });
    for text in [format!("{document}\n"), format!("\n{hit}"), response.to_string(), format!("{response:#}")] {
        let export = read_text(&text);
        assert_eq!(export.executions, std::slice::from_ref(&expected), "{text}");
        assert_eq!((export.documents, export.bad_count), (1, 0));
    }
}

#[test]
fn other_events_are_not_executions() {
    let mut started = document(".slack", "c1", START, END);
    started["event"]["action"] = "execute-start".into();
    let mut rule = document(".slack", "c1", START, END);
    rule["event"]["provider"] = "alerting".into();
    let export = read_text(&format!("{started}\n{rule}\n"));
    assert_eq!((export.executions.len(), export.documents, export.bad_count), (0, 2, 0));
}

#[test]
fn a_missing_start_is_told_from_the_duration_in_nanoseconds() {
    for duration in [serde_json::json!(250_000_000), serde_json::json!("250000000")] {
        let mut document = document(".slack", "c1", START, END);
        document["event"]["duration"] = duration;
        document["event"]["start"] = serde_json::Value::Null;
        let export = read_text(&document.to_string());
        assert_eq!(export.executions[0].start_us, START_US + 750_000, "{export:?}");
    }
}

#[test]
fn bad_lines_are_named_by_number_and_the_others_are_read() {
    let good = document(".slack", "c1", START, END);
    let mut backwards = good.clone();
    backwards["event"]["start"] = "2026-11-22T00:00:03.000Z".into();
    let mut nobody = good.clone();
    nobody["kibana"] = serde_json::json!({});
    let export = read_text(&format!("not json\n{good}\n{{\"event\": 7}}\n\n{backwards}\n{nobody}\n[1]\n{good}"));
    let lines: Vec<u64> = export.bad_lines.iter().map(|bad| bad.line).collect();
    assert_eq!((lines, export.bad_count, export.executions.len()), (vec![1, 3, 5, 6, 7], 5, 2));
    assert_eq!(export.bad_lines[2].reason, "an execution that ends before it starts");
    assert_eq!(export.bad_lines[3].reason, "an execution without the id of its connector");
}

#[test]
fn a_text_that_ends_too_early_is_bad_and_not_a_panic() {
    let export = read_text("{\"hits\": {\n\"hits\": [\n");
    assert_eq!((export.bad_count, export.executions.len()), (1, 0));
    assert_eq!(read_text(""), Export::default());
}

fn execution(connector_type: &str, start_us: i64, end_us: i64) -> Execution {
    let connector_id = format!("id-{start_us}");
    Execution { connector_id, connector_type: connector_type.to_owned(), start_us, end_us, failed: false }
}

fn evidence_of(executions: &[Execution], rows: &[Seen]) -> Vec<Evidence> {
    evidence(executions, rows, |connector_type| connector_type == ".webhook")
}

fn seen_row(connector_type: Option<&str>, time_us: i64) -> Seen {
    Seen { time_us, connector_type: connector_type.map(str::to_owned) }
}

#[test]
fn one_row_is_evidence_for_one_execution_only() {
    let executions = [execution(".slack", 0, 10), execution(".slack", 0, 10)];
    let evidence = evidence_of(&executions, &[seen_row(Some(".slack"), 5)]);
    assert_eq!(evidence.iter().filter(|evidence| **evidence == Evidence::Row).count(), 1);
    assert_eq!(evidence.iter().filter(|evidence| **evidence == Evidence::None).count(), 1);
}

#[test]
fn the_tolerance_is_where_it_is_said_to_be() {
    for (time_us, expected) in [
        (-TOLERANCE_US - 1, Evidence::None),
        (-TOLERANCE_US, Evidence::Row),
        (10 + TOLERANCE_US, Evidence::Row),
        (11 + TOLERANCE_US, Evidence::None),
    ] {
        assert_eq!(
            evidence_of(&[execution(".slack", 0, 10)], &[seen_row(Some(".slack"), time_us)]),
            [expected],
            "{time_us}"
        );
    }
}

#[test]
fn a_row_of_another_connector_is_none_and_an_unnamed_one_is_marked() {
    let slack = [execution(".slack", 0, 10)];
    assert_eq!(evidence_of(&slack, &[seen_row(Some(".teams"), 5)]), [Evidence::None]);
    assert_eq!(evidence_of(&slack, &[seen_row(None, 5)]), [Evidence::RowByTime]);
    assert_eq!(evidence_of(&slack, &[seen_row(None, 5), seen_row(Some(".slack"), 6)]), [Evidence::Row]);
}

#[test]
fn a_connector_that_calls_any_host_may_own_what_looks_like_another_connectors_call() {
    let executions = [execution(".webhook", 0, 10), execution(".slack", 0, 10)];
    let rows = [seen_row(Some(".slack"), 5)];
    assert_eq!(evidence_of(&executions, &rows), [Evidence::None, Evidence::Row]);
    let rows = [seen_row(Some(".slack"), 5), seen_row(Some(".slack"), 6)];
    assert_eq!(evidence_of(&executions, &rows), [Evidence::RowByTime, Evidence::Row]);
    let rows = [seen_row(None, 5), seen_row(Some(".teams"), 6)];
    assert_eq!(evidence_of(&executions, &rows), [Evidence::RowByTime, Evidence::RowByTime]);
}

/// The most pairs there can be, found by trying (Kuhn's algorithm).
fn most_pairs(executions: &[Execution], times: &[i64]) -> usize {
    fn place(one: usize, fits: &[Vec<usize>], taken: &mut [Option<usize>], tried: &mut [bool]) -> bool {
        for &time in &fits[one] {
            if !std::mem::replace(&mut tried[time], true)
                && taken[time].is_none_or(|other| place(other, fits, taken, tried))
            {
                taken[time] = Some(one);
                return true;
            }
        }
        false
    }
    let within = |execution: &Execution, time_us: i64| {
        (execution.start_us - TOLERANCE_US..=execution.end_us + TOLERANCE_US).contains(&time_us)
    };
    let fits: Vec<Vec<usize>> = executions
        .iter()
        .map(|execution| (0..times.len()).filter(|time| within(execution, times[*time])).collect())
        .collect();
    let mut taken = vec![None; times.len()];
    (0..executions.len()).filter(|one| place(*one, &fits, &mut taken, &mut vec![false; times.len()])).count()
}

proptest! {
    #[test]
    fn no_execution_is_said_to_have_no_row_that_could_have_one(
        spans in vec((0..40_i64, 0..12_i64), 0..12),
        seconds in vec(-8..60_i64, 0..12),
    ) {
        let executions: Vec<Execution> = spans
            .iter()
            .map(|(start, length)| execution(".slack", start * 1_000_000, (start + length) * 1_000_000))
            .collect();
        let times: Vec<i64> = seconds.iter().map(|second| second * 1_000_000).collect();
        let rows: Vec<Seen> = times.iter().map(|time_us| seen_row(Some(".slack"), *time_us)).collect();
        let found = evidence_of(&executions, &rows).into_iter().filter(|evidence| *evidence == Evidence::Row).count();
        prop_assert_eq!(found, most_pairs(&executions, &times));
    }
}

#[test]
fn what_is_missing_fails_unless_a_way_past_the_proxy_is_known() {
    let (_dir, mut setup) = setup("");
    let executions = [
        execution(".slack", 0, 1),
        execution(".bedrock", 0, 1),
        execution(".server-log", 0, 1),
        execution(".teams", 0, 1),
    ];
    let rows = [seen_row(Some(".teams"), 1)];
    let judged = |setup: &Setup| {
        let findings = judge(setup, &executions, &rows);
        let statuses =
            findings.iter().map(|finding| (finding.seen.split(' ').next().unwrap().to_owned(), finding.status));
        statuses.collect::<Vec<_>>()
    };
    let expected = |bedrock| {
        [(".bedrock:", bedrock), (".slack:", Status::Fail), (".teams:", Status::Ok), ("1", Status::Ok)]
            .map(|(connector, status)| (connector.to_owned(), status))
    };
    setup.kibana_version = Some("8.15".parse().unwrap());
    assert_eq!(judged(&setup), expected(Status::Warn));
    setup.kibana_version = Some("9.4.2".parse().unwrap());
    assert_eq!(judged(&setup), expected(Status::Fail));
    let finding = judge(&setup, &executions[..1], &[]).remove(0);
    assert_eq!(
        finding.seen,
        ".slack: 1 executions, 0 with a row of this connector, 0 with some row at that time, 1 without (tolerance 5 s)"
    );
    assert_eq!(finding.details, ["connector id-0 from 1970-01-01T00:00:00Z to 1970-01-01T00:00:00Z"]);
}

#[test]
fn a_connector_that_several_types_share_is_not_known_for_certain() {
    let mut row = crate::archive::samples::row(1, 7);
    row.intent.connector_type = Some(".servicenow".to_owned());
    row.intent.connector_source = Some("shared".to_owned());
    assert_eq!(seen(&row), seen_row(None, 7));
    row.intent.connector_source = Some("host_path".to_owned());
    assert_eq!(seen(&row), seen_row(Some(".servicenow"), 7));
}

#[test]
fn rows_are_read_page_by_page_and_each_once() {
    let times = [9, 8, 8, 7, 5, 5, 5, 2, 1];
    let rows: Vec<Row> = times.iter().map(|time_us| crate::archive::samples::row(1, *time_us)).collect();
    let page = |size: usize| {
        let rows = rows.clone();
        move |until_us| Ok(rows.iter().filter(|row| row.intent.event_time_us < until_us).take(size).cloned().collect())
    };
    for size in [4, 5, 9, 10] {
        let all = paged(page(size), 10, size).unwrap();
        assert_eq!(all.iter().map(|seen| seen.time_us).collect::<Vec<_>>(), times, "{size}");
    }
    let error = paged(page(3), 10, 3).unwrap_err();
    assert_eq!(error.status, Status::Warn, "three rows of one time do not fit");
}
