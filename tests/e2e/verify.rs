//! `tollgate verify` over what a real run left behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, Int64Array, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::chain::kinds;
use crate::harness::{Gate, Origin, respond};

fn verify(dir: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tollgate")).args(["verify", "--json", "--copy"]).arg(dir).output().unwrap()
}

fn report(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn call(gate: &Gate, origin: &Origin) {
    let authority = format!("hub.test:{}", origin.port());
    let mut client = gate.client();
    client.send(format!("GET http://{authority}/ HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
    assert_eq!(client.answer_to("GET").status, 200);
}

fn gate() -> (Gate, Origin) {
    let origin = Origin::serving(None, |_, stream| stream.write_all(&respond(200, "hello")).is_ok());
    (Gate::builder().allow("hub.test").resolve("hub.test").start(), origin)
}

/// The only sealed file below a data directory.
fn sealed_file(data_dir: &Path) -> PathBuf {
    let partition = fs::read_dir(data_dir.join("audit")).unwrap().next().unwrap().unwrap().path();
    fs::read_dir(partition).unwrap().next().unwrap().unwrap().path()
}

#[test]
fn what_a_run_left_is_intact_until_a_byte_changes() {
    let (mut gate, origin) = gate();
    call(&gate, &origin);
    assert_eq!(gate.stop(), Some(0));
    let verified = verify(&gate.data_dir());
    let said = report(&verified);
    assert_eq!(verified.status.code(), Some(0), "{said}");
    assert_eq!((&said["verdict"], &said["rows"], &said["entries"]), (&"intact".into(), &1.into(), &3.into()));

    let path = sealed_file(&gate.data_dir());
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, bytes).unwrap();
    let verified = verify(&gate.data_dir());
    let said = report(&verified);
    assert_eq!(verified.status.code(), Some(1), "{said}");
    assert_eq!(said["problems"][0]["code"], "file_modified");
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(said["problems"][0]["place"].as_str().unwrap().ends_with(name), "{said}");
}

/// The file is written again by another tool's means: the rows of two calls, the second of which was edited.
#[test]
fn the_row_that_was_edited_is_named_in_json_and_in_the_text() {
    let (mut gate, origin) = gate();
    call(&gate, &origin);
    call(&gate, &origin);
    let ids: Vec<String> = gate.rows_of(2).iter().map(|row| row.get("event_id")).collect();
    assert_eq!(gate.stop(), Some(0));
    let path = sealed_file(&gate.data_dir());
    let reader = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(&path).unwrap()).unwrap().build().unwrap();
    let batch = reader.map(Result::unwrap).next().unwrap();
    let (at, field) = batch.schema().column_with_name("response_bytes").map(|(at, field)| (at, field.clone())).unwrap();
    let bytes: &Int64Array = batch.column(at).as_primitive();
    let mut columns = batch.columns().to_vec();
    columns[at] = Arc::new(Int64Array::from(vec![bytes.value(0), bytes.value(1) + 1]));
    assert_eq!(field.data_type(), columns[at].data_type());
    let edited = RecordBatch::try_new(batch.schema(), columns).unwrap();
    let mut writer = ArrowWriter::try_new(fs::File::create(&path).unwrap(), edited.schema(), None).unwrap();
    writer.write(&edited).unwrap();
    writer.close().unwrap();

    let verified = verify(&gate.data_dir());
    let said = report(&verified);
    assert_eq!((verified.status.code(), said["problems"].as_array().map(Vec::len)), (Some(1), Some(1)), "{said}");
    let row = serde_json::json!({
        "change": "changed", "row": 1, "signed_row": 1, "seq": 2, "event_id": ids[1]
    });
    let place = &said["problems"][0]["place"];
    let expected = serde_json::json!([
        { "place": place, "changed": 1, "added": 0, "removed": 0, "moved": 0, "rows": [row] }
    ]);
    assert_eq!(said["changed_rows"], expected);

    let text =
        Command::new(env!("CARGO_BIN_EXE_tollgate")).args(["verify", "--copy"]).arg(gate.data_dir()).output().unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    let changed = format!("Changed    {}: rows: 1 changed, 0 added, 0 removed, 0 moved\n", place.as_str().unwrap());
    let row = format!("           row 1: changed, now seq 2, event_id {}; row 1 as signed\n", ids[1]);
    assert!(text.ends_with(&format!("{changed}{row}")), "{text}");
}

#[test]
fn a_killed_run_is_intact_with_a_tail_and_the_chain_goes_on_after_it() {
    let (mut gate, origin) = gate();
    call(&gate, &origin);
    gate.rows_of(1);
    gate.kill();
    fs::create_dir_all(gate.data_dir().join("audit")).unwrap();
    let said = report(&verify(&gate.data_dir()));
    assert_eq!((&said["verdict"], &said["unsealed_rows"], &said["rows"]), (&"intact".into(), &1.into(), &0.into()));

    gate.spawn();
    call(&gate, &origin);
    assert_eq!(gate.stop(), Some(0));
    let verified = verify(&gate.data_dir());
    let said = report(&verified);
    assert_eq!(verified.status.code(), Some(0), "{said}");
    assert_eq!((&said["unsealed_rows"], &said["rows"], &said["head"]["index"]), (&0.into(), &2.into(), &5.into()));
}

#[test]
fn a_directory_without_evidence_is_a_usage_error() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(verify(dir.path()).status.code(), Some(64));
}

