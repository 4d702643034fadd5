//! Storage that says no: no space, I/O errors, a read-only file system, and files that somebody else changes.

use std::fs::{self, File};
use std::path::PathBuf;

use tollgate::storage::Site;

use super::{Load, assert_verifies, gate, request};
use crate::harness::{Gate, Origin, eventually};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;

/// Under load, storage breaks and is mended; then everything is accounted for, and everything ends well.
fn assert_survives(what: &str, gate: &mut Gate, break_storage: impl Fn(&Gate), mend_storage: impl Fn(&Gate)) {
    let mut load = Load::new(Origin::http());
    load.start(gate);
    load.pass(10);
    break_storage(gate);
    eventually(&format!("{what}: trouble shows"), || gate.log().contains("ERROR").then_some(()));
    mend_storage(gate);
    load.pass(20);
    load.stop();
    assert_eq!(gate.stop(), Some(0), "{what}");
    load.assert_accounted(gate);
    let told = load.told.lock().unwrap();
    assert!(told.values().all(|status| [200, 503].contains(status)), "{what}: {told:?}");
    let rows = gate.rows();
    let completed = rows.iter().filter(|row| row.get("outcome") == "completed").count();
    assert_eq!(completed, load.seen().len(), "{what}: a call that was made is not recorded as such");
    let refused = rows.iter().filter(|row| row.get("deny_reason") == "no_evidence").count();
    assert_eq!(refused, told.values().filter(|status| **status == 503).count(), "{what}");
    assert_eq!(rows.len(), told.len(), "{what}");
}

#[test]
fn every_call_that_can_fail_may_fail_in_every_way() {
    let sites = [
        Site::JournalReserve,
        Site::JournalAppend,
        Site::JournalSync,
        Site::JournalCut,
        Site::SegmentWrite,
        Site::SegmentSync,
        Site::SegmentRename,
        Site::SegmentDirSync,
        Site::ParquetWrite,
        Site::ParquetSync,
        Site::ParquetRename,
        Site::ArchiveDirSync,
        Site::LeavesWrite,
        Site::LeavesSync,
        Site::LeavesRename,
        Site::ManifestWrite,
        Site::ManifestSync,
        Site::ManifestRename,
        Site::SealedRemove,
    ];
    std::thread::scope(|scope| {
        for moment in ["before", "after"] {
            for errno in [EIO, ENOSPC, EROFS] {
                scope.spawn(move || {
                    // Each errno meets every third site, and each site every errno in turn with the moments.
                    let offset = usize::try_from(errno).unwrap() + usize::from(moment == "after");
                    for site in sites.iter().skip(offset % 3).step_by(3) {
                        let point = format!("{}.{moment} error {errno}\n", site.code());
                        let mut gate = gate("seal_after_s: 1").start();
                        assert_survives(&point, &mut gate, |gate| gate.order(&point), |gate| gate.order(""));
                    }
                });
            }
        }
    });
}

#[test]
fn evidence_that_somebody_removes_or_changes_is_noticed_and_traffic_goes_on() {
    let origin = Origin::http();
    let gate = gate("seal_after_s: 1, watch_s: 1").start();
    let sealed = |id: &str| {
        assert_eq!(gate.client().ask(request(&origin, id)).status, 200);
        let partitions = gate.data_dir().join("audit");
        let files = || fs::read_dir(&partitions).unwrap().flat_map(|day| fs::read_dir(day.unwrap().path()).unwrap());
        let before = files().count();
        eventually("it is sealed", || (files().count() > before).then_some(()));
        files()
            .map(|file| file.unwrap())
            .max_by_key(|file| file.metadata().unwrap().modified().unwrap())
            .unwrap()
            .path()
    };
    let watched = |count: u64| {
        let health = || gate.admin("/healthz").json();
        eventually("the watch knows the file", || (health()["evidence"]["files_watched"] == count).then_some(()));
    };
    let noticed = |count: u64, what: String| {
        let health = eventually("it is noticed", || {
            Some(gate.admin("/healthz").json()).filter(|health| health["evidence"]["disturbed"] == count)
        });
        assert_eq!(health["evidence"]["last_disturbance"], what);
        eventually("the log says so", || gate.log().contains(&format!("evidence was disturbed: {what}")).then_some(()));
        assert!(gate.admin("/metrics").body.contains(&format!("tollgate_evidence_disturbed_total {count}\n")));
    };
    // A file, its entry and the list of its rows, beside the entry that says that the process started.
    let path = sealed("removed");
    watched(4);
    fs::remove_file(&path).unwrap();
    noticed(1, format!("{} is gone", path.display()));
    let list = fs::read_dir(gate.data_dir().join("manifest/leaves")).unwrap().next().unwrap().unwrap().path();
    File::options().write(true).open(&list).unwrap().set_len(0).unwrap();
    noticed(2, format!("{} was changed or replaced", list.display()));
    fs::remove_file(&list).unwrap();
    noticed(3, format!("{} is gone", list.display()));
    assert_eq!(gate.client().ask(request(&origin, "after")).status, 200);
    assert_eq!(gate.admin("/readyz").status, 200);
}

