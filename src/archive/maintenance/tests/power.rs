//! Power is lost at every point of sealing, signing, changing the key, compaction, retention and packing. Whatever the disk
//! had written by then of what was not synced, the next start has every acknowledged row once, and the one after that
//! finds nothing to do.

use std::collections::HashSet;

use super::*;
use crate::archive::Start;
use crate::archive::maintenance::pack::pack;
use crate::archive::rotation;
use crate::config::DataDir;
use crate::installation::Installation;
use crate::journal::{self, segment};
use crate::storage::recorder::{self, Disk, Tree};
use crate::storage::{self, Site, crash};
use crate::verify::Severity;

const LATER_US: i64 = MIDNIGHT_US + 10 * DAY_US;
/// When recovery runs.
const NOW_US: i64 = MIDNIGHT_US + DAY_US;

impl Bench {
    /// A data directory as a loss of power left it.
    fn left(&self, tree: &Tree) -> Self {
        let dir = tempfile::tempdir().expect("temp dir");
        tree.write(dir.path());
        let settings = Settings::new(dir.path());
        Self { dir, settings, rules: self.rules.clone(), trust_clock: self.trust_clock }
    }

    /// What a start does with what it finds, and a first round of maintenance.
    pub(super) fn start(&self, wall_us: i64) {
        let recovery = journal::recover(&self.journal_dir(), NOW_US).expect("recovers");
        rotation::finish(&self.settings, &self.dir.path().join("keys"), MIDNIGHT_US).expect("finishes");
        seal::prepare(&self.settings).expect("prepares");
        let mut chain = self.chain();
        // Later than all whose rows there are.
        let start = Start { epoch: 100, ..samples::start() };
        chain.append(&start, MIDNIGHT_US, Statement::Start(samples::opening().statement)).expect("states");
        for segment in recovery.segments {
            self.seal_segment(&mut chain, &segment);
        }
        let report = self.round_with(wall_us, &mut chain);
        assert!(report.problems.is_empty(), "{:?}", report.problems);
        assert_eq!(report.unknown, Vec::<PathBuf>::new());
    }

    /// Ids of the rows in the dataset, each as often as there are files with it.
    pub(super) fn ids(&self) -> Vec<u128> {
        let mut ids = Vec::new();
        for (_, dir) in dataset::partitions(&self.settings.audit_dir).expect("lists") {
            for (_, path) in dataset::files(&dir).expect("lists") {
                let file = crate::archive::sealed::event_ids(&path).expect("reads");
                ids.extend(file.iter().map(uuid::Uuid::as_u128));
            }
        }
        ids.sort_unstable();
        ids
    }

    /// Every file but the chain's, and what the chain says but for starts.
    fn everything(&self) -> (BTreeMap<PathBuf, Vec<u8>>, Vec<String>) {
        let mut files = BTreeMap::new();
        let mut open = vec![self.dir.path().to_owned()];
        while let Some(dir) = open.pop() {
            let paths = fs::read_dir(dir).expect("lists").map(|entry| entry.expect("entry").path());
            for path in paths.filter(|path| *path != self.settings.manifest_dir) {
                if path.is_dir() {
                    open.push(path);
                } else {
                    let bytes = fs::read(&path).expect("reads");
                    files.insert(path, bytes);
                }
            }
        }
        let mut said = Vec::new();
        let walked = entries::walk_back(&self.settings.manifest_dir, |signed| {
            let statement = &signed.entry.statement;
            if !matches!(statement, Statement::Start(_)) {
                said.push(format!("{statement:?}"));
            }
            true
        });
        walked.expect("reads");
        (files, said)
    }
}

