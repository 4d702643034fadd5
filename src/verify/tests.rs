//! A sealed dataset, one change to it, and what is said about that.

use std::collections::BTreeSet;
use std::fs;
use std::sync::LazyLock;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

mod kinds;
mod proofs;
mod rows;

use crate::archive::chain::Chain;
use crate::archive::manifest::{self, Entry, SignedEntry};
use crate::archive::samples::{self, MIDNIGHT_US};
use crate::archive::statement::{FileStatement, Statement};
use crate::archive::{self, Signer, seal};
use crate::record::{OutcomeKind, Row};

/// Relative path and bytes of every file of a data directory.
type Files = Vec<(String, Vec<u8>)>;

const FIRST_DAY: &str = "audit/event_date=2026-11-21/gate-1-7-1-2.parquet";
const SECOND_DAY: &str = "audit/event_date=2026-11-22/gate-1-7-3-4.parquet";
const LAST: &str = "audit/event_date=2026-11-22/gate-1-7-5-7.parquet";

/// Two segments, three files, seven rows, the first two of them before midnight.
static INTACT: LazyLock<Files> = LazyLock::new(|| sealed(&[rows_at(1..=4), rows_at(5..=7)]));

fn rows_at(seqs: std::ops::RangeInclusive<u64>) -> Vec<Row> {
    seqs.map(|seq| samples::row(seq, MIDNIGHT_US - 3 + seq as i64)).collect()
}

fn seal_into(dir: &Path, segments: &[Vec<Row>]) {
    let settings = archive::Settings::new(dir);
    seal::prepare(&settings).expect("prepares");
    fs::create_dir_all(dir.join("keys")).expect("keys");
    let signer = Signer::load_or_create(&dir.join("keys")).expect("key");
    let mut chain = Chain::open(settings.clone(), signer).expect("opens");
    for rows in segments {
        let written = samples::seal(&settings, rows).expect("seals");
        samples::cover(&mut chain, rows, &written, MIDNIGHT_US).expect("covers");
    }
}

fn sealed(segments: &[Vec<Row>]) -> Files {
    let dir = tempfile::tempdir().expect("temp dir");
    seal_into(dir.path(), segments);
    let found = files::list(dir.path()).expect("lists");
    found.into_iter().map(|(name, path)| (name, fs::read(path).expect("reads"))).collect()
}

fn laid_out(files: &Files) -> TempDir {
    let dir = tempfile::tempdir().expect("temp dir");
    for (name, bytes) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("parent")).expect("dir");
        fs::write(path, bytes).expect("writes");
    }
    dir
}

fn settings(root: &Path) -> Settings {
    let threads = NonZeroUsize::new(2).expect("two");
    Settings { root: root.to_owned(), public_key: None, anchor: None, since_us: None, until_us: None, threads }
}

fn verified(dir: &Path) -> Report {
    run(&settings(dir), &|_, _| {}).expect("verifies")
}

/// Place and code of each problem.
fn said(report: &Report) -> Vec<(&str, &'static str)> {
    report.problems.iter().map(|problem| (problem.place.as_str(), problem.fault.code())).collect()
}

fn is_evidence(name: &str) -> bool {
    name.starts_with("audit/") || name.starts_with("manifest/")
}

