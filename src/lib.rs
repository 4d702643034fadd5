//! Tollgate: an outbound proxy for Kibana connector traffic that judges every call and keeps evidence of it.
//!
//! Modules are listed in the order data flows through them; see ARCHITECTURE.md.

pub mod cli;
pub mod config;

pub mod attribution;
pub mod client;
pub mod destination;
pub mod intercept;
pub mod policy;
pub mod upstream;
pub mod wire;

pub mod archive;
pub mod journal;
pub mod observe;
pub mod record;
pub mod search;
