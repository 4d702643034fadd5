//! `tollgate doctor`: from flags to the checks, and their findings to stdout. The worst finding is the exit code as well.

use std::io::{self, IsTerminal as _, Write};
use std::time::SystemTime;

use serde_json::{Value, json};

use super::CliError;
use super::args::DoctorArgs;
use crate::config::Config;
use crate::doctor::{self, Checked, Finding, Group, Setup, Status};
use crate::kibana::Releases;
use crate::search::print::visible;

/// Checks and prints; fails after printing when a check did.
pub(super) fn doctor(args: &DoctorArgs, out: &mut impl Write) -> Result<(), CliError> {
    let checked = doctor::run(&setup(args)?);
    if args.json {
        writeln!(out, "{:#}", as_json(&checked))?;
    } else {
        write_text(&checked, io::stdout().is_terminal(), out)?;
    }
    out.flush()?;
    if doctor::worst(&checked) == Status::Fail { Err(CliError::Unwell) } else { Ok(()) }
}

fn setup(args: &DoctorArgs) -> Result<Setup, CliError> {
    let overrides = args.settings.overrides();
    let config = Config::load(args.settings.config.as_deref(), &overrides);
    let data_dir = config.as_ref().ok().map(|config| config.data_dir.root().to_owned());
    Ok(Setup {
        data_dir: data_dir.or(overrides.data_dir),
        config,
        kibana_version: args.kibana_version,
        releases: Releases::embedded()?,
        event_log: args.event_log.clone(),
        now: SystemTime::now(),
    })
}

/// Findings below the headings of their groups, names and statuses aligned.
fn write_text(checked: &[Checked], coloured: bool, out: &mut impl Write) -> io::Result<()> {
    let width = checked.iter().map(|checked| checked.name.len()).max().unwrap_or(0);
    let mut group: Option<Group> = None;
    for Checked { group: own, name, findings } in checked {
        if group != Some(*own) {
            let gap = if group.is_some() { "\n" } else { "" };
            writeln!(out, "{gap}{}", own.as_str())?;
            group = Some(*own);
        }
        for finding in findings {
            let status = finding.status.as_str();
            let (before, after) = if coloured { colour(finding.status) } else { ("", "") };
            writeln!(out, "  {before}{status:<4}{after}  {name:<width$}  {}", visible(&finding.seen))?;
            let indent = " ".repeat(width + 10);
            for detail in &finding.details {
                writeln!(out, "{indent}- {}", visible(detail))?;
            }
            if let Some(fix) = &finding.fix {
                writeln!(out, "{indent}fix: {}", visible(fix))?;
            }
        }
    }
    writeln!(out, "\n{}", totals(checked))
}

/// Escape sequences around a status (ECMA-48 SGR).
const fn colour(status: Status) -> (&'static str, &'static str) {
    let before = match status {
        Status::Ok => "\x1b[32m",
        Status::Skip => "\x1b[2m",
        Status::Warn => "\x1b[33m",
        Status::Fail => "\x1b[31m",
    };
    (before, "\x1b[0m")
}

fn totals(checked: &[Checked]) -> String {
    let findings: Vec<&Finding> = checked.iter().flat_map(|checked| &checked.findings).collect();
    let count = |status| findings.iter().filter(|finding| finding.status == status).count();
    let counted = [Status::Ok, Status::Warn, Status::Fail, Status::Skip]
        .map(|status| format!("{} {}", count(status), status.as_str()));
    counted.join(", ")
}

fn as_json(checked: &[Checked]) -> Value {
    let checks = checked.iter().flat_map(|Checked { group, name, findings }| {
        findings.iter().map(move |finding| {
            json!({
                "group": group.as_str(),
                "check": name,
                "status": finding.status.as_str(),
                "seen": finding.seen,
                "details": finding.details,
                "fix": finding.fix,
            })
        })
    });
    json!({ "worst": doctor::worst(checked).as_str(), "checks": checks.collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked() -> Vec<Checked> {
        let finding = |status, seen: &str, fix: Option<&str>| Finding {
            status,
            seen: seen.to_owned(),
            fix: fix.map(str::to_owned),
            details: Vec::new(),
        };
        let listed = Finding { details: vec!["line 3: \x1b[2J".to_owned()], ..finding(Status::Warn, "b", Some("c")) };
        vec![
            Checked { group: Group::Machine, name: "clock", findings: vec![finding(Status::Ok, "a", None)] },
            Checked { group: Group::Machine, name: "descriptors", findings: vec![listed] },
            Checked {
                group: Group::Kibana,
                name: "trust",
                findings: vec![finding(Status::Fail, "d\u{202e}", Some("e"))],
            },
        ]
    }

    fn text(coloured: bool) -> String {
        let mut out = Vec::new();
        write_text(&checked(), coloured, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn findings_are_grouped_and_aligned_and_cannot_steer_a_terminal() {
        let expected = "\
Machine
  ok    clock        a
  warn  descriptors  b
                     - line 3: \\u{1b}[2J
                     fix: c

Kibana
  fail  trust        d\\u{202e}
                     fix: e

1 ok, 1 warn, 1 fail, 0 skip
";
        assert_eq!(text(false), expected);
    }

    #[test]
    fn colours_are_on_the_status_alone() {
        let plain = ["\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[2m", "\x1b[0m"]
            .iter()
            .fold(text(true), |text, sequence| text.replace(sequence, ""));
        assert_eq!(plain, text(false));
        assert!(text(true).contains("  \x1b[31mfail\x1b[0m  trust"), "{}", text(true));
    }
}
