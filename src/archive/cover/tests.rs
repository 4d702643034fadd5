//! Signing for sealed files, with crashes between the steps.

use std::fs;

use super::*;
use crate::archive::chain::Head;
use crate::archive::manifest::Entry;
use crate::archive::rows;
use crate::archive::samples::{self, MIDNIGHT_US};
use crate::archive::signer::{PublicKey, Signer};
use crate::record::Row;

struct Bench {
    dir: tempfile::TempDir,
    settings: Settings,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("temp dir");
        let settings = Settings::new(dir.path());
        seal::prepare(&settings).expect("prepares");
        Self { dir, settings }
    }

    fn chain(&self) -> Chain {
        let signer = Signer::load_or_create(self.dir.path()).expect("key");
        Chain::open(self.settings.clone(), signer).expect("opens")
    }

    fn public(&self) -> PublicKey {
        Signer::load_or_create(self.dir.path()).expect("key").public().clone()
    }

    fn seal(&self, rows: &[Row]) -> Vec<Sealed> {
        samples::seal(&self.settings, rows).expect("seals")
    }

    /// The bytes of all entries, in order.
    fn entries(&self) -> Vec<Vec<u8>> {
        let listing = entries::list(&self.settings.manifest_dir).expect("lists");
        assert_eq!(listing.strays, Vec::<PathBuf>::new());
        listing.pieces.iter().map(|piece| piece.bytes().expect("reads")).collect()
    }
}

const NOW_US: i64 = MIDNIGHT_US + 1_000_000;

/// Signs as after a crash, when nothing is known to have been written just now.
fn cover_again(chain: &mut Chain, rows: &[Row]) {
    samples::cover(chain, rows, &[], NOW_US).expect("covers");
}

fn entry(bytes: &[u8]) -> Entry {
    SignedEntry::parse(bytes).expect("parses").entry
}

fn rows_at(seqs: std::ops::RangeInclusive<u64>) -> Vec<Row> {
    seqs.map(|seq| samples::row(seq, MIDNIGHT_US + seq as i64)).collect()
}

#[test]
fn each_file_gets_an_entry_that_names_the_one_before() {
    let bench = Bench::new();
    let mut rows = rows_at(1..=3);
    rows[0].intent.event_time_us = MIDNIGHT_US - 1;
    rows[1].intent.policy_hash = Some("p1".to_owned());
    let written = bench.seal(&rows);
    samples::cover(&mut bench.chain(), &rows, &written, NOW_US).expect("covers");

    let entries = bench.entries();
    let signed: Vec<_> = entries.iter().map(|bytes| SignedEntry::parse(bytes).expect("parses")).collect();
    let [first, second] = &signed[..] else { panic!("{signed:?}") };
    for signed in [first, second] {
        assert!(bench.public().verifies(&signed.signed, &signed.signature));
        assert_eq!(signed.entry.start(), samples::start());
        assert_eq!(signed.entry.key_id, bench.public().id());
        assert_eq!(signed.entry.time, "2026-11-22T00:00:01.000000Z");
    }
    assert_eq!((first.entry.index, first.entry.previous), (1, None));
    assert_eq!((second.entry.index, second.entry.previous), (2, Some(Sha256::of(&entries[0]))));
    let file = second.entry.statement.file().expect("a file");
    assert_eq!(file.path, "event_date=2026-11-22/gate-1-7-2-3.parquet");
    assert_eq!((file.rows, file.first_seq, file.last_seq), (2, 2, 3));
    assert_eq!(file.first_event_time, "2026-11-22T00:00:00.000002Z");
    assert_eq!(file.last_event_time, "2026-11-22T00:00:00.000003Z");
    assert_eq!(file.policy_hashes, ["p1"]);
    let batch = rows::encode(&[&rows[1], &rows[2]]).expect("encodes");
    assert_eq!(file.merkle_root, canonical::merkle_root(&canonical::leaves(&batch).expect("leaves")));
    let bytes = fs::read(bench.settings.audit_dir.join(&file.path)).expect("reads");
    assert_eq!((file.bytes, file.sha256), (bytes.len() as u64, Sha256::of(&bytes)));
}

