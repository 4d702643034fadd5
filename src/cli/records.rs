//! `tollgate records`: from flags to a query, and from what it finds to stdout.

use std::io::Write;

use super::CliError;
use super::args::RecordsArgs;

pub(super) fn records(_args: &RecordsArgs, _out: &mut impl Write) -> Result<(), CliError> {
    Ok(())
}