#[test]
fn what_was_sealed_is_intact() {
    let dir = laid_out(&INTACT);
    let report = verified(dir.path());
    assert_eq!(said(&report), []);
    assert_eq!((report.entries, report.files, report.rows, report.severity()), (3, 3, 7, None));
    let last = fs::read(dir.path().join("manifest/00000003.json")).expect("reads");
    assert_eq!(report.head, Some(Head { index: 3, sha256: Sha256::of(&last) }));
    assert!(report.key_from_same_place);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_flipped_byte_is_named(file in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), mask in 1..=255_u8) {
        let mut files = INTACT.clone();
        files.retain(|(name, _)| is_evidence(name) || name == "keys/manifest.pub");
        let evidence = files.iter().filter(|(name, _)| is_evidence(name)).count();
        prop_assert_eq!(evidence, 9);
        let index = files.iter().enumerate().filter(|(_, (name, _))| is_evidence(name)).map(|(index, _)| index);
        let index = *file.get(&index.collect::<Vec<_>>());
        let (name, bytes) = &mut files[index];
        let name = name.clone();
        *at.get_mut(bytes) ^= mask;
        let report = verified(laid_out(&files).path());
        prop_assert_eq!(report.severity(), Some(Severity::Tampered));
        prop_assert!(report.problems.iter().any(|problem| problem.place == name), "{}: {:?}", name, said(&report));
    }

    #[test]
    fn any_truncation_is_named(file in any::<prop::sample::Index>(), cut in 1..400_usize) {
        let mut files: Files = INTACT.iter().filter(|(name, _)| is_evidence(name)).cloned().collect();
        let (name, bytes) = file.get_mut(&mut files);
        let name = name.clone();
        bytes.truncate(bytes.len().saturating_sub(cut));
        files.extend(INTACT.iter().filter(|(name, _)| name == "keys/manifest.pub").cloned());
        let report = verified(laid_out(&files).path());
        prop_assert!(report.problems.iter().any(|problem| problem.place == name), "{}: {:?}", name, said(&report));
    }
}

#[test]
fn a_duplicate_of_any_file_and_an_edit_of_any_row_are_named() {
    for (name, bytes) in INTACT.iter().filter(|(name, _)| is_evidence(name)) {
        let dir = laid_out(&INTACT);
        let (folder, file) = name.rsplit_once('/').expect("below");
        let copy = format!("{folder}/copy-{file}");
        fs::write(dir.path().join(&copy), bytes).expect("writes");
        let report = verified(dir.path());
        let [(place, "stray_file" | "file_copied")] = said(&report)[..] else { panic!("{name}: {:?}", said(&report)) };
        assert_eq!(place, copy);
    }
    for seq in 1..=7 {
        let mut segments = [rows_at(1..=4), rows_at(5..=7)];
        let row = segments.iter_mut().flatten().find(|row| row.seq == seq).expect("there");
        row.outcome.duration_us += 1;
        let edited = sealed(&segments);
        let (name, bytes) = edited.iter().find(|file| name_has(&file.0, seq)).expect("sealed");
        let dir = laid_out(&INTACT);
        fs::write(dir.path().join(name), bytes).expect("writes");
        let report = verified(dir.path());
        let [(place, "file_size" | "file_modified")] = said(&report)[..] else { panic!("{:?}", said(&report)) };
        assert_eq!(place, name);
    }
}

fn name_has(name: &str, seq: u64) -> bool {
    let file = name.rsplit('/').next().and_then(crate::archive::dataset::FileName::parse);
    file.is_some_and(|file| file.seqs().contains(&seq))
}

#[test]
fn any_removed_file_is_named_and_any_two_swapped() {
    let names: Vec<&str> = INTACT.iter().map(|(name, _)| name.as_str()).filter(|name| is_evidence(name)).collect();
    for removed in &names {
        let dir = laid_out(&INTACT);
        fs::remove_file(dir.path().join(removed)).expect("removes");
        let report = verified(dir.path());
        // The last manifest has none after it that could miss it; its file is then one that nobody signed for.
        let expected = if *removed == "manifest/00000003.json" { LAST } else { removed };
        assert!(report.problems.iter().any(|problem| problem.place == expected), "{removed}: {:?}", said(&report));
        assert_eq!(report.severity(), Some(Severity::Tampered));
        for other in names.iter().filter(|other| other < &removed && other[..5] == removed[..5]) {
            let dir = laid_out(&INTACT);
            let [one, two, spare] = [removed, other, &"spare"].map(|name| dir.path().join(name));
            fs::rename(&one, &spare).expect("renames");
            fs::rename(&two, &one).expect("renames");
            fs::rename(&spare, &two).expect("renames");
            let report = verified(dir.path());
            let places: BTreeSet<&str> = report.problems.iter().map(|problem| problem.place.as_str()).collect();
            assert!(places.contains(removed) && places.contains(other), "{removed} {other}: {:?}", said(&report));
        }
    }
}

