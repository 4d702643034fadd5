//! A verdict, with policies of 10 to 1,000,000 hosts: its cost is not to grow. Reading a policy: its cost for each host is not
//! to grow either.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use tollgate::attribution::attribute;
use tollgate::connectors::Catalogue;
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
    let mut group = criterion.benchmark_group("reading a policy");
    group.sample_size(10);
    for hosts in [10_000, 1_000_000] {
        let text = text(hosts);
        group.throughput(Throughput::Elements(hosts as u64));
        group.bench_function(format!("{hosts} hosts"), |bencher| {
            bencher
                .iter(|| Policy::parse(black_box(&text), "policy.yml", &Catalogue::default()).expect("a valid policy"));
        });
    }
    group.finish();
}

/// One rule that lists so many hosts.
fn text(hosts: usize) -> String {
    let listed: Vec<String> = (0..hosts).map(|number| format!("      - h{number}.example.com\n")).collect();
    format!("mode: enforce\nrules:\n  - name: all\n    hosts:\n{}", listed.concat())
}

/// Half of the patterns are names, half are suffixes.
fn policy(hosts: usize) -> Policy {
    let patterns =
        (0..hosts / 2).flat_map(|number| [format!("h{number}.example.com"), format!("*.suffix{number}.test")]);
    let patterns: Vec<_> = patterns.map(|written| HostPattern::parse(&written).expect("a valid pattern")).collect();
    Policy::from_flags(true, &patterns)
}