/// A crash after a file was published and before its manifest was: the journal still has the segment.
#[test]
fn a_file_whose_manifest_was_not_written_before_a_crash_is_signed_for_at_the_next_start() {
    let (mut gate, origin) = gate();
    call(&gate, &origin);
    gate.rows_of(1);
    gate.kill();
    let journal = gate.data_dir().join("journal");
    let segments: Vec<(PathBuf, Vec<u8>)> = fs::read_dir(&journal)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    gate.spawn();
    assert_eq!(gate.stop(), Some(0));
    // Start, start, file, stop: as if the second start had died before it signed for the file.
    let [manifest, stop] = [3, 4].map(|index| gate.data_dir().join(format!("manifest/{index:08}.json")));
    fs::remove_file(&manifest).unwrap();
    fs::remove_file(&stop).unwrap();
    for (path, bytes) in segments {
        fs::write(path, bytes).unwrap();
    }
    let said = report(&verify(&gate.data_dir()));
    assert_eq!(
        (&said["verdict"], said["being_sealed"].as_array().map(Vec::len)),
        (&"intact".into(), Some(1)),
        "{said}"
    );

    let file = fs::read(sealed_file(&gate.data_dir())).unwrap();
    gate.spawn();
    assert_eq!(gate.stop(), Some(0));
    let said = report(&verify(&gate.data_dir()));
    assert_eq!((&said["verdict"], &said["rows"], &said["unsealed_rows"]), (&"intact".into(), &1.into(), &0.into()));
    assert_eq!(kinds(&gate.data_dir()), ["start", "start", "start", "file", "stop"]);
    assert_eq!(fs::read(sealed_file(&gate.data_dir())).unwrap(), file);
}

#[test]
fn the_text_names_the_file_and_the_verdict() {
    let (mut gate, origin) = gate();
    call(&gate, &origin);
    assert_eq!(gate.stop(), Some(0));
    fs::remove_file(sealed_file(&gate.data_dir())).unwrap();
    let verified = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(["verify", "--data-dir"])
        .arg(gate.data_dir())
        .output()
        .unwrap();
    assert_eq!(verified.status.code(), Some(1));
    let text = String::from_utf8(verified.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("audit/event_date=") && lines[0].ends_with(".parquet: is missing"), "{text}");
    assert_eq!(lines[1..3], ["Verdict    tampered", "Problems   1"]);
}