#[test]
fn a_dataset_that_was_moved_away_is_not_made_again_and_its_rows_wait_in_the_journal() {
    let origin = Origin::http();
    let mut gate = gate("seal_after_s: 1, watch_s: 1").start();
    let (audit, aside) = (gate.data_dir().join("audit"), gate.dir.path().join("aside"));
    assert_eq!(gate.client().ask(request(&origin, "before")).status, 200);
    eventually("it is sealed and watched", || {
        (gate.admin("/healthz").json()["evidence"]["files_watched"] == 4).then_some(())
    });
    fs::rename(&audit, &aside).unwrap();
    assert_eq!(gate.client().ask(request(&origin, "during")).status, 200);
    eventually("the loss is noticed", || (gate.admin("/healthz").json()["evidence"]["disturbed"] == 1).then_some(()));
    eventually("sealing fails", || gate.log().contains("segment not sealed; it is kept").then_some(()));
    assert!(!audit.exists(), "a directory was made where a file system may have been");
    assert_eq!(gate.admin("/readyz").status, 200, "evidence is safe in the journal");
    fs::rename(&aside, &audit).unwrap();
    eventually("what waited is sealed", || {
        let partitions =
            fs::read_dir(&audit).unwrap().map(|partition| fs::read_dir(partition.unwrap().path()).unwrap());
        (partitions.map(Iterator::count).sum::<usize>() == 2).then_some(())
    });
    assert_eq!(gate.stop(), Some(0));
    let ids: Vec<_> = gate.rows().iter().map(|row| row.columns(["deployment_id", "outcome"])).collect();
    assert_eq!(ids, [["before", "completed"], ["during", "completed"]]);
    assert_verifies(&gate);
}

/// The segment that is being written.
fn tail(gate: &Gate) -> PathBuf {
    let segments = tollgate::journal::segment::list(&gate.data_dir().join("journal")).unwrap();
    segments.last().unwrap().clone()
}

#[test]
fn a_segment_unlinked_under_load_costs_nothing() {
    let mut gate = gate("seal_after_s: 3600").start();
    assert_survives("unlink", &mut gate, |gate| fs::remove_file(tail(gate)).unwrap(), |_| {});
}

#[test]
fn a_segment_renamed_under_load_costs_nothing() {
    let mut gate = gate("seal_after_s: 3600").start();
    let aside = gate.dir.path().join("aside");
    assert_survives("rename", &mut gate, |gate| fs::rename(tail(gate), &aside).unwrap(), |_| {});
}

#[test]
fn a_segment_cut_short_under_load_is_noticed_and_the_loss_is_told() {
    let origin = Origin::http();
    let mut gate = gate("seal_after_s: 3600").start();
    for n in 0..10 {
        assert_eq!(gate.client().ask(request(&origin, &format!("c{n}"))).status, 200);
    }
    gate.rows_of(10);
    // Behind the frames there are zeros.
    let frames = fs::read(tail(&gate)).unwrap().iter().rposition(|byte| *byte != 0).unwrap() as u64;
    File::options().write(true).open(tail(&gate)).unwrap().set_len(frames / 2).unwrap();
    let mut status = 0;
    eventually("the cut is noticed", || {
        status = gate.client().ask(request(&origin, "after")).status;
        (status == 503).then_some(())
    });
    eventually("service resumes", || (gate.client().ask(request(&origin, "resumed")).status == 200).then_some(()));
    assert_eq!(gate.stop(), Some(0));
    let rows = gate.rows();
    let gaps: Vec<_> = rows.iter().filter(|row| row.get("outcome") == "gap").map(|row| row.get("error")).collect();
    let kept = rows.iter().filter(|row| row.get("deployment_id").starts_with('c')).count();
    let lost: usize = gaps.iter().map(|gap| gap.split(' ').next().unwrap().parse::<usize>().unwrap()).sum();
    assert_eq!(kept + lost, 10, "{gaps:?}");
    assert!(lost > 0, "nothing was lost with half of the segment");
}
