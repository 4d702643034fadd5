//! Files that are sealed, and what somebody else does to them.

use std::sync::Arc;

use super::*;
use crate::archive::digest::Sha256;
use crate::archive::samples::{self, MIDNIGHT_US};
use crate::archive::{manifest, seal};

struct Bench {
    settings: Settings,
    shared: Arc<Mutex<Shared>>,
    round: Round,
    _dir: tempfile::TempDir,
}

impl Bench {
    /// Two sealed files and an entry of the chain, known to the watch.
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("dir");
        let settings = Settings::new(dir.path());
        seal::prepare(&settings).expect("prepares");
        fs::write(settings.manifest_dir.join(manifest::file_name(1)), "an entry").expect("writes");
        let bench_rows = [samples::row(1, MIDNIGHT_US - 1), samples::row(2, MIDNIGHT_US)];
        assert_eq!(samples::seal(&settings, &bench_rows).expect("seals").len(), 2);
        let shared = Arc::default();
        let round = Round::new(&settings, 100, Arc::clone(&shared));
        Self { settings, shared, round, _dir: dir }
    }

    fn sealed(&self) -> PathBuf {
        let (_, partition) = dataset::partitions(&self.settings.audit_dir).expect("lists").remove(0);
        dataset::files(&partition).expect("lists").remove(0).1
    }

    /// Writes a list of rows, or makes sure that it is there.
    fn list(&self, name: &str) -> PathBuf {
        let listed = leaves::write(&self.settings, &[Sha256::of(name.as_bytes())]).expect("writes");
        leaves::directory(&self.settings.manifest_dir).join(listed.sha256().to_string())
    }

    fn look(&mut self) -> (u64, u64, Option<Disturbance>) {
        self.round.look();
        let Watched { files, disturbed, last, .. } = lock(&self.shared).watched.clone();
        (files, disturbed, last)
    }
}

#[test]
fn what_stays_and_what_is_added_is_no_disturbance() {
    let mut bench = Bench::new();
    assert_eq!(bench.look(), (3, 0, None));
    fs::write(bench.settings.manifest_dir.join(manifest::file_name(2)), "another").expect("writes");
    assert_eq!(bench.look(), (4, 0, None));
}

#[test]
fn a_file_that_vanished_is_told_once() {
    let mut bench = Bench::new();
    let path = bench.sealed();
    fs::remove_file(&path).expect("removes");
    assert_eq!(bench.look(), (2, 1, Some(Disturbance::Vanished(path.clone()))));
    assert_eq!(bench.look(), (2, 1, Some(Disturbance::Vanished(path))));
}

#[test]
fn a_file_written_to_or_replaced_is_told() {
    let mut bench = Bench::new();
    let path = bench.sealed();
    let bytes = fs::read(&path).expect("reads");
    fs::write(&path, &bytes[..bytes.len() - 1]).expect("truncates");
    assert_eq!(bench.look(), (3, 1, Some(Disturbance::Changed(path.clone()))));
    let copy = path.with_extension("copy");
    fs::write(&copy, &bytes).expect("writes");
    fs::rename(&copy, &path).expect("replaces");
    assert_eq!(bench.look(), (3, 2, Some(Disturbance::Changed(path))));
    let entry = bench.settings.manifest_dir.join(manifest::file_name(1));
    fs::remove_file(&entry).expect("removes");
    assert_eq!(bench.look(), (2, 3, Some(Disturbance::Vanished(entry))));
}

#[test]
fn what_tollgate_announced_is_no_disturbance() {
    let mut bench = Bench::new();
    let watch = Watch { shared: Arc::clone(&bench.shared), _running: mpsc::channel().0 };
    let path = bench.sealed();
    watch.expect_change(&path);
    assert_eq!(bench.look(), (3, 0, None), "announced and not done yet");
    fs::remove_file(&path).expect("removes");
    assert_eq!(bench.look(), (2, 0, None));
}

#[test]
fn the_thread_looks_by_itself_and_ends_with_its_handles() {
    let bench = Bench::new();
    let watch = Watch::start(&bench.settings, Duration::from_millis(1), 100).expect("starts");
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while watch.watched().files == 0 {
        assert!(std::time::Instant::now() < deadline, "never looked");
        thread::yield_now();
    }
    fs::remove_file(bench.sealed()).expect("removes");
    while watch.watched().disturbed == 0 {
        assert!(std::time::Instant::now() < deadline, "not noticed");
        thread::yield_now();
    }
    let shared = Arc::downgrade(&watch.shared);
    drop(watch);
    while shared.strong_count() > 0 {
        assert!(std::time::Instant::now() < deadline, "the thread is still there");
        thread::yield_now();
    }
}

