//! Sealing: rows to a durable Parquet file, with the digests that its manifest states.

use std::path::Path;

use criterion::{BatchSize, Criterion, Throughput};
use tollgate::archive::{Settings, seal};
use tollgate::journal::segment::SegmentBytes;

use crate::rows::rows;

/// About what a busy gate collects in ten seconds.
const ROWS: u64 = 50_000;

pub(crate) fn bench(criterion: &mut Criterion) {
    let rows = rows(ROWS);
    let writer = rows.first().expect("rows").writer.as_ref();
    let segment = SegmentBytes::of_rows(Path::new("1.journal"), writer, &rows).expect("encodes");
    let rows = segment.rows().expect("undamaged");
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
    group.finish();
}
