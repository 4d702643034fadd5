//! Old entries of the chain in one file: the same chain, wherever a crash leaves it.

use super::*;
use crate::archive::maintenance::pack::pack;
use crate::archive::manifest;
use crate::storage::crash;

/// A chain of eleven entries.
fn bench() -> Bench {
    let bench = Bench::new();
    for seq in 1..=11 {
        bench.seal(&[samples::row(seq, MIDNIGHT_US)]);
    }
    bench
}

fn chain_files(bench: &Bench) -> Vec<String> {
    let listing = entries::list(&bench.settings.manifest_dir).expect("lists");
    assert_eq!(listing.strays, Vec::<PathBuf>::new());
    assert_eq!(listing.doubled, []);
    let name = |piece: &entries::Piece| piece.path.file_name().expect("name").to_string_lossy().into_owned();
    listing.pieces.iter().map(name).collect()
}

#[test]
fn closed_stretches_are_packed_and_the_newest_stay_single() {
    let bench = bench();
    let before = bench.verified().head;
    assert_eq!(bench.with_round(|round| pack(round, 3)).expect("packs"), 6);
    let mut expected = vec![manifest::pack_name(1, 3), manifest::pack_name(4, 6)];
    expected.extend((7..=11).map(manifest::file_name));
    assert_eq!(chain_files(&bench), expected);
    let report = bench.intact();
    assert_eq!((report.entries, report.head), (11, before));
    bench.seal(&[samples::row(12, MIDNIGHT_US)]);
    assert_eq!(bench.clean_round(AFTER_US).rewrites, 1, "packed entries are read like others");
    bench.intact();
}

#[test]
fn a_crash_while_packing_leaves_the_same_chain() {
    let bench = bench();
    for calls in 0.. {
        let bench = bench.copy();
        crash::after(calls);
        let packed = bench.with_round(|round| pack(round, 3));
        if !crash::over() {
            assert_eq!(packed.expect("packs"), 6);
            assert!(calls > 10, "{calls}");
            return;
        }
        assert_eq!(bench.intact().entries, 11, "{calls}");
        bench.with_round(|round| pack(round, 3)).expect("packs");
        assert_eq!(chain_files(&bench).len(), 7, "{calls}");
        assert_eq!(bench.intact().entries, 11, "{calls}");
    }
}

#[test]
fn a_damaged_entry_is_not_packed_nor_is_one_that_differs_removed() {
    let bench = bench();
    let damaged = bench.settings.manifest_dir.join(manifest::file_name(2));
    fs::write(&damaged, "{}").expect("writes");
    assert_eq!(bench.with_round(|round| pack(round, 3)).expect("packs"), 0);

    let bench = self::bench();
    let first = bench.settings.manifest_dir.join(manifest::file_name(1));
    bench.with_round(|round| pack(round, 3)).expect("packs");
    fs::write(&first, "{}").expect("writes");
    assert_eq!(bench.with_round(|round| pack(round, 3)).expect("packs"), 0);
    assert!(first.exists());
    assert_eq!(bench.verified().problems[0].fault.code(), "entry_doubled");
}
