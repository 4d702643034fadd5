//! A verdict, with policies of 10 to 1,000,000 hosts: its cost is not to grow.

use std::hint::black_box;

use criterion::Criterion;
use tollgate::attribution::attribute;
use tollgate::destination::Destination;
use tollgate::policy::{HostPattern, Policy};

pub(crate) fn bench(criterion: &mut Criterion) {
    let subject = attribute([&b"axios/1.7.2 elastic (deployment:0763c7f3a5cf4fc78981d801d2b8af6a)"[..]], None);
    let mut group = criterion.benchmark_group("policy");
    for hosts in [10, 10_000, 1_000_000] {
        let policy = policy(hosts);
        for (name, authority) in
            [("exact", "h7.example.com:443"), ("suffix", "a.b.suffix7.test:443"), ("deny", "x.test:443")]
        {
            let destination = Destination::from_connect(authority).expect("a valid authority");
            group.bench_function(format!("{hosts} hosts, {name}"), |bencher| {
                bencher.iter(|| policy.decide(black_box(&subject), black_box(&destination)));
            });
        }
    }
    group.finish();
}

/// Half of the patterns are names, half are suffixes.
fn policy(hosts: usize) -> Policy {
    let patterns =
        (0..hosts / 2).flat_map(|number| [format!("h{number}.example.com"), format!("*.suffix{number}.test")]);
    let patterns: Vec<_> = patterns.map(|written| HostPattern::parse(&written).expect("a valid pattern")).collect();
    Policy::from_flags(true, &patterns)
}
