//! Minting a leaf certificate; calls to a name seen before find theirs in a cache.

use std::hint::black_box;
use std::time::{Duration, SystemTime};

use criterion::Criterion;
use tollgate::destination::Host;
use tollgate::intercept::authority::{Authority, Settings};

pub(crate) fn bench(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let settings = Settings {
        cert_file: dir.path().join("ca.pem"),
        key_file: dir.path().join("ca.key"),
        leaf_valid: Duration::from_secs(190 * 24 * 3600),
    };
    let now = SystemTime::now();
    let authority = Authority::load_or_create(&settings, now).expect("a CA");
    let host = Host::parse("hooks.slack.com").expect("a valid name");
    criterion.bench_function("leaf/mint", |bencher| bencher.iter(|| authority.leaf(black_box(&host), now)));
}
