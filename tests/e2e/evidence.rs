//! The evidence: before the traffic, after a crash, without storage, and in Parquet.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, prlimit};
use tollgate::journal::segment;

use crate::harness::{Answer, Client, Gate, Origin, Row, eventually, respond};

fn call(authority: &str, id: &str) -> String {
    format!(
        "POST http://{authority}/alert HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: axios/1.7.2 elastic (deployment:{id})\r\n\
         Content-Length: 2\r\n\r\n{{}}"
    )
}

/// The deployment ids of the intents that are on disk and not settled.
fn open_intents(data_dir: &Path) -> Vec<String> {
    let mut open = Vec::new();
    for entry in fs::read_dir(data_dir.join("journal")).unwrap() {
        if let Ok(contents) = segment::read(&entry.unwrap().path()) {
            open.extend(contents.open.into_iter().filter_map(|intent| intent.deployment_id));
        }
    }
    open
}

#[test]
fn the_intent_is_on_disk_before_the_upstream_gets_the_request() {
    let (report, reported) = mpsc::channel();
    let report = Mutex::new(report);
    let data_dir: Arc<Mutex<Option<std::path::PathBuf>>> = Arc::default();
    let watched = Arc::clone(&data_dir);
    let origin = Origin::serving(None, move |_, stream| {
        let dir = watched.lock().unwrap().clone().unwrap();
        report.lock().unwrap().send(open_intents(&dir)).unwrap();
        stream.write_all(&respond(200, "hello")).is_ok()
    });
    let gate = Gate::builder().allow("hub.test").resolve("hub.test").start();
    *data_dir.lock().unwrap() = Some(gate.data_dir());
    let answer = gate.client().ask(call(&format!("hub.test:{}", origin.port()), "seen-before"));
    assert_eq!(answer.status, 200);
    assert_eq!(reported.recv().unwrap(), ["seen-before"]);
    assert_eq!(gate.row().get("outcome"), "completed");
}

#[test]
fn a_call_under_way_when_the_process_is_killed_is_interrupted_and_counted_once() {
    let (reached, arrived) = mpsc::channel();
    let reached = Mutex::new(reached);
    let origin = Origin::serving(None, move |_, stream| {
        reached.lock().unwrap().send(()).unwrap();
        let mut byte = [0];
        // Holds the call open until its connection breaks.
        let _ = stream.flush();
        thread::park_timeout(Duration::from_secs(60));
        let _ = byte.as_mut();
        false
    });
    let mut gate = Gate::builder().allow("hub.test").resolve("hub.test").start();
    let mut client = gate.client();
    client.send(call(&format!("hub.test:{}", origin.port()), "cut"));
    arrived.recv().unwrap();
    gate.kill();
    for _ in 0..2 {
        gate.spawn();
        let row = gate.row();
        assert_eq!(
            row.columns(["deployment_id", "outcome", "decision", "status"]),
            ["cut", "interrupted", "allow", ""]
        );
        gate.kill();
    }
}

fn limit_file_size(gate: &Gate, bytes: Option<u64>) {
    let maximum = rustix::process::getrlimit(Resource::Fsize).maximum;
    prlimit(Some(gate.pid()), Resource::Fsize, Rlimit { current: bytes, maximum }).unwrap();
}

fn assert_no_evidence(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.json()["reason"], "no_evidence");
    assert_eq!(answer.field("retry-after"), Some("5"));
}

/// Until storage is back, calls are refused at once; afterwards they pass again, and the refusals have their rows.
fn assert_service_stops_and_resumes(break_storage: impl Fn(&Gate), mend_storage: impl Fn(&Gate)) {
    let origin = Origin::http();
    let gate = Gate::builder().allow("hub.test").resolve("hub.test").flag("--durability", "fsync").start();
    let authority = format!("hub.test:{}", origin.port());
    assert_eq!(gate.client().ask(call(&authority, "before")).status, 200);
    gate.rows_of(1);

    break_storage(&gate);
    for id in ["during-1", "during-2"] {
        assert_no_evidence(&gate.client().ask(call(&authority, id)));
    }
    let refused = gate.client().open(&authority);
    assert_no_evidence(&refused);
    assert_eq!(origin.seen().len(), 1, "a call without evidence reached the upstream");

    mend_storage(&gate);
    let resumed = eventually("service resumes", || {
        let answer = gate.client().ask(call(&authority, "after"));
        (answer.status == 200).then_some(answer)
    });
    assert_eq!(resumed.body, "hello");
    assert_eq!(origin.seen().len(), 2);
    let completed = |rows: &[Row]| rows.iter().filter(|row| row.get("outcome") == "completed").count();
    let rows = eventually("every call has its row", || {
        let rows = gate.rows();
        let refused = rows.iter().any(|row| row.get("deployment_id") == "during-2");
        (refused && completed(&rows) >= 2).then_some(rows)
    });
    assert_eq!(completed(&rows), 2);
    for row in rows.iter().filter(|row| row.get("deployment_id").starts_with("during")) {
        assert_eq!(
            row.columns(["decision", "deny_reason", "outcome", "status"]),
            ["deny", "no_evidence", "denied", "503"]
        );
    }
}

