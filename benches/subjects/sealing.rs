//! Sealing: rows to a durable Parquet file, and the signed manifest of it.

use criterion::{BatchSize, Criterion, Throughput};
use tollgate::archive::chain::Chain;
use tollgate::archive::{Settings, Signer, seal};

use crate::rows::rows;

/// About what a busy gate collects in ten seconds.
const ROWS: u64 = 50_000;

pub(crate) fn bench(criterion: &mut Criterion) {
    let rows = rows(ROWS);
    let mut group = criterion.benchmark_group("sealing");
    group.throughput(Throughput::Elements(ROWS)).sample_size(10);
    let dataset = || {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let settings = Settings::new(dir.path());
        seal::prepare(&settings).expect("directories");
        (dir, settings)
    };
    group.bench_function("parquet", |bencher| {
        let seal = |(dir, settings)| (dir, seal::seal(&settings, &rows).expect("sealed"));
        bencher.iter_batched(dataset, seal, BatchSize::PerIteration);
    });
    group.bench_function("manifest", |bencher| {
        let sealed = || {
            let (dir, settings) = dataset();
            seal::seal(&settings, &rows).expect("sealed");
            let keys = dir.path().join("keys");
            std::fs::create_dir(&keys).expect("a directory");
            let signer = Signer::load_or_create(&keys).expect("a key");
            let chain = Chain::open(settings.manifest_dir.clone(), signer).expect("a chain");
            (dir, settings, chain)
        };
        let cover = |(dir, settings, mut chain): (tempfile::TempDir, Settings, Chain)| {
            chain.cover(&settings, &rows).expect("covered");
            dir
        };
        bencher.iter_batched(sealed, cover, BatchSize::PerIteration);
    });
    group.finish();
}
