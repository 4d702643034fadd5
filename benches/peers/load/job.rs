//! What a load process is told, and what it reports: JSON, one value a line.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How a call travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum Way {
    /// Absolute-form to the proxy, or origin-form without one.
    Http,
    /// TLS inside CONNECT, or TLS without a proxy. Whether the proxy intercepts is its configuration.
    Tls,
    /// Plain bytes inside CONNECT.
    TunnelPlain,
}

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum Call {
    Post,
    Bulk,
}

/// Newest TLS version that clients offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum Tls {
    Tls12,
    Tls13,
}

/// One kind of traffic.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Flow {
    pub(crate) way: Way,
    pub(crate) call: Call,
    pub(crate) keep_alive: bool,
    /// `None`: straight to the origin.
    pub(crate) proxy: Option<SocketAddr>,
    /// On the loopback address.
    pub(crate) origin_port: u16,
    /// Clients that call at once.
    pub(crate) clients: usize,
    /// Calls a second of all clients together; `None`: each calls again as soon as it was answered.
    pub(crate) rate: Option<f64>,
}

/// What a load process does.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Job {
    pub(crate) cpus: Vec<usize>,
    pub(crate) flows: Vec<Flow>,
    /// PEM files of the CAs that clients trust.
    pub(crate) ca_files: Vec<PathBuf>,
    pub(crate) tls_max: Tls,
    /// Whether clients resume TLS sessions.
    pub(crate) resume: bool,
    /// Calls of each client before the measurement.
    pub(crate) warm_up: usize,
    pub(crate) seconds: f64,
    /// Of all clients together; whichever of the two comes first ends the run.
    pub(crate) requests_max: u64,
    /// Length of the windows reported while it runs; `None`: only the end is.
    pub(crate) window_s: Option<f64>,
    /// After the calls connections stay open until the load is told to end.
    pub(crate) hold: bool,
}

/// Latencies of the calls in one stretch of time, in microseconds.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Latencies {
    pub(crate) count: u64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) max_us: f64,
}

impl Latencies {
    /// Of these, in nanoseconds.
    pub(crate) fn of(mut all_ns: Vec<u64>) -> Self {
        all_ns.sort_unstable();
        let at = |share: f64| {
            let index = ((all_ns.len() as f64 * share) as usize).min(all_ns.len().saturating_sub(1));
            all_ns.get(index).map_or(0.0, |ns| *ns as f64 / 1e3)
        };
        let (p50_us, p99_us, p999_us, max_us) = (at(0.5), at(0.99), at(0.999), at(1.0));
        Self { count: all_ns.len() as u64, p50_us, p99_us, p999_us, max_us }
    }
}

/// What a load process prints.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum Report {
    /// The warm-up is over; it waits for a line on standard input.
    Warm(Totals),
    /// A window has passed.
    Window { at_s: f64, latencies: Latencies },
    /// All calls are answered. When connections are held, the next line on standard input ends it.
    Done { elapsed_s: f64, latencies: Latencies, totals: Totals, answered_by_flow: Vec<u64> },
}

/// Counts since the start, warm-up included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Totals {
    /// Every call begun, failed ones included.
    pub(crate) calls: u64,
    pub(crate) connections: u64,
    pub(crate) failures: u64,
    pub(crate) first_failure: Option<String>,
}