#[test]
fn each_kind_of_file_out_of_place_is_told_apart() {
    let dir = laid_out(&INTACT);
    let path = |name: &str| dir.path().join(name);
    fs::rename(path(FIRST_DAY), path("audit/event_date=2026-11-21/gate-1-7-1-9.parquet")).expect("renames");
    fs::copy(path(LAST), path("audit/event_date=2026-11-22/gate-2-1-5-7.parquet")).expect("copies");
    fs::write(path("audit/event_date=2026-11-22/gate-1-9-1-1.parquet"), "PAR1").expect("writes");
    fs::write(path("audit/notes.txt"), "").expect("writes");
    fs::copy(path("manifest/00000002.json"), path("manifest/00000004.json")).expect("copies");
    fs::write(path("manifest/notes"), "").expect("writes");
    assert_eq!(
        said(&verified(dir.path())),
        [
            ("manifest/notes", "stray_file"),
            ("manifest/00000004.json", "entry_renamed"),
            (FIRST_DAY, "file_renamed"),
            ("audit/event_date=2026-11-22/gate-1-9-1-1.parquet", "file_not_signed"),
            ("audit/event_date=2026-11-22/gate-2-1-5-7.parquet", "file_copied"),
            ("audit/notes.txt", "stray_file"),
        ]
    );
}

#[test]
fn a_rewritten_row_is_found_although_the_file_is_sound_parquet() {
    let mut rows = rows_at(1..=4);
    rows[2].outcome.response_bytes = 1;
    let forged = sealed(&[rows]);
    let dir = laid_out(&INTACT);
    let (_, bytes) = forged.iter().find(|(name, _)| name == SECOND_DAY).expect("sealed");
    fs::write(dir.path().join(SECOND_DAY), bytes).expect("writes");
    let report = verified(dir.path());
    let [(SECOND_DAY, "file_size" | "file_modified")] = said(&report)[..] else { panic!("{:?}", said(&report)) };
}

/// Replaces a manifest by a changed one with a valid signature: what the holder of the key can do.
fn sign_again(dir: &Path, index: u64, change: impl FnOnce(&mut Entry)) {
    let path = dir.join("manifest").join(manifest::file_name(index));
    let mut entry = SignedEntry::parse(&fs::read(&path).expect("reads")).expect("parses").entry;
    change(&mut entry);
    let signer = Signer::load_or_create(&dir.join("keys")).expect("key");
    let line = entry.to_line().expect("encodes");
    fs::write(path, manifest::entry_bytes(&line, &signer.sign(&line).expect("signs"))).expect("writes");
}

fn file_of(entry: &mut Entry) -> &mut FileStatement {
    let Statement::File(file) = &mut entry.statement else { panic!("not a file") };
    file
}

/// The copied fixture, with a private key that only its owner can read.
fn with_key() -> TempDir {
    let dir = tempfile::tempdir().expect("temp dir");
    seal_into(dir.path(), &[rows_at(1..=4), rows_at(5..=7)]);
    dir
}

#[test]
fn a_manifest_signed_again_breaks_the_chain_and_its_statements_are_checked() {
    let dir = with_key();
    sign_again(dir.path(), 2, |entry| {
        entry.epoch = 8;
        let file = file_of(entry);
        file.rows = 1;
        file.merkle_root = Sha256::of(b"other");
        file.schema_sha256 = Sha256::of(b"other");
        file.last_seq = 3;
        file.first_event_time = file.last_event_time.clone();
        file.policy_hashes = vec!["other".to_owned()];
        file.leaves_sha256 = Some(Sha256::of(b"other"));
    });
    let report = verified(dir.path());
    let (chain, statements) = said(&report).split_first().map(|(first, rest)| (*first, rest.to_vec())).expect("some");
    assert_eq!(chain, ("manifest/00000003.json", "chain_broken"));
    let wrong = statements.iter().filter(|said| **said == (SECOND_DAY, "statement_mismatch"));
    assert_eq!(wrong.count(), 8);
    let list = format!("manifest/leaves/{}", Sha256::of(b"other"));
    assert!(statements.contains(&(list.as_str(), "list_missing")), "{statements:?}");
}

