//! `tollgate records --url-stdin`: whether URLs were called, by whom, when and how often. Never prints one.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use super::CliError;
use super::args::RecordsArgs;
use super::records::{query, terminal_width};
use crate::config::DataDir;
use crate::installation::read_fingerprint_keys;
use crate::record::Row;
use crate::search::sought::{Sought, wanted};
use crate::search::{self, Query, print};

/// Most calls that are counted; printed are as many as `--limit` says.
const COUNTED_MAX: usize = 100_000;

/// Looks up the URLs of `input`; fails as `records` does.
pub(super) fn look_up(args: &RecordsArgs, input: impl Read, out: &mut impl Write) -> Result<(), CliError> {
    let sought = Sought::read(input)?;
    let key_file = args.fingerprint_key.clone();
    let key_file = key_file.unwrap_or_else(|| DataDir::new(&args.data_dir).url_fingerprint_key());
    let numbers = sought.fingerprints(&read_fingerprint_keys(&key_file)?);
    let query = Query { fingerprints: Some(wanted(&numbers)), limit: COUNTED_MAX.max(args.limit), ..query(args) };
    let found = search::run(&args.data_dir, &query)?;
    let shown = found.rows.get(..args.limit).unwrap_or(&found.rows);
    if args.json {
        print::json_lines_with(shown, |row| Some(("url", number(row, &numbers)?)), out)?;
    } else {
        for url in 1..=sought.count() {
            let calls: Vec<&Row> = found.rows.iter().filter(|row| number(row, &numbers) == Some(url)).collect();
            write_summary(url, &calls, found.rows.len() == query.limit, out)?;
        }
        if !shown.is_empty() {
            writeln!(out)?;
            print::table(shown, terminal_width(), out)?;
        }
    }
    out.flush()?;
    if found.problems.is_empty() { Ok(()) } else { Err(CliError::Incomplete(found.problems)) }
}

/// Which of the URLs a row is of.
fn number(row: &Row, numbers: &BTreeMap<String, usize>) -> Option<usize> {
    numbers.get(row.intent.url_fingerprint.as_ref()?).copied()
}

/// `calls` are newest first; `cut` says that older ones were left out.
fn write_summary(url: usize, calls: &[&Row], cut: bool, out: &mut impl Write) -> std::io::Result<()> {
    let (Some(newest), Some(oldest)) = (calls.first(), calls.last()) else {
        return writeln!(out, "URL {url}: no call is recorded");
    };
    let at_least = if cut { "at least " } else { "" };
    let count = if calls.len() == 1 { "1 call".to_owned() } else { format!("{} calls", calls.len()) };
    let (first, last) = (print::time_of(oldest), print::time_of(newest));
    writeln!(out, "URL {url}: {at_least}{count}, first {first}, last {last} (UTC)")?;
    let mut callers: BTreeMap<String, usize> = BTreeMap::new();
    for row in calls {
        *callers.entry(print::caller_of(row)).or_default() += 1;
    }
    callers.iter().try_for_each(|(caller, count)| writeln!(out, "  {count:>6}  {caller}"))
}