#[test]
fn of_more_files_than_are_watched_the_newest_are_and_it_is_said() {
    let mut bench = Bench::new();
    assert!(!lock(&bench.shared).watched.full);
    bench.round.files_max = 2;
    let oldest = bench.sealed();
    assert_eq!(bench.look(), (2, 0, None));
    assert!(lock(&bench.shared).watched.full);
    fs::remove_dir_all(oldest.parent().expect("a partition")).expect("removes");
    assert_eq!(bench.look(), (2, 0, None), "an old file is not watched");
    assert!(!lock(&bench.shared).watched.full);
    let newest = bench.sealed();
    fs::remove_file(&newest).expect("removes");
    assert_eq!(bench.look(), (1, 1, Some(Disturbance::Vanished(newest))));
}

#[test]
fn a_list_of_rows_that_vanished_or_was_cut_short_or_replaced_is_told() {
    let mut bench = Bench::new();
    let [unlinked, cut, replaced, linked] = ["unlinked", "cut", "replaced", "linked"].map(|name| bench.list(name));
    assert_eq!(bench.look(), (7, 0, None));
    fs::remove_file(&unlinked).expect("removes");
    assert_eq!(bench.look(), (6, 1, Some(Disturbance::Vanished(unlinked))));
    fs::write(&cut, &fs::read(&cut).expect("reads")[..7]).expect("cuts");
    assert_eq!(bench.look(), (6, 2, Some(Disturbance::Changed(cut))));
    let copy = bench.settings.staging_dir.join("copy");
    fs::copy(&replaced, &copy).expect("copies");
    fs::rename(&copy, &replaced).expect("replaces");
    assert_eq!(bench.look(), (6, 3, Some(Disturbance::Changed(replaced))));
    fs::rename(&linked, &copy).expect("moves away");
    std::os::unix::fs::symlink(&copy, &linked).expect("links");
    assert_eq!(bench.look(), (5, 4, Some(Disturbance::Changed(linked))), "a link is no list");
}

#[test]
fn a_list_that_tollgate_writes_again_or_removes_is_no_disturbance() {
    let mut bench = Bench::new();
    let path = bench.list("again");
    assert_eq!(bench.look(), (4, 0, None));
    assert_eq!(bench.list("again"), path);
    assert_eq!(bench.look(), (4, 0, None), "it was replaced");
    let watch = Watch { shared: Arc::clone(&bench.shared), _running: mpsc::channel().0 };
    watch.expect_change(&path);
    fs::remove_file(&path).expect("removes");
    assert_eq!(bench.look(), (3, 0, None));
}

#[test]
fn of_more_lists_than_are_watched_those_written_last_are() {
    let mut bench = Bench::new();
    let written = |path: &Path, seconds| {
        let file = fs::File::options().write(true).open(path).expect("opens");
        file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(seconds)).expect("sets");
    };
    let lists = ["oldest", "newer", "newest"].map(|name| bench.list(name));
    for (path, seconds) in lists.iter().zip([10, 20, 30]) {
        written(path, seconds);
    }
    // An entry, two of the lists, and both files.
    bench.round.files_max = 5;
    bench.round.known.clear();
    assert_eq!(bench.look(), (5, 0, None));
    assert!(lock(&bench.shared).watched.full);
    let [oldest, newer, newest] = lists;
    written(&newest, 5);
    assert_eq!(bench.look(), (5, 1, Some(Disturbance::Changed(newest.clone()))), "it fell out of those watched");
    fs::remove_file(&newest).expect("removes");
    assert_eq!(bench.look(), (5, 1, Some(Disturbance::Changed(newest))), "it is not watched any more");
    assert!(!lock(&bench.shared).watched.full);
    fs::remove_file(&newer).expect("removes");
    assert_eq!(bench.look(), (4, 2, Some(Disturbance::Vanished(newer))));
    fs::remove_file(&oldest).expect("removes");
    assert_eq!(bench.look(), (3, 3, Some(Disturbance::Vanished(oldest))), "there was room for it");
}

#[test]
fn what_was_announced_of_files_that_are_not_watched_is_forgotten_when_it_is_done() {
    let mut bench = Bench::new();
    bench.round.files_max = 2;
    let (oldest, list) = (bench.sealed(), bench.list("not watched"));
    assert_eq!(bench.look(), (2, 0, None));
    let watch = Watch { shared: Arc::clone(&bench.shared), _running: mpsc::channel().0 };
    watch.expect_change(&oldest);
    watch.expect_change(&list);
    assert_eq!(bench.look(), (2, 0, None));
    assert_eq!(lock(&bench.shared).expected.len(), 2, "announced and not done yet");
    fs::remove_file(&list).expect("removes");
    fs::remove_file(&oldest).expect("removes");
    assert_eq!(bench.look(), (2, 0, None));
    assert_eq!(lock(&bench.shared).expected, HashSet::new());
}
