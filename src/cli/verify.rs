//! `tollgate verify`: from flags to a verification, and its report to stdout. The verdict is the exit code as well.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::thread;

use serde_json::{Value, json};

use super::CliError;
use super::args::VerifyArgs;
use super::progress::Progress;
use super::prove;
use crate::archive::manifest;
use crate::verify::differences::Difference;
use crate::verify::rows::{self, ChangedFile, NamedRow};
use crate::verify::{self, Report, Settings, Severity};

/// Rows that are named for each file, but in JSON.
const ROWS_SHOWN_MAX: usize = 20;

/// Verifies and prints; fails after printing when the evidence is not intact.
pub(super) fn verify(args: &VerifyArgs, out: &mut impl Write) -> Result<(), CliError> {
    if let Some((bundle, key)) = args.bundle.as_ref().zip(args.public_key.as_ref()) {
        return prove::check(bundle, key, args.json, out);
    }
    let settings = settings(args);
    let progress = Progress::on_stderr("files");
    let report = verify::run(&settings, &|done, all| progress.show(done, all))?;
    drop(progress);
    let changed = rows::compare(&report.modified);
    if args.json {
        writeln!(out, "{:#}", as_json(&report, &changed.map(|file| changed_as_json(&file)).collect::<Vec<_>>()))?;
    } else {
        write_text(&report, out)?;
        // The verdict first: whoever wrote these files may have meant to keep it from being told.
        out.flush()?;
        for file in changed {
            write_changed(&file, out)?;
        }
    }
    out.flush()?;
    match report.severity() {
        None => Ok(()),
        Some(Severity::Incomplete) => Err(CliError::EvidenceIncomplete),
        Some(Severity::Tampered) => Err(CliError::Tampered),
    }
}

fn settings(args: &VerifyArgs) -> Settings {
    Settings {
        root: args.copy.as_ref().unwrap_or(&args.data_dir).clone(),
        public_key: args.public_key.clone(),
        anchor: args.anchor.clone(),
        since_us: args.since,
        until_us: args.until,
        threads: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
    }
}

fn verdict(report: &Report) -> &'static str {
    match report.severity() {
        None => "intact",
        Some(Severity::Incomplete) => "incomplete",
        Some(Severity::Tampered) => "tampered",
    }
}

fn write_text(report: &Report, out: &mut impl Write) -> io::Result<()> {
    for problem in &report.problems {
        // File names may hold anything.
        writeln!(out, "{}", problem.to_string().escape_debug())?;
    }
    writeln!(out, "Verdict    {}", verdict(report))?;
    writeln!(out, "Problems   {}", report.problems.len())?;
    writeln!(out, "Files      {} checked, {} outside the asked time", report.files, report.skipped)?;
    writeln!(out, "Rows       {} intact, {} in the journal, not signed yet", report.rows, report.unsealed_rows)?;
    if report.removed_rows > 0 {
        writeln!(out, "Removed    {} rows, as the chain states", report.removed_rows)?;
    }
    writeln!(out, "Chain      {} entries", report.entries)?;
    if let Some(head) = report.head {
        writeln!(out, "Head       {} sha256 {}", manifest::file_name(head.index), head.sha256)?;
    }
    if let Some(anchor) = &report.anchored {
        writeln!(out, "Anchored   {} sha256 {} at {}", manifest::file_name(anchor.index), anchor.sha256, anchor.time)?;
    }
    writeln!(out, "Key        {}", report.key_id)?;
    if report.unchecked > 0 {
        writeln!(
            out,
            "Note       {} entries before this key are proved by the hashes in the chain; to check their signatures \
             too, put their public keys into keys/",
            report.unchecked
        )?;
    }
    for path in &report.pending {
        writeln!(out, "Note       audit/{} is about to be rewritten, as the chain states", path.escape_debug())?;
    }
    for path in &report.unsigned {
        writeln!(out, "Note       {} is being sealed: its rows are in the journal", path.escape_debug())?;
    }
    for place in &report.unneeded_lists {
        writeln!(out, "Note       {place} is a list of rows that no file needs; maintenance removes it")?;
    }
    if report.key_from_same_place {
        writeln!(
            out,
            "Note       the public key came from the verified directory: whoever can replace the evidence can replace \
             it too. Pass a copy kept elsewhere with --public-key."
        )?;
    }
    Ok(())
}

