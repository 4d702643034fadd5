//! What one step of a call costs, subject by subject, with criterion. End to end is the bench `peers`.
//!
//! `cargo bench --bench subjects -- policy` runs one subject. Everything goes through the library's public API; nothing here
//! asserts a time.

#![expect(clippy::expect_used, reason = "a bench that cannot prepare its subject has nothing to measure")]

mod catalogue;
mod destination;
mod journal;
mod leaf;
mod policy;
#[path = "../evidence/rows.rs"]
mod rows;
mod sealing;
mod search;
mod start;

use std::time::Duration;

use criterion::Criterion;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    destination::bench(&mut criterion);
    policy::bench(&mut criterion);
    catalogue::bench(&mut criterion);
    leaf::bench(&mut criterion);
    journal::bench(&mut criterion);
    sealing::bench(&mut criterion);
    search::bench(&mut criterion);
    start::bench(&mut criterion);
    criterion.final_summary();
}
