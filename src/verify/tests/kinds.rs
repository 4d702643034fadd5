//! Entries that are not about a sealed file: packed, of another key, of a rewrite.

use super::*;
use crate::archive::content::{Content, Fingerprint};
use crate::archive::cover::{relative, statement};
use crate::archive::leaves;
use crate::archive::manifest::pack_name;
use crate::archive::rotation::{self, Rotated};
use crate::archive::statement::{RemovedRows, RewriteInput, RewriteReason, RewriteStatement};

/// A dataset whose chain can go on.
pub(super) struct Growing {
    pub(super) dir: TempDir,
    pub(super) settings: archive::Settings,
}

impl Growing {
    pub(super) fn new(segments: &[Vec<Row>]) -> Self {
        let dir = tempfile::tempdir().expect("temp dir");
        let settings = archive::Settings::new(dir.path());
        seal_into(dir.path(), segments);
        Self { dir, settings }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn seal(&self, rows: &[Row]) {
        seal_into(self.dir.path(), &[rows.to_vec()]);
    }

    pub(super) fn append(&self, statement: Statement) {
        let signer = Signer::load_or_create(&self.path("keys")).expect("key");
        let mut chain = Chain::open(self.settings.clone(), signer).expect("opens");
        chain.append(&samples::start(), MIDNIGHT_US, statement).expect("appends");
    }

    pub(super) fn rotate(&self) -> Rotated {
        rotation::rotate(&self.settings, &self.path("keys"), &samples::start(), MIDNIGHT_US).expect("rotates")
    }

    /// The files of entries `first..=last` become one.
    fn pack(&self, first: u64, last: u64) {
        let paths: Vec<PathBuf> =
            (first..=last).map(|index| self.settings.manifest_dir.join(manifest::file_name(index))).collect();
        let bytes: Vec<u8> = paths.iter().flat_map(|path| fs::read(path).expect("reads")).collect();
        fs::write(self.settings.manifest_dir.join(pack_name(first, last)), bytes).expect("packs");
        for path in paths {
            fs::remove_file(path).expect("removes");
        }
    }

    fn verified_with(&self, key: Sha256) -> Report {
        let keys = rotation::public_keys(&self.path("keys"), 10).expect("lists");
        let key = keys.iter().find(|public| public.id() == key).expect("kept");
        let path = self.path("given.pub");
        key.save(&path).expect("saves");
        run(&Settings { public_key: Some(path), ..settings(self.dir.path()) }, &|_, _| {}).expect("verifies")
    }

    /// States that the sealed files `inputs` are replaced by one with `kept`, or removed. Returns its staged path and
    /// the one it belongs at.
    fn state_rewrite(&self, inputs: &[(&str, u64)], kept: &[Row], removed: Option<RemovedRows>) -> (PathBuf, PathBuf) {
        let scratch = Self::new(&[kept.to_vec()]);
        let found = files::list(&scratch.settings.audit_dir).expect("lists");
        let [(name, real)] = &found.into_iter().collect::<Vec<_>>()[..] else { panic!("one file") };
        let fingerprint = Fingerprint::of(real).expect("reads");
        let content = Content::read(real).expect("reads");
        let listed = leaves::write(&self.settings, &content.leaves).expect("lists");
        let output = statement(name.clone(), fingerprint, &content, listed);
        let staged = self.path("output");
        fs::copy(real, &staged).expect("copies");
        let inputs = inputs.iter().map(|(name, index)| {
            let real = self.path(name);
            let path = relative(&self.settings.audit_dir, &real).expect("below");
            RewriteInput { path, sha256: Fingerprint::of(&real).expect("reads").sha256, index: *index }
        });
        let reason = if removed.is_some() { RewriteReason::Retention } else { RewriteReason::Compaction };
        let (inputs, holds) = (inputs.collect(), Vec::new());
        self.append(Statement::Rewrite(RewriteStatement { reason, inputs, output, removed, holds }));
        (staged, self.settings.audit_dir.join(name))
    }
}

#[test]
fn packed_entries_are_the_same_chain_and_every_flip_in_them_is_named() {
    let growing = Growing::new(&[rows_at(1..=4), rows_at(5..=7)]);
    let before = verified(growing.dir.path());
    let single = fs::read(growing.path("manifest/00000002.json")).expect("reads");
    growing.pack(1, 2);
    let report = verified(growing.dir.path());
    assert_eq!((said(&report), report.head, report.entries), (vec![], before.head, 3));

    let name = format!("manifest/{}", pack_name(1, 2));
    let path = growing.path(&name);
    let bytes = fs::read(&path).expect("reads");
    for at in (0..bytes.len()).step_by(7) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        fs::write(&path, changed).expect("writes");
        let report = verified(growing.dir.path());
        assert!(report.problems.iter().any(|problem| problem.place.starts_with(&name)), "{at}: {:?}", said(&report));
    }
    fs::write(&path, bytes).expect("restores");

    // A crash after packing leaves entries twice, which is fine as long as they are the same.
    fs::write(growing.path("manifest/00000002.json"), &single).expect("writes");
    assert_eq!(said(&verified(growing.dir.path())), []);
    fs::write(growing.path("manifest/00000002.json"), &single[1..]).expect("writes");
    assert_eq!(said(&verified(growing.dir.path())), [("manifest/00000002.json", "entry_doubled")]);
}

