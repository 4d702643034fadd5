//! Starting: what is done with the chain before anything is accepted, with many entries that were never packed.

use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use criterion::{BatchSize, Criterion};
use tollgate::archive::digest::Sha256;
use tollgate::archive::statement::{RecoverySummary, StartStatement};
use tollgate::archive::{Opening, Sealer, Settings, Signer, Start, Watch, manifest, rotation, seal};

/// None to speak of, and those of a year of 300 sealed files a day.
const ENTRIES: [u64; 2] = [1, 100_000];
const WATCH_FILES_MAX: usize = 20_000;
/// About the size of the entry of a file.
const ENTRY: [u8; 1024] = [b'x'; 1024];
const NOW_US: i64 = 1_795_334_400_000_000;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("start");
    group.sample_size(10);
    for entries in ENTRIES {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let (settings, keys) = (Settings::new(dir.path()), dir.path().join("keys"));
        fs::create_dir(&keys).expect("a directory");
        seal::prepare(&settings).expect("directories");
        for index in 1..=entries {
            fs::write(settings.manifest_dir.join(manifest::file_name(index)), ENTRY).expect("an entry");
        }
        group.bench_function(format!("{entries} entries"), |bencher| {
            bencher.iter_batched(|| (), |()| start(&settings, &keys), BatchSize::PerIteration);
        });
    }
    group.finish();
}

/// Both threads end with what is returned.
fn start(settings: &Settings, keys: &Path) -> (Sealer, Watch) {
    rotation::finish(settings, keys, NOW_US).expect("no rotation");
    let signer = Signer::load_or_create(keys).expect("a key");
    let (_, segments) = mpsc::channel();
    let sealer = Sealer::start(settings.clone(), signer, opening(), segments).expect("starts");
    let watch = Watch::start(settings, Duration::from_secs(60), WATCH_FILES_MAX).expect("starts");
    (sealer, watch)
}

fn opening() -> Opening {
    let statement = StartStatement {
        version: "1.2.3".to_owned(),
        policy_hash: "2c26b46b68ffc68ff99b453c1d304134".to_owned(),
        config_sha256: None,
        catalogue_sha256: Sha256::of(b"catalogue"),
        durability: "fsync".to_owned(),
        on_failure: "refuse".to_owned(),
        recovery: RecoverySummary::default(),
    };
    Opening { start: Start { instance_id: "gate-eu-1".to_owned(), epoch: 1 }, statement }
}