#[test]
fn a_file_stated_twice_is_named() {
    let dir = with_key();
    let first = FIRST_DAY.strip_prefix("audit/").expect("below").to_owned();
    sign_again(dir.path(), 3, |entry| file_of(entry).path = first);
    let report = verified(dir.path());
    assert_eq!(said(&report), [("manifest/00000003.json", "stated_twice"), (LAST, "file_not_signed")]);
}

#[test]
fn another_key_proves_nothing() {
    let (dir, other) = (laid_out(&INTACT), with_key());
    let public_key = Some(other.path().join("keys").join(PUBLIC_KEY_FILE));
    let report = run(&Settings { public_key, ..settings(dir.path()) }, &|_, _| {}).expect("verifies");
    assert_eq!(said(&report).iter().filter(|(_, code)| *code == "unknown_key").count(), 3);
    assert!(!report.key_from_same_place);

    // The same, with the key id forged as well.
    let forged = with_key();
    let own_key = Some(dir.path().join("keys").join(PUBLIC_KEY_FILE));
    let id = PublicKey::load(own_key.as_deref().expect("set")).expect("loads").id();
    sign_again(forged.path(), 3, |entry| entry.key_id = id);
    let report = run(&Settings { public_key: own_key, ..settings(forged.path()) }, &|_, _| {}).expect("verifies");
    assert!(said(&report).contains(&("manifest/00000003.json", "bad_signature")), "{:?}", said(&report));
}

#[test]
fn rows_that_were_never_sealed_are_a_hole_and_gap_rows_make_it_incomplete() {
    let dir = tempfile::tempdir().expect("temp dir");
    seal_into(dir.path(), &[rows_at(1..=4), rows_at(6..=7)]);
    assert_eq!(said(&verified(dir.path())), [("rows 5-5 of gate-1-7", "sequence_gap")]);

    let dir = tempfile::tempdir().expect("temp dir");
    let mut rows = rows_at(3..=4);
    rows[1].outcome.outcome = OutcomeKind::Gap;
    seal_into(dir.path(), &[rows_at(1..=2), rows]);
    let report = verified(dir.path());
    assert_eq!(said(&report), [(SECOND_DAY, "gap_rows")]);
    assert_eq!(report.severity(), Some(Severity::Incomplete));
}

#[test]
fn only_files_in_the_asked_time_are_opened() {
    let dir = laid_out(&INTACT);
    fs::write(dir.path().join(FIRST_DAY), "PAR1").expect("writes");
    let later = Settings { since_us: Some(MIDNIGHT_US), ..settings(dir.path()) };
    let report = run(&later, &|_, _| {}).expect("verifies");
    assert_eq!((said(&report), report.files, report.rows, report.skipped), (vec![], 2, 5, 1));
    let earlier = Settings { until_us: Some(MIDNIGHT_US), ..settings(dir.path()) };
    let report = run(&earlier, &|_, _| {}).expect("verifies");
    assert_eq!((said(&report), report.skipped), (vec![(FIRST_DAY, "file_size")], 2));
}

#[test]
fn what_is_no_data_directory_or_has_no_key_is_an_error() {
    let dir = tempfile::tempdir().expect("temp dir");
    let error = run(&settings(dir.path()), &|_, _| {}).expect_err("refuses");
    assert!(matches!(error, VerifyError::NoDataDir(_)), "{error}");
    fs::create_dir(dir.path().join("audit")).expect("dir");
    let error = run(&settings(dir.path()), &|_, _| {}).expect_err("refuses");
    assert!(matches!(error, VerifyError::Key(_)), "{error}");
}