#[test]
fn any_key_of_the_chain_leads_to_all_of_it() {
    let growing = Growing::new(&[rows_at(1..=2)]);
    let first = growing.rotate();
    growing.seal(&rows_at(3..=4));
    let second = growing.rotate();
    growing.seal(&rows_at(5..=7));
    for key in [first.old, first.new, second.new] {
        let report = growing.verified_with(key);
        assert_eq!((said(&report), report.entries, report.unchecked), (vec![], 7, 0), "{key}");
    }
    // Without its public key, what came before is proved by the hashes alone, and a change to it is still seen.
    let report = growing.verified_with(second.new);
    assert_eq!(report.unchecked, 0);
    for entry in fs::read_dir(growing.path("keys")).expect("lists") {
        let path = entry.expect("entry").path();
        if path.to_string_lossy().contains("manifest-") {
            fs::remove_file(path).expect("removes");
        }
    }
    let report = growing.verified_with(second.new);
    assert_eq!((said(&report), report.unchecked), (vec![], 5));
    sign_again(growing.dir.path(), 1, |entry| file_of(entry).rows += 1);
    let report = growing.verified_with(second.new);
    assert!(said(&report).contains(&("manifest/00000002.json", "chain_broken")), "{:?}", said(&report));
    assert!(said(&report).contains(&("manifest/00000001.json", "unknown_key")), "{:?}", said(&report));
}

#[test]
fn a_key_that_nobody_handed_over_to_is_not_believed() {
    let growing = Growing::new(&[rows_at(1..=2)]);
    let keys = growing.path("keys");
    // Somebody who can write the disk and has no key: puts their own in place, public half and all.
    let kept = fs::read(keys.join(PUBLIC_KEY_FILE)).expect("reads");
    fs::write(growing.path("given.pub"), &kept).expect("writes");
    fs::remove_file(keys.join("manifest.key")).expect("removes");
    growing.seal(&rows_at(3..=4));
    fs::copy(keys.join(PUBLIC_KEY_FILE), keys.join("manifest-00000000.pub")).expect("copies");
    let given = Settings { public_key: Some(growing.path("given.pub")), ..settings(growing.dir.path()) };
    let report = run(&given, &|_, _| {}).expect("verifies");
    assert_eq!(said(&report)[0], ("manifest/00000002.json", "unknown_key"));
    // Nor if the entry that could have handed over is gone.
    growing.append(Statement::Stop(samples::STOP));
    fs::remove_file(growing.path("manifest/00000002.json")).expect("removes");
    let report = run(&given, &|_, _| {}).expect("verifies");
    assert!(said(&report).contains(&("manifest/00000003.json", "unknown_key")), "{:?}", said(&report));
}

#[test]
fn a_compaction_is_pending_or_done_and_nothing_else() {
    let growing = Growing::new(&[rows_at(4..=5), rows_at(1..=3), rows_at(6..=7)]);
    let [one, two] = [(SECOND, 1), (THIRD, 4)];
    let (staged, place) = growing.state_rewrite(&[one, two], &rows_at(4..=7)[..], None);
    let report = verified(growing.dir.path());
    assert_eq!((said(&report), report.rows, report.pending.len()), (vec![], 7, 2));

    fs::rename(&staged, &place).expect("publishes");
    let report = verified(growing.dir.path());
    assert_eq!(said(&report), [(SECOND, "file_superseded"), (THIRD, "file_superseded")]);
    assert_eq!(report.severity(), Some(Severity::Incomplete));

    fs::remove_file(growing.path(SECOND)).expect("removes");
    fs::remove_file(growing.path(THIRD)).expect("removes");
    let report = verified(growing.dir.path());
    assert_eq!((said(&report), report.rows, report.pending.len()), (vec![], 7, 0));

    fs::remove_file(&place).expect("removes");
    let report = verified(growing.dir.path());
    let name = format!("audit/{}", relative(&growing.settings.audit_dir, &place).expect("below"));
    assert_eq!(said(&report), [(name.as_str(), "file_missing")]);
}

const SECOND: &str = "audit/event_date=2026-11-22/gate-1-7-4-5.parquet";
const THIRD: &str = "audit/event_date=2026-11-22/gate-1-7-6-7.parquet";

fn removed(seqs: Vec<(u64, u64)>, rows: u64) -> RemovedRows {
    let time = manifest::time_text(MIDNIGHT_US);
    RemovedRows { rows, seqs, first_event_time: time.clone(), last_event_time: time }
}

#[test]
fn removed_rows_are_accounted_for_and_must_add_up() {
    let growing = Growing::new(&[rows_at(1..=3), rows_at(4..=7)]);
    let input = ("audit/event_date=2026-11-22/gate-1-7-4-7.parquet", 3);
    let kept = [rows_at(4..=4), rows_at(7..=7)].concat();
    // The same name: told apart by its bytes.
    let (staged, place) = growing.state_rewrite(&[input], &kept, Some(removed(vec![(5, 6)], 2)));
    assert_eq!((said(&verified(growing.dir.path())), staged.exists()), (vec![], true));
    fs::rename(&staged, &place).expect("replaces");
    let report = verified(growing.dir.path());
    assert_eq!((said(&report), report.rows, report.removed_rows), (vec![], 5, 2));

    for (seqs, rows) in [(vec![(5, 6)], 1), (vec![(5, 5)], 1), (vec![(6, 5)], 2), (vec![(5, 6), (6, 6)], 3)] {
        let growing = Growing::new(&[rows_at(1..=3), rows_at(4..=7)]);
        growing.state_rewrite(&[input], &kept, Some(removed(seqs.clone(), rows)));
        let report = verified(growing.dir.path());
        assert_eq!(said(&report)[0], ("manifest/00000004.json", "rewrite_mismatch"), "{seqs:?} {rows}");
    }
    let growing = Growing::new(&[rows_at(1..=3), rows_at(4..=7)]);
    growing.state_rewrite(&[(input.0, 1)], &kept, Some(removed(vec![(5, 6)], 2)));
    let report = verified(growing.dir.path());
    assert!(said(&report).contains(&("manifest/00000004.json", "rewrite_mismatch")), "{:?}", said(&report));
}
