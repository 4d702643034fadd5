//! Signing for sealed files, with crashes between the steps.

use super::*;
use crate::archive::samples::{self, MIDNIGHT_US};
use crate::archive::seal;

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
        Chain::open(self.settings.manifest_dir.clone(), signer).expect("opens")
    }

    fn seal(&self, rows: &[Row]) -> Vec<PathBuf> {
        seal::seal(&self.settings, rows).expect("seals").into_iter().map(|sealed| sealed.path).collect()
    }

    /// The bytes of all manifest files, in order.
    fn manifests(&self) -> Vec<Vec<u8>> {
        let listing = list(&self.settings.manifest_dir).expect("lists");
        assert_eq!(listing.strays, Vec::<PathBuf>::new());
        listing.manifests.values().map(|path| read(path).expect("reads")).collect()
    }
}

fn rows_at(seqs: std::ops::RangeInclusive<u64>) -> Vec<Row> {
    seqs.map(|seq| samples::row(seq, MIDNIGHT_US + seq as i64)).collect()
}

#[test]
fn each_file_gets_a_manifest_that_names_the_one_before() {
    let bench = Bench::new();
    let mut chain = bench.chain();
    let mut rows = rows_at(1..=3);
    rows[0].intent.event_time_us = MIDNIGHT_US - 1;
    rows[1].intent.policy_hash = Some("p1".to_owned());
    bench.seal(&rows);
    chain.cover(&bench.settings, &rows).expect("covers");

    let manifests = bench.manifests();
    let signed: Vec<_> = manifests.iter().map(|bytes| SignedManifest::parse(bytes).expect("parses")).collect();
    let [first, second] = &signed[..] else { panic!("{signed:?}") };
    for signed in [first, second] {
        assert!(chain.signer.public().verifies(&signed.statement, &signed.signature));
        assert_eq!((signed.manifest.instance_id.as_str(), signed.manifest.epoch), ("gate-1", 7));
        assert_eq!(signed.manifest.key_id, chain.signer.public().id());
    }
    assert_eq!((first.manifest.index, first.manifest.previous), (1, None));
    assert_eq!((second.manifest.index, second.manifest.previous), (2, Some(Sha256::of(&manifests[0]))));
    let file = &second.manifest.file;
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
    bench.seal(&rows);
    let mut chain = bench.chain();
    chain.cover(&bench.settings, &rows).expect("covers");
    let before = bench.manifests();
    chain.cover(&bench.settings, &rows).expect("again");
    let mut restarted = bench.chain();
    restarted.cover(&bench.settings, &rows).expect("after a restart");
    assert_eq!(bench.manifests(), before);

    let more = rows_at(4..=5);
    bench.seal(&more);
    restarted.cover(&bench.settings, &more).expect("covers");
    let manifests = bench.manifests();
    let last = SignedManifest::parse(&manifests[1]).expect("parses").manifest;
    assert_eq!((last.index, last.previous), (2, Some(Sha256::of(&before[0]))));
}

#[test]
fn a_crash_before_the_manifest_is_made_up_for() {
    let bench = Bench::new();
    let rows = rows_at(1..=3);
    bench.seal(&rows);
    drop(bench.chain());
    assert_eq!(bench.seal(&rows), Vec::<PathBuf>::new(), "sealed before");
    fs::write(bench.settings.staging_dir.join("00000001.json"), b"{\"for").expect("a torn manifest in staging");
    bench.chain().cover(&bench.settings, &rows).expect("covers");
    assert_eq!(bench.manifests().len(), 1);
}

#[test]
fn a_file_with_rows_of_somebody_else_is_never_signed_for() {
    let bench = Bench::new();
    let mut altered = rows_at(1..=3);
    altered[1].outcome.response_bytes = 1;
    let path = bench.seal(&altered).remove(0);
    let error = bench.chain().cover(&bench.settings, &rows_at(1..=3)).expect_err("refuses");
    assert!(matches!(&error, ChainError::ForeignRows(at) if *at == path), "{error}");
    assert_eq!(bench.manifests().len(), 0);
}

#[test]
fn a_damaged_head_does_not_stop_the_chain() {
    let bench = Bench::new();
    fs::create_dir_all(&bench.settings.manifest_dir).expect("dir");
    fs::write(bench.settings.manifest_dir.join("00000007.json"), b"gone").expect("writes");
    let rows = rows_at(1..=1);
    bench.seal(&rows);
    bench.chain().cover(&bench.settings, &rows).expect("covers");
    let last = SignedManifest::parse(&bench.manifests()[1]).expect("parses").manifest;
    assert_eq!((last.index, last.previous), (8, Some(Sha256::of(b"gone"))));
}
