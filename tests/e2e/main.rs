//! End to end: the real binary, real sockets, and the audit rows it leaves.
//!
//! Every test asserts the rows as well as the responses. `harness` holds the gate, the origins and the clients.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a test fails by panicking, and its helpers too; `pub` in the harness says what tests use"
)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking; the lints know test functions, but not the harness they call"
)]

mod harness;

mod addresses;
mod certificates;
mod evidence;
mod exchange;
mod fronting;
mod identity;
mod lifecycle;
mod streaming;
mod tunnels;
mod upgrades;
mod upstreams;
