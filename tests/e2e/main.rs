//! End to end: the real binary, real sockets, and the audit rows it leaves.
//!
//! Every test asserts the rows as well as the responses. `harness` holds the gate, the origins and the clients.
#![cfg(test)]
#![expect(unreachable_pub, reason = "`pub` marks what the harness offers; nothing outside this binary can reach it")]
#![expect(clippy::disallowed_methods, reason = "the clients of a test open connections of their own")]

mod harness;

mod addresses;
mod certificates;
mod chain;
mod connectors;
mod doctor;
mod evidence;
mod exchange;
// Storage fails by order only in builds with debug assertions.
#[cfg(debug_assertions)]
mod faults;
mod fronting;
mod identity;
mod idle;
mod lifecycle;
mod lookup;
mod secrets;
// Days pass by order only in builds with debug assertions.
#[cfg(debug_assertions)]
mod maintenance;
mod streaming;
mod tunnels;
mod upgrades;
mod upstream_tls;
mod upstreams;
mod verify;