#[test]
fn covering_again_changes_nothing_and_a_restart_goes_on_with_the_chain() {
    let bench = Bench::new();
    let rows = rows_at(1..=3);
    let written = bench.seal(&rows);
    let mut chain = bench.chain();
    samples::cover(&mut chain, &rows, &written, NOW_US).expect("covers");
    let before = bench.entries();
    cover_again(&mut chain, &rows);
    let mut restarted = bench.chain();
    cover_again(&mut restarted, &rows);
    assert_eq!(bench.entries(), before);

    let more = rows_at(4..=5);
    let written = bench.seal(&more);
    samples::cover(&mut restarted, &more, &written, NOW_US).expect("covers");
    let last = entry(&bench.entries()[1]);
    assert_eq!((last.index, last.previous), (2, Some(Sha256::of(&before[0]))));
}

#[test]
fn an_entry_is_found_again_behind_later_ones_and_in_a_packed_file() {
    let bench = Bench::new();
    let mut chain = bench.chain();
    let opening = || Statement::Start(samples::opening().statement);
    chain.append(&samples::start(), NOW_US, opening()).expect("appends");
    let rows = rows_at(1..=3);
    let written = bench.seal(&rows);
    samples::cover(&mut chain, &rows, &written, NOW_US).expect("covers");
    // Later starts, of this instance and of one that began to count anew, are no reason to stop looking.
    chain.append(&Start { epoch: 8, ..samples::start() }, NOW_US, opening()).expect("appends");
    chain.append(&Start { instance_id: "other".to_owned(), epoch: 1 }, NOW_US, opening()).expect("appends");
    let before = bench.entries();
    cover_again(&mut bench.chain(), &rows);
    assert_eq!(bench.entries(), before);

    let dir = &bench.settings.manifest_dir;
    for index in 1..=4 {
        fs::remove_file(dir.join(manifest::file_name(index))).expect("removes");
    }
    let packed = before.concat();
    fs::write(dir.join(manifest::pack_name(1, 4)), &packed).expect("packs");
    let mut chain = bench.chain();
    assert_eq!(chain.head(), Some(Head { index: 4, sha256: Sha256::of(&before[3]) }));
    cover_again(&mut chain, &rows);
    assert_eq!(bench.entries(), [packed]);
}

#[test]
fn a_crash_before_the_entry_is_made_up_for() {
    let bench = Bench::new();
    let rows = rows_at(1..=3);
    bench.seal(&rows);
    drop(bench.chain());
    assert_eq!(bench.seal(&rows), [], "sealed before");
    fs::write(bench.settings.staging_dir.join("00000001.json"), b"{\"for").expect("a torn entry in staging");
    cover_again(&mut bench.chain(), &rows);
    assert_eq!(bench.entries().len(), 1);
}

#[test]
fn a_file_with_rows_of_somebody_else_is_never_signed_for() {
    let bench = Bench::new();
    let mut altered = rows_at(1..=3);
    altered[1].outcome.response_bytes = 1;
    let path = bench.seal(&altered).remove(0).path;
    let error = samples::cover(&mut bench.chain(), &rows_at(1..=3), &[], NOW_US).expect_err("refuses");
    assert!(matches!(&error, CoverError::ForeignRows(at) if *at == path), "{error}");
    assert_eq!(bench.entries().len(), 0);
}

#[test]
fn a_damaged_head_does_not_stop_the_chain() {
    let bench = Bench::new();
    fs::create_dir_all(&bench.settings.manifest_dir).expect("dir");
    fs::write(bench.settings.manifest_dir.join("00000007.json"), b"gone").expect("writes");
    let rows = rows_at(1..=1);
    bench.seal(&rows);
    cover_again(&mut bench.chain(), &rows);
    let last = entry(&bench.entries()[1]);
    assert_eq!((last.index, last.previous), (8, Some(Sha256::of(b"gone"))));
}
