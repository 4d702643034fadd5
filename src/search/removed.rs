//! What retention removed of the asked time, by the chain. Not verified: it is a hint, `verify` is for proof.

use std::collections::HashSet;
use std::path::Path;

use crate::archive::entries;
use crate::archive::manifest::parse_time_text;
use crate::archive::statement::Statement;

/// Rows that are no longer there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removed {
    /// In the entries that removed any row of the asked time.
    pub rows: u64,
    /// The latest `event_time` of them, microseconds since the Unix epoch.
    pub last_us: i64,
}

/// Reads the chain back to `since_us`: what removed a row was stated after the row.
pub(super) fn find(manifest_dir: &Path, since_us: i64, until_us: Option<i64>) -> Option<Removed> {
    let mut found: Option<Removed> = None;
    let mut seen: HashSet<(String, u64)> = HashSet::new();
    let walked = entries::walk_back(manifest_dir, |signed| {
        if let Statement::Rewrite(rewrite) = &signed.entry.statement {
            // Stated again later: the first was not done.
            let again = rewrite.inputs.iter().any(|input| seen.contains(&(input.path.clone(), input.index)));
            seen.extend(rewrite.inputs.iter().map(|input| (input.path.clone(), input.index)));
            let removed = rewrite.removed.as_ref().filter(|_| !again);
            let times = removed.and_then(|removed| {
                parse_time_text(&removed.first_event_time).zip(parse_time_text(&removed.last_event_time))
            });
            if let (Some(removed), Some((first_us, last_us))) = (removed, times)
                && last_us >= since_us
                && until_us.is_none_or(|until_us| first_us < until_us)
            {
                let before = found.unwrap_or(Removed { rows: 0, last_us });
                found = Some(Removed { rows: before.rows + removed.rows, last_us: before.last_us.max(last_us) });
            }
        }
        parse_time_text(&signed.entry.time).is_none_or(|time_us| time_us >= since_us)
    });
    if let Err(error) = walked {
        tracing::warn!(%error, "the chain cannot be read: what retention removed is not known");
    }
    found
}
