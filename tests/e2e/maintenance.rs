//! Days go by: a running gate compacts what it sealed, and removes what is too old and not held.

use std::fs;
use std::process::{Command, Output};

use crate::harness::{Gate, Origin, eventually};

const DAY_US: i64 = 86_400_000_000;
const AUDIT: &str = "audit:
  seal_after_s: 1
  maintenance_every_s: 1
  compact_after_s: 60
  compact_grace_s: 1
  keep_days: 3
  legal_holds: [{ name: case 7, deployment: c1 }]
";

fn call(gate: &Gate, origin: &Origin, id: &str) {
    let authority = format!("hub.test:{}", origin.port());
    let mut client = gate.client();
    let status = client.ask(format!(
        "POST http://{authority}/alert HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: axios/1.7.2 elastic (deployment:{id})\r\n\
         Content-Length: 2\r\n\r\n{{}}"
    ));
    assert_eq!(status.status, 200);
}

/// Sealed files of all days.
fn files(gate: &Gate) -> usize {
    let Ok(partitions) = fs::read_dir(gate.data_dir().join("audit")) else { return 0 };
    partitions.map(|partition| fs::read_dir(partition.unwrap().path()).map_or(0, Iterator::count)).sum()
}

/// A gate that has sealed three calls into three files.
fn gate(origin: &Origin) -> Gate {
    let builder = Gate::builder().allow("hub.test").resolve("hub.test").config(AUDIT).takes_orders();
    let gate = builder.start();
    for sealed in 1..=3 {
        call(&gate, origin, &format!("c{sealed}"));
        eventually("the call is sealed", || (files(&gate) == sealed).then_some(()));
    }
    gate
}

/// Runs the program under the clock of the gate.
fn tollgate(gate: &Gate, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.args(args).env("TOLLGATE_FAULTS", gate.dir.path().join("orders"));
    command.arg("--data-dir").arg(gate.data_dir()).output().unwrap()
}

#[test]
fn a_closed_day_is_compacted_while_rows_are_read() {
    let origin = Origin::http();
    let mut gate = gate(&origin);
    gate.order(&format!("clock {}\n", DAY_US + DAY_US / 12));
    eventually("the day is compacted", || {
        let ids: Vec<String> = gate.rows().iter().map(|row| row.get("deployment_id")).collect();
        assert_eq!(ids, ["c1", "c2", "c3"], "each row is found once, always");
        (files(&gate) == 1).then_some(())
    });
    call(&gate, &origin, "c4");
    assert_eq!(gate.stop(), Some(0));
    assert_eq!(gate.rows().len(), 4);
    let verified = tollgate(&gate, &["verify"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    assert!(!gate.log().contains("evidence was disturbed"), "{}", gate.log());
}

#[test]
fn old_rows_go_only_when_the_clock_can_be_believed_and_held_ones_stay() {
    let origin = Origin::http();
    let mut gate = gate(&origin);
    gate.order(&format!("clock {}\n", 100 * DAY_US));
    eventually("the clock is doubted", || gate.log().contains("the clock is ahead").then_some(()));
    assert_eq!(gate.stop(), Some(0));
    assert_eq!(gate.rows().len(), 3, "nothing is removed by a clock that jumped");

    let config = gate.dir.path().join("tollgate.yml");
    let config = config.to_str().unwrap();
    let applied = tollgate(&gate, &["retention", "apply", "--config", config, "--yes"]);
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    let ids: Vec<String> = gate.rows().iter().map(|row| row.get("deployment_id")).collect();
    assert_eq!(ids, ["c1"]);
    let verified = tollgate(&gate, &["verify", "--json"]);
    let said: serde_json::Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!((&said["verdict"], &said["rows_removed"]), (&"intact".into(), &2.into()));

    let records = tollgate(&gate, &["records", "--since", "2026-01-01"]);
    let said = String::from_utf8_lossy(&records.stderr).into_owned();
    assert!(said.contains("were removed by retention: 2 rows"), "{said}");
    let planned = tollgate(&gate, &["retention", "plan", "--config", config]);
    assert!(String::from_utf8_lossy(&planned.stdout).starts_with("Nothing is due."), "{planned:?}");
}
