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
use crate::verify::{self, Report, Settings, Severity};

/// Verifies and prints; fails after printing when the evidence is not intact.
pub(super) fn verify(args: &VerifyArgs, out: &mut impl Write) -> Result<(), CliError> {
    if let Some((bundle, key)) = args.bundle.as_ref().zip(args.public_key.as_ref()) {
        return prove::check(bundle, key, args.json, out);
    }
    let settings = settings(args);
    let progress = Progress::on_stderr("files");
    let report = verify::run(&settings, &|done, all| progress.show(done, all))?;
    drop(progress);
    if args.json {
        writeln!(out, "{:#}", as_json(&report))?;
    } else {
        write_text(&report, out)?;
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
    if report.key_from_same_place {
        writeln!(
            out,
            "Note       the public key came from the verified directory: whoever can replace the evidence can replace \
             it too. Pass a copy kept elsewhere with --public-key."
        )?;
    }
    Ok(())
}

fn as_json(report: &Report) -> Value {
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
        "head": head,
        "anchored": report.anchored,
        "key_id": report.key_id,
        "key_from_same_place": report.key_from_same_place,
    })
}
