//! The process dies at every named point: before and after each write, sync, rename and removal. Those of maintenance are in
//! `maintained`.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tollgate::storage::Site;

use super::{Load, gate};
use crate::harness::Origin;

/// Gates that are tried at once: most of their time is spent waiting.
const AT_ONCE: usize = 4;

/// Points that a running proxy passes: journal, closing a segment, sealing it, signing for it, removing it.
fn running() -> Vec<String> {
    let elsewhere = [
        Site::SegmentRemove,
        Site::QuarantineRename,
        Site::RewriteDir,
        Site::RewriteWrite,
        Site::RewriteSync,
        Site::RewriteRename,
        Site::RewriteLink,
        Site::RewriteExchange,
        Site::RewriteRemove,
        Site::PackWrite,
        Site::PackSync,
        Site::PackRename,
        Site::PackedRemove,
        Site::LeavesRemove,
    ];
    let sites = Site::ALL.iter().filter(|site| !elsewhere.contains(site));
    let points = sites.flat_map(|site| ["before", "after"].map(|moment| format!("{}.{moment}", site.code())));
    // Looked for at every new segment, but not found.
    points.chain(["segment.remove.before".to_owned()]).collect()
}

/// Points that recovery passes after a SIGKILL.
fn recovering() -> Vec<String> {
    let sites = [
        Site::SegmentWrite,
        Site::SegmentSync,
        Site::SegmentRename,
        Site::SegmentDirSync,
        Site::SegmentRemove,
        Site::QuarantineRename,
        Site::ParquetRename,
        Site::LeavesRename,
        Site::ManifestRename,
        Site::SealedRemove,
    ];
    sites.iter().flat_map(|site| ["before", "after"].map(|moment| format!("{}.{moment}", site.code()))).collect()
}

/// Runs `check` for every point, a few at once.
pub(super) fn at_each(points: &[String], check: impl Fn(&str) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                    check(point);
                }
            });
        }
    });
}

#[test]
fn a_death_at_any_point_under_load_costs_no_evidence() {
    at_each(&running(), |point| {
        let mut gate = gate("seal_after_s: 1").start();
        let mut load = Load::new(Origin::http());
        load.start(&gate);
        load.pass(10);
        gate.order(&format!("{point} kill 2\n"));
        assert_eq!(gate.wait(), None, "{point}: not killed");
        load.stop();
        gate.order("");
        gate.spawn();
        assert_eq!(gate.stop(), Some(0), "{point}");
        load.assert_accounted(&gate);
    });
}

#[test]
fn a_death_at_any_point_of_recovery_costs_no_evidence() {
    at_each(&recovering(), |point| {
        let mut gate = gate("").start();
        let mut load = Load::new(Origin::http());
        load.start(&gate);
        load.pass(20);
        gate.kill();
        load.stop();
        let journal = gate.data_dir().join("journal");
        fs::write(journal.join("00000000-00000001.journal"), "no segment, and nobody knows what it was").unwrap();
        fs::write(journal.join("00000000-00000002.journal.tmp"), "half a segment").unwrap();
        gate.order(&format!("{point} kill\n"));
        gate.launch();
        assert_eq!(gate.wait(), None, "{point}: not killed");
        gate.order("");
        gate.spawn();
        assert_eq!(gate.stop(), Some(0), "{point}");
        load.assert_accounted(&gate);
        let quarantined = journal.join("quarantine/00000000-00000001.journal.unreadable");
        assert!(quarantined.exists(), "{point}: what could not be read is gone");
    });
}
