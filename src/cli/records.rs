//! `tollgate records`: from flags to a query, and from what it finds to stdout.
//!
//! What could not be read is named on stderr and by the exit code, so that nobody takes a part for the whole.

use std::io::{self, IsTerminal as _, Write};

use super::args::RecordsArgs;
use super::{CliError, lookup};
use crate::archive::manifest;
use crate::search::sought::SoughtError;
use crate::search::{self, Query, print};

/// Searches and prints; fails with [`CliError::Incomplete`] after printing when something could not be read.
pub(super) fn records(args: &RecordsArgs, out: &mut impl Write) -> Result<(), CliError> {
    if args.url_stdin {
        let stdin = io::stdin();
        return if stdin.is_terminal() {
            Err(SoughtError::Terminal.into())
        } else {
            lookup::look_up(args, stdin.lock(), out)
        };
    }
    let found = search::run(&args.data_dir, &query(args))?;
    if args.json {
        print::json_lines(&found.rows, out)?;
    } else {
        print::table(&found.rows, terminal_width(), out)?;
    }
    out.flush()?;
    if let Some(removed) = found.removed {
        let until = manifest::time_text(removed.last_us);
        writeln!(io::stderr(), "rows up to {until} were removed by retention: {} rows", removed.rows)?;
    }
    if found.problems.is_empty() { Ok(()) } else { Err(CliError::Incomplete(found.problems)) }
}

pub(super) fn query(args: &RecordsArgs) -> Query {
    Query {
        deployment: args.deployment.clone(),
        project: args.project.clone(),
        host: args.host.clone(),
        decision: args.decision,
        outcome: None,
        fingerprints: None,
        since_us: args.since,
        until_us: args.until,
        limit: args.limit,
    }
}

/// Columns of the terminal on stdout as the shell knows them; `None` when stdout is something else.
pub(super) fn terminal_width() -> Option<usize> {
    let columns = std::env::var("COLUMNS").ok()?.parse().ok();
    columns.filter(|_| io::stdout().is_terminal())
}
