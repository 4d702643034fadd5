//! The canonicaliser: an authority from the wire to a [`Destination`].

use std::hint::black_box;

use criterion::Criterion;
use tollgate::destination::Destination;

const AUTHORITIES: [(&str, &str); 4] = [
    ("plain", "hooks.slack.com:443"),
    ("upper case", "Hooks.Slack.COM:443"),
    ("international", "bücher.example:443"),
    ("IPv6", "[2001:db8::7]:8443"),
];

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("canonicaliser");
    for (name, authority) in AUTHORITIES {
        Destination::from_connect(authority).expect("a valid authority");
        group.bench_function(name, |bencher| bencher.iter(|| Destination::from_connect(black_box(authority))));
    }
    group.finish();
}
