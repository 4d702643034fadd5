//! Tollgate: an outbound proxy for Kibana connector traffic that judges every call and keeps evidence of it.
//!
//! Modules are listed in the order data flows through them; see ARCHITECTURE.md.

pub mod cli;
pub mod config;

pub mod server;
pub mod gate;
pub mod scope;
pub mod connection;
pub mod tunnel;
pub mod speak;

pub mod client;
pub mod destination;
pub mod wire;
pub mod request;
pub mod intercept;
pub mod attribution;
pub mod connectors;
pub mod kibana;
pub mod policy;
pub mod upstream;
pub mod respond;
pub mod relay;
mod client_stream;
mod rewound;
mod tls;

pub mod observe;
pub mod record;
pub mod journal;
pub mod archive;
pub mod search;
pub mod verify;
pub mod doctor;

mod clock;
mod core_dumps;
mod faults;
pub mod storage;
mod yaml;
pub mod installation;
pub mod telemetry;
