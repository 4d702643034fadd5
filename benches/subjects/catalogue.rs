//! Which connector a call is of: a known host, a self-hosted service, and neither.

use std::hint::black_box;

use criterion::Criterion;
use http::{HeaderMap, Method};
use tollgate::connectors::{Catalogue, Request, Sighting};
use tollgate::destination::Destination;

const CALLS: [(&str, &str, &str); 3] = [
    ("known host", "hooks.slack.com:443", "/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"),
    ("self-hosted", "hive.internal:9443", "/api/v1/case"),
    ("unknown", "example.com:443", "/some/path/of/nobody"),
];

pub(crate) fn bench(criterion: &mut Criterion) {
    let catalogue = Catalogue::embedded().expect("the embedded catalogue is valid");
    let headers = HeaderMap::new();
    let mut group = criterion.benchmark_group("catalogue");
    for (name, authority, path) in CALLS {
        let destination = Destination::from_connect(authority).expect("a valid authority");
        let request = Some(Request { method: &Method::POST, path, headers: &headers });
        let seen = Sighting { destination: &destination, request };
        group.bench_function(name, |bencher| bencher.iter(|| catalogue.identify(black_box(&seen)).is_some()));
    }
    group.finish();
}
