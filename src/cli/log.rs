//! Starts logging: to stderr, so that stdout stays for results.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Log, LogFormat};

/// Starts logging for the rest of the process. A subscriber that is already there, as in tests, is kept.
pub(super) fn init(log: &Log) {
    // The configuration was checked with the same parser; a level it let through parses here too.
    let filter: Targets = log.level.parse().unwrap_or_default();
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let started = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
    if let Err(error) = started {
        tracing::debug!(%error, "logging was started before");
    }
}