/// Which rows of a modified file are not those that were signed.
fn write_changed(file: &ChangedFile, out: &mut impl Write) -> io::Result<()> {
    let place = file.place.escape_debug();
    let rows = match &file.rows {
        Ok(rows) => rows,
        Err(error) => return writeln!(out, "Changed    {place}: {}", error.to_string().escape_debug()),
    };
    if rows.total() == 0 {
        return writeln!(out, "Changed    {place}: no row, but what is around them");
    }
    let (changed, added, removed, moved) = (rows.changed, rows.added, rows.removed, rows.moved);
    writeln!(out, "Changed    {place}: rows: {changed} changed, {added} added, {removed} removed, {moved} moved")?;
    for row in rows.named.iter().take(ROWS_SHOWN_MAX) {
        writeln!(out, "           {}", describe(row).escape_debug())?;
    }
    let shown = rows.named.len().min(ROWS_SHOWN_MAX) as u64;
    if rows.total() > shown {
        writeln!(out, "           and {} more; --json names up to {}", rows.total() - shown, rows::NAMED_MAX)?;
    }
    Ok(())
}

fn describe(NamedRow { difference, seq, event_id }: &NamedRow) -> String {
    let known = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
    let now = || format!("seq {}, event_id {}", known(seq.map(|seq| seq.to_string())), known(event_id.clone()));
    match difference {
        Difference::Changed { row, was } => format!("row {row}: changed, now {}; row {was} as signed", now()),
        Difference::Added { row } => format!("row {row}: added, {}", now()),
        Difference::Removed { was } => format!("row {was} as signed: removed"),
        Difference::Moved { row, was } => format!("row {row}: moved, {}; row {was} as signed", now()),
    }
}

fn changed_as_json(file: &ChangedFile) -> Value {
    let rows = match &file.rows {
        Ok(rows) => rows,
        Err(error) => return json!({ "place": file.place, "error": error.to_string() }),
    };
    let named = rows.named.iter().map(|NamedRow { difference, seq, event_id }| {
        let (change, row, signed_row) = (difference.code(), difference.row(), difference.signed_row());
        json!({ "change": change, "row": row, "signed_row": signed_row, "seq": seq, "event_id": event_id })
    });
    json!({
        "place": file.place,
        "changed": rows.changed,
        "added": rows.added,
        "removed": rows.removed,
        "moved": rows.moved,
        "rows": named.collect::<Vec<_>>(),
    })
}

fn as_json(report: &Report, changed: &[Value]) -> Value {
    let problems = report.problems.iter().map(|problem| {
        let severity = match problem.fault.severity() {
            Severity::Incomplete => "incomplete",
            Severity::Tampered => "tampered",
        };
        let (code, reason) = (problem.fault.code(), problem.fault.to_string());
        json!({ "place": problem.place, "code": code, "severity": severity, "reason": reason })
    });
    let head = report.head.map(|head| json!({ "index": head.index, "sha256": head.sha256 }));
    json!({
        "verdict": verdict(report),
        "problems": problems.collect::<Vec<_>>(),
        "entries": report.entries,
        "entries_unchecked": report.unchecked,
        "rows_removed": report.removed_rows,
        "being_rewritten": report.pending,
        "files": report.files,
        "files_outside_time": report.skipped,
        "rows": report.rows,
        "unsealed_rows": report.unsealed_rows,
        "being_sealed": report.unsigned,
        "changed_rows": changed,
        "unneeded_lists": report.unneeded_lists,
        "head": head,
        "anchored": report.anchored,
        "key_id": report.key_id,
        "key_from_same_place": report.key_from_same_place,
    })
}
