//! The process dies at every named point of maintenance, under load: while a closed day is compacted, while old rows are
//! removed but for held ones, and while the chain is packed.

use std::fs;
use std::path::Path;

use tollgate::archive::chain::Head;
use tollgate::archive::digest::Sha256;
use tollgate::archive::manifest::{self, Entry, FORMAT};
use tollgate::archive::signer::Signer;
use tollgate::archive::statement::{HeartbeatStatement, Statement};
use tollgate::storage::Site;

use super::points::at_each;
use super::{Load, gate};
use crate::harness::{Gate, Origin, eventually};

const HOUR_US: i64 = 3_600_000_000;
const REWRITE: [Site; 8] = [
    Site::RewriteDir,
    Site::RewriteWrite,
    Site::RewriteSync,
    Site::RewriteRename,
    Site::RewriteLink,
    Site::RewriteExchange,
    Site::RewriteRemove,
    Site::LeavesRemove,
];
const PACK: [Site; 4] = [Site::PackWrite, Site::PackSync, Site::PackRename, Site::PackedRemove];
/// Entries of which the first half can be packed.
const ENTRIES: u64 = 2000;

/// Before and after each of these.
fn points(sites: &[Site]) -> Vec<String> {
    sites.iter().flat_map(|site| ["before", "after"].map(|moment| format!("{}.{moment}", site.code()))).collect()
}

fn files(gate: &Gate) -> usize {
    let partitions = fs::read_dir(gate.data_dir().join("audit")).unwrap().map(|partition| partition.unwrap().path());
    partitions.map(|partition| fs::read_dir(partition).map_or(0, Iterator::count)).sum()
}

/// A stopped gate with two rows, `held` and `gone`, in two files of a day six days ago. Its chain shows that the time since
/// then has passed.
fn six_days_ago() -> Gate {
    let clock = |hours: i64| format!("clock -{}\n", hours * HOUR_US);
    let mut gate = gate("seal_after_s: 1, compact_after_s: 604800").file("orders", &clock(144)).start();
    for (sealed, id) in [(1, "held"), (2, "gone")] {
        // The client leaves again, and so the row is that of its CONNECT.
        let granted = gate.client().ask(format!(
            "CONNECT elsewhere.test:443 HTTP/1.1\r\nHost: elsewhere.test:443\r\nUser-Agent: elastic (deployment:{id})\r\n\r\n"
        ));
        assert_eq!(granted.status, 200);
        eventually("the row is sealed", || (files(&gate) == sealed).then_some(()));
    }
    assert_eq!(gate.stop(), Some(0));
    for hours in [108, 72, 36] {
        gate.order(&clock(hours));
        gate.spawn();
        assert_eq!(gate.stop(), Some(0));
    }
    gate
}

/// The deployments of the rows of that day.
fn old_rows(gate: &Gate) -> Vec<String> {
    let rows = gate.rows();
    rows.iter().filter(|row| row.get("kind") == "connect").map(|row| row.get("deployment_id")).collect()
}

/// Lets a gate over a copy of `old` die at `point` of its maintenance, which waits at `blocked` until there is load. The next
/// start does what `done` looks for, and all rows are accounted for.
fn dies_at(point: &str, blocked: &str, old: &Gate, audit: &str, done: impl Fn(&Gate) -> bool) {
    let audit = format!("seal_after_s: 1, maintenance_every_s: 1, {audit}");
    let mut gate = gate(&audit).data_of(old).file("orders", &format!("{blocked} block\n")).start();
    let mut load = Load::new(Origin::http());
    load.start(&gate);
    load.pass(10);
    gate.order(&format!("{point} kill\n"));
    assert_eq!(gate.wait(), None, "{point}: not killed");
    load.stop();
    gate.order("");
    gate.spawn();
    eventually(&format!("{point}: maintenance is done after all"), || done(&gate).then_some(()));
    assert_eq!(gate.stop(), Some(0), "{point}");
    load.assert_accounted(&gate);
}

/// Files of the day of the old rows.
fn old_files(gate: &Gate) -> usize {
    let audit = gate.data_dir().join("audit");
    let oldest = fs::read_dir(audit).unwrap().map(|partition| partition.unwrap().path()).min().unwrap();
    fs::read_dir(oldest).map_or(0, Iterator::count)
}

#[test]
fn a_death_at_any_point_of_maintenance_under_load_costs_no_evidence() {
    let old = six_days_ago();
    let first = "rewrite.dir.before";
    at_each(&points(&REWRITE), |point| {
        dies_at(point, first, &old, "compact_after_s: 60", |gate| {
            assert_eq!(old_rows(gate), ["held", "gone"], "{point}: each is there once, always");
            old_files(gate) == 1
        });
    });
    // What is before a call is after the one before it, which compaction shows.
    at_each(&REWRITE.map(|site| format!("{}.after", site.code())), |point| {
        let hold = "keep_days: 3, legal_holds: [{ name: case 7, deployment: held }]";
        dies_at(point, first, &old, hold, |gate| {
            let rows = old_rows(gate);
            assert_eq!(rows.first().map(String::as_str), Some("held"), "{point}: held, always");
            rows.len() == 1 && old_files(gate) == 1
        });
    });
    grow_chain(&old.data_dir());
    at_each(&points(&PACK), |point| {
        dies_at(point, "pack.write.before", &old, "compact_after_s: 60", |gate| {
            let chain = gate.data_dir().join("manifest");
            let packed = chain.join(manifest::pack_name(1, 1000)).exists();
            packed && !(1..=1000).any(|index| chain.join(manifest::file_name(index)).exists())
        });
    });
}

/// Adds heartbeats to the chain of a gate that does not run until it has [`ENTRIES`].
fn grow_chain(data_dir: &Path) {
    let chain = data_dir.join("manifest");
    let signer = Signer::load_or_create(&data_dir.join("keys")).unwrap();
    // Beside the entries there is the directory of lists.
    let count = fs::read_dir(&chain).unwrap().count() as u64 - 1;
    let last = fs::read(chain.join(manifest::file_name(count))).unwrap();
    let Entry { instance_id, epoch, time, .. } = manifest::SignedEntry::parse(&last).unwrap().entry;
    let mut head = Head { index: count, sha256: Sha256::of(&last) };
    while head.index < ENTRIES {
        let heartbeat = HeartbeatStatement { from: time.clone(), to: time.clone(), last_seq: 0 };
        let entry = Entry {
            format: FORMAT,
            index: head.index + 1,
            previous: Some(head.sha256),
            key_id: signer.public().id(),
            instance_id: instance_id.clone(),
            epoch,
            time: time.clone(),
            statement: Statement::Heartbeat(heartbeat),
        };
        let line = entry.to_line().unwrap();
        let bytes = manifest::entry_bytes(&line, &signer.sign(&line).unwrap());
        fs::write(chain.join(manifest::file_name(entry.index)), &bytes).unwrap();
        head = Head { index: entry.index, sha256: Sha256::of(&bytes) };
    }
}