/// Does `work` in the directory of `bench`, and looks at everything that a loss of power could leave in between: `ids` are there
/// once after the next start, and after the one that follows nothing has changed. How many states were looked at.
fn at_every_loss(bench: &Bench, wall_us: i64, ids: &[u128], work: impl FnOnce(&Bench)) -> usize {
    recorder::begin(bench.dir.path());
    work(bench);
    let mut seen = HashSet::new();
    for (position, disk) in recorder::end().iter().enumerate() {
        for loss in disk.losses() {
            let tree = disk.left(&loss);
            if seen.contains(&tree) {
                continue;
            }
            let what = format!("after {position} calls, {loss:?}");
            let left = bench.left(&tree);
            let found = left.verified();
            assert_ne!(found.severity(), Some(Severity::Tampered), "{what}: {:?}", found.problems);
            left.start(wall_us);
            assert_eq!(left.ids(), ids, "{what}");
            left.intact();
            let before = left.everything();
            left.start(wall_us);
            assert_eq!(left.everything(), before, "{what}: the second start changed something");
            seen.insert(tree);
        }
    }
    seen.len()
}

/// What a loss of power can leave at every point of `work`: with nothing of what was not synced, and with all of it.
fn extremes(bench: &Bench, work: impl FnOnce(&Bench)) -> HashSet<Tree> {
    recorder::begin(bench.dir.path());
    work(bench);
    recorder::end().iter().flat_map(Disk::extremes).collect()
}

/// As [`at_every_loss`], and power is lost once more at every point of the start that follows. How many states that leaves.
fn at_every_second_loss(bench: &Bench, wall_us: i64, ids: &[u128], work: impl FnOnce(&Bench)) -> usize {
    let mut seen = HashSet::new();
    for first in extremes(bench, work) {
        let left = bench.left(&first);
        for second in extremes(&left, |left| left.start(wall_us)) {
            if seen.contains(&second) {
                continue;
            }
            let left = bench.left(&second);
            let found = left.verified();
            assert_ne!(found.severity(), Some(Severity::Tampered), "{:?}", found.problems);
            left.start(wall_us);
            assert_eq!(left.ids(), ids);
            left.intact();
            seen.insert(second);
        }
    }
    seen.len()
}

#[test]
fn a_second_loss_during_the_start_after_sealing_was_cut_short_loses_and_doubles_nothing() {
    let bench = Bench::new();
    bench.journal(1);
    Signer::load_or_create(&bench.dir.path().join("keys")).expect("key");
    let states = at_every_second_loss(&bench, MIDNIGHT_US, &[2, 3], |bench| bench.start(MIDNIGHT_US));
    assert!(states > 100, "{states}");
}

#[test]
fn a_second_loss_during_the_start_that_ends_a_change_of_keys_leaves_a_chain_that_holds() {
    let bench = Bench::new();
    bench.seal(&rows_at(1..=2));
    let states = at_every_second_loss(&bench, MIDNIGHT_US, &[1, 2], |bench| {
        let keys = bench.dir.path().join("keys");
        rotation::rotate(&bench.settings, &keys, &samples::start(), MIDNIGHT_US).expect("rotates");
    });
    assert!(states > 50, "{states}");
}

#[test]
fn sealing_loses_and_doubles_nothing() {
    let bench = Bench::new();
    bench.journal(1);
    Signer::load_or_create(&bench.dir.path().join("keys")).expect("key");
    let states = at_every_loss(&bench, MIDNIGHT_US, &[2, 3], |bench| bench.start(MIDNIGHT_US));
    assert!(states > 25, "{states}");
}

#[test]
fn compaction_loses_and_doubles_nothing() {
    let bench = Bench::three_segments();
    let ids: Vec<u128> = (1..=9).collect();
    let states = at_every_loss(&bench, AFTER_US, &ids, |bench| drop(bench.clean_round(AFTER_US)));
    assert!(states > 25, "{states}");
}

#[test]
fn compaction_without_exchange_loses_and_doubles_nothing() {
    crash::forbid_exchange();
    let bench = Bench::three_segments();
    let ids: Vec<u128> = (1..=9).collect();
    let states = at_every_loss(&bench, AFTER_US, &ids, |bench| drop(bench.clean_round(AFTER_US)));
    assert!(states > 25, "{states}");
}