#[test]
fn a_full_disk_stops_traffic_before_the_upstream_and_service_resumes_by_itself() {
    assert_service_stops_and_resumes(|gate| limit_file_size(gate, Some(0)), |gate| limit_file_size(gate, None));
}

#[test]
fn a_journal_directory_that_is_gone_stops_traffic_and_service_resumes_by_itself() {
    let moved = |gate: &Gate| (gate.data_dir().join("journal"), gate.data_dir().join("journal-moved"));
    assert_service_stops_and_resumes(
        |gate| {
            let (here, there) = moved(gate);
            fs::rename(&here, &there).unwrap();
            fs::write(&here, "not a directory").unwrap();
        },
        |gate| {
            let (here, there) = moved(gate);
            fs::remove_file(&here).unwrap();
            fs::rename(&there, &here).unwrap();
        },
    );
}

#[test]
fn stopping_seals_everything_to_parquet() {
    let origin = Origin::http();
    let mut gate = Gate::builder().allow("hub.test").resolve("hub.test").start();
    let authority = format!("hub.test:{}", origin.port());
    for id in ["one", "two", "three"] {
        assert_eq!(gate.client().ask(call(&authority, id)).status, 200);
    }
    assert_eq!(gate.stop(), Some(0));
    assert_eq!(fs::read_dir(gate.data_dir().join("journal")).unwrap().count(), 0, "segments are left");
    let partitions: Vec<_> = fs::read_dir(gate.data_dir().join("audit")).unwrap().flatten().collect();
    assert_eq!(partitions.len(), 1);
    let partition = partitions[0].file_name().into_string().unwrap();
    assert!(partition.starts_with("event_date=20"), "{partition}");
    let files: Vec<_> = fs::read_dir(partitions[0].path()).unwrap().flatten().collect();
    assert_eq!(files.len(), 1);
    let name = files[0].file_name().into_string().unwrap();
    assert!(name.ends_with("-1-1-3.parquet"), "{name}");
    let mut ids: Vec<String> = gate.rows().iter().map(|row| row.get("deployment_id")).collect();
    ids.sort();
    assert_eq!(ids, ["one", "three", "two"]);
    let mut seqs: Vec<String> = gate.rows().iter().map(|row| row.get("seq")).collect();
    seqs.sort();
    assert_eq!(seqs, ["1", "2", "3"]);
}

#[test]
fn rows_are_found_within_a_second_while_running_and_filters_apply() {
    let origin = Origin::http();
    let gate = Gate::builder().allow("hub.test").resolve("hub.test").resolve("evil.test").start();
    let port = origin.port();
    assert_eq!(gate.client().ask(call(&format!("hub.test:{port}"), "mine")).status, 200);
    assert_eq!(gate.client().ask(call(&format!("evil.test:{port}"), "other")).status, 403);
    gate.rows_of(2);
    let found = |flags: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .args(["records", "--json", "--data-dir"])
            .arg(gate.data_dir())
            .args(flags)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["deployment_id"].as_str().unwrap().to_owned()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(found(&["--deployment", "mine"]), ["mine"]);
    assert_eq!(found(&["--host", "*.test"]).len(), 2);
    assert_eq!(found(&["--host", "evil.test"]), ["other"]);
    assert_eq!(found(&["--decision", "deny"]), ["other"]);
    assert_eq!(found(&["--since", "1h", "--decision", "allow"]), ["mine"]);
    assert_eq!(found(&["--until", "2020-01-01"]), Vec::<String>::new());
    assert_eq!(found(&["--limit", "1"]).len(), 1);
}

#[test]
fn a_second_process_on_the_same_data_directory_is_refused() {
    let gate = Gate::builder().start();
    let output = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(["run", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(gate.data_dir())
        .arg("--ca-cert")
        .arg(gate.ca_pem())
        .arg("--ca-key")
        .arg(gate.dir.path().join("ca.key"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("another Tollgate is using this data directory"), "{said}");
}

#[test]
fn an_unfinished_request_head_leaves_a_row_too() {
    let gate = Gate::builder().start();
    let mut client = Client::connect(gate.address());
    client.send("POST http://hub.test/ HTTP/1.1\r\nHost: hub");
    drop(client);
    let row = gate.row();
    assert_eq!(row.columns(["outcome", "upstream_ip"])[1], "");
    assert!(["client_aborted", "denied"].contains(&row.get("outcome").as_str()), "{row:?}");
}
