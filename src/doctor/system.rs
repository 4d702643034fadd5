//! The clock, as far as it can be judged without asking others, and the limit on open files.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use rustix::process::{Resource, getrlimit};

use super::{Finding, Setup, shown_time};
use crate::config::Limits;
use crate::search::{self, Query};

/// Times of files and rows may be this far ahead of a clock that is right, in microseconds.
const AHEAD_MAX_US: i64 = 2_000_000;
/// Descriptors beside those of connections: listeners, files, the runtime.
const DESCRIPTORS_OTHER: usize = 64;

/// Times that cannot be in the future.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Past {
    /// When the newest file of the data directory was written, microseconds since the Unix epoch.
    pub(super) newest_file_us: Option<i64>,
    /// `event_time` of the newest row, microseconds since the Unix epoch.
    pub(super) newest_row_us: Option<i64>,
}

pub(super) fn clock(setup: &Setup) -> Vec<Finding> {
    setup.with_data_dir(|data_dir| {
        let newest = search::run(data_dir, &Query { limit: 1, ..Query::default() }).ok();
        let newest = newest.and_then(|found| found.rows.into_iter().next());
        let past = Past {
            newest_file_us: ["", "journal", "manifest"].iter().filter_map(|dir| newest_file(&data_dir.join(dir))).max(),
            newest_row_us: newest.map(|row| row.intent.event_time_us),
        };
        vec![judge_clock(setup.now_us(), past)]
    })
}

pub(super) fn judge_clock(now_us: i64, past: Past) -> Finding {
    let compared = [("row", past.newest_row_us), ("file", past.newest_file_us)];
    for (what, time_us) in compared {
        if let Some(time_us) = time_us.filter(|time_us| *time_us > now_us.saturating_add(AHEAD_MAX_US)) {
            return Finding::fail(
                format!(
                    "it is {}, but the newest {what} is from {}: the clock was set back",
                    shown_time(now_us),
                    shown_time(time_us)
                ),
                "synchronise the clock (`timedatectl`, `chronyc tracking`); rows are ordered by it",
            );
        }
    }
    let seen: Vec<String> = compared
        .into_iter()
        .filter_map(|(what, time_us)| Some(format!("the newest {what} is from {}", shown_time(time_us?))))
        .collect();
    let seen = if seen.is_empty() { "nothing to compare with".to_owned() } else { seen.join(", ") };
    Finding::ok(format!(
        "it is {}; {seen}. How far it is from real time was not asked: `timedatectl` and `chronyc tracking` say",
        shown_time(now_us)
    ))
}

/// When the newest file directly in a directory was written.
fn newest_file(dir: &Path) -> Option<i64> {
    let times = fs::read_dir(dir).ok()?.filter_map(|entry| {
        let modified = entry.ok()?.metadata().ok()?.modified().ok()?;
        i64::try_from(modified.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_micros()).ok()
    });
    times.max()
}

pub(super) fn descriptors(setup: &Setup) -> Vec<Finding> {
    setup.with_config(|config| vec![judge_descriptors(getrlimit(Resource::Nofile).current, &config.limits)])
}

/// `limit` is `None` when there is none.
pub(super) fn judge_descriptors(limit: Option<u64>, limits: &Limits) -> Finding {
    // One of the client, one of the upstream.
    let needed = limits.connections_max.saturating_mul(2).saturating_add(DESCRIPTORS_OTHER) as u64;
    match limit {
        Some(limit) if limit < needed => Finding::warn(
            format!(
                "this process may open {limit} files; limits.connections_max ({}) needs {needed}",
                limits.connections_max
            ),
            "what counts is the limit of the running service: LimitNOFILE in its unit, `ulimit -n` in its shell, or a lower \
             limits.connections_max",
        ),
        Some(limit) => Finding::ok(format!("this process may open {limit} files, {needed} are needed at most")),
        None => Finding::ok(format!("there is no limit on open files, {needed} are needed at most")),
    }
}