/// Two rows of the first day and two of the second, of which one of each day is held.
fn expired() -> Bench {
    let mut bench = Bench::new();
    let mut rows = rows_at(1..=4);
    for held in [0, 2] {
        rows[held].intent.deployment_id = Some("held".to_owned());
    }
    bench.seal(&rows[..3]);
    bench.seal(&rows[3..]);
    let subject = HoldSubject::Deployment("held".to_owned());
    bench.rules.holds = vec![LegalHold { name: "case 7".to_owned(), subject, since_us: None, until_us: None }];
    bench.rules.keep_days = Some(1);
    bench
}

#[test]
fn retention_removes_what_it_stated_and_nothing_comes_back() {
    let bench = expired();
    let states = at_every_loss(&bench, LATER_US, &[1, 3], |bench| drop(bench.clean_round(LATER_US)));
    assert!(states > 25, "{states}");
}

#[test]
fn a_segment_whose_removal_was_not_synced_does_not_bring_removed_rows_back() {
    let mut bench = Bench::new();
    bench.journal(1);
    Signer::load_or_create(&bench.dir.path().join("keys")).expect("key");
    bench.rules.keep_days = Some(1);
    let removed = |bench: &Bench| {
        let [path] = &segment::list(&bench.journal_dir()).expect("lists")[..] else { panic!("not one segment") };
        bench.seal_keeping(path);
        storage::remove(Site::SealedRemove, path).expect("removes");
        bench.round(LATER_US);
    };
    let states = at_every_loss(&bench, LATER_US, &[], removed);
    assert!(states > 25, "{states}");
}

#[test]
fn packing_leaves_the_same_chain() {
    let bench = Bench::new();
    for seq in 1..=7 {
        bench.seal(&[samples::row(seq, MIDNIGHT_US)]);
    }
    let ids: Vec<u128> = (1..=7).collect();
    let states = at_every_loss(&bench, MIDNIGHT_US, &ids, |bench| {
        assert_eq!(bench.with_round(|round| pack(round, 3)).expect("packs"), 3);
    });
    assert!(states > 10, "{states}");
}

#[test]
fn a_change_of_keys_is_done_or_not() {
    let bench = Bench::three_segments();
    let ids: Vec<u128> = (1..=9).collect();
    let states = at_every_loss(&bench, MIDNIGHT_US, &ids, |bench| {
        let keys = bench.dir.path().join("keys");
        rotation::rotate(&bench.settings, &keys, &samples::start(), MIDNIGHT_US).expect("rotates");
    });
    assert!(states > 10, "{states}");
}

#[test]
fn a_start_is_counted_before_it_is_used_and_its_directories_stay() {
    let dir = tempfile::tempdir().expect("temp dir");
    let data_dir = DataDir::new(dir.path().join("new/data"));
    let key_file = data_dir.keys().join("url-fingerprint.key");
    recorder::begin(dir.path());
    let mut counted = Vec::new();
    for _ in 0..2 {
        let installation = Installation::open(&data_dir, &key_file).expect("opens");
        counted.push((recorder::position(), installation.writer));
    }
    for (position, disk) in recorder::end().iter().enumerate() {
        let told = counted.iter().filter(|(at, _)| *at <= position).map(|(_, writer)| writer).next_back();
        let trees: HashSet<Tree> = disk.losses().iter().map(|loss| disk.left(loss)).collect();
        for tree in trees {
            let left = tempfile::tempdir().expect("temp dir");
            tree.write(left.path());
            let data_dir = DataDir::new(left.path().join("new/data"));
            let next = Installation::open(&data_dir, &data_dir.keys().join("url-fingerprint.key")).expect("opens");
            let writer = next.writer;
            if let Some(told) = told {
                assert_eq!(writer.instance_id, told.instance_id, "after {position} calls");
                assert!(writer.epoch > told.epoch, "after {position} calls: {writer:?} follows {told:?}");
            }
        }
    }
}
