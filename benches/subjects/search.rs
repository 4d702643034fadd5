//! Looking records up in sealed files: the newest, and those of one deployment.

use std::hint::black_box;

use criterion::Criterion;
use tollgate::archive::{Settings, seal};
use tollgate::journal::segment::SegmentBytes;
use tollgate::search::{self, Query};

use crate::rows::rows;

const ROWS: u64 = 200_000;
/// Of one file.
const FILE_ROWS: usize = 20_000;

pub(crate) fn bench(criterion: &mut Criterion) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let settings = Settings::new(dir.path());
    seal::prepare(&settings).expect("directories");
    let rows = rows(ROWS);
    for rows in rows.chunks(FILE_ROWS) {
        let writer = rows.first().expect("a row").writer.as_ref();
        let segment = SegmentBytes::of_rows(dir.path(), writer, rows).expect("encodes");
        seal::seal(&settings, &segment.rows().expect("undamaged")).expect("sealed");
    }
    let deployment = rows.first().expect("rows").intent.deployment_id.clone();
    let absent = Some("of nobody".to_owned());
    let queries = [
        ("newest 100", Query::default()),
        ("of a deployment", Query { deployment, ..Query::default() }),
        ("nothing", Query { deployment: absent, ..Query::default() }),
    ];
    let mut group = criterion.benchmark_group("search");
    group.sample_size(10);
    for (name, query) in queries {
        group.bench_function(name, |bencher| {
            bencher.iter(|| search::run(dir.path(), black_box(&query)).expect("a search").rows.len());
        });
    }
    group.finish();
}
