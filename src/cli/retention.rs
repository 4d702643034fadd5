//! `tollgate retention`: what compaction and retention would do, and doing it now.
//!
//! A running proxy does the same by itself every `audit.maintenance_every_s`; `apply` is for one that is stopped.

use std::io::{self, Write};
use std::sync::Mutex;

use serde_json::json;

use super::CliError;
use super::args::{PlaceArgs, RetentionApplyArgs, RetentionCommand};
use super::progress::Progress;
use crate::archive::chain::Chain;
use crate::archive::maintenance::{self, Believed, DayPlan, Pace, Round, RoundReport, Rules, Settled};
use crate::archive::manifest::time_text;
use crate::archive::signer::{PUBLIC_KEY_FILE, PublicKey};
use crate::archive::{Settings, Signer, rotation, seal};
use crate::clock::now_us;
use crate::config::{Config, DataDir, Overrides};
use crate::installation::Claim;

pub(super) fn retention(command: &RetentionCommand, out: &mut impl Write) -> Result<(), CliError> {
    match command {
        RetentionCommand::Plan(args) => plan(&args.place, out),
        RetentionCommand::Apply(args) => apply(args, out),
    }
}

fn load(args: &PlaceArgs) -> Result<(DataDir, Rules), CliError> {
    let overrides = Overrides { data_dir: args.data_dir.clone(), ..Overrides::default() };
    let config = Config::load(args.config.as_deref(), &overrides)?;
    Ok((config.data_dir, config.audit.maintenance))
}

fn plan(args: &PlaceArgs, out: &mut impl Write) -> Result<(), CliError> {
    let (data_dir, rules) = load(args)?;
    let key = PublicKey::load(&data_dir.keys().join(PUBLIC_KEY_FILE))?;
    let settings = Settings::new(data_dir.root());
    let round = Round {
        settings: &settings,
        journal_dir: &data_dir.journal(),
        rules: &rules,
        key: &key,
        lock: &Mutex::new(()),
        expect: &|_| {},
        progress: &|_, _| {},
        trust_clock: false,
    };
    let (days, believed) = maintenance::survey(&round, now_us())?;
    if args.json {
        let days: Vec<_> = days.iter().map(as_json).collect();
        writeln!(
            out,
            "{:#}",
            json!({ "days": days, "believed_time": believed.map(|believed| time_text(believed.now_us)) })
        )?;
    } else {
        write_plan(&days, believed, out)?;
    }
    Ok(out.flush()?)
}

fn as_json(day: &DayPlan) -> serde_json::Value {
    let DayPlan { date, due, files, rows, bytes, held_rows, unknown } = day;
    json!({
        "date": date.to_string(),
        "action": due.code(),
        "files": files,
        "rows": rows,
        "bytes": bytes,
        "held_rows": held_rows,
        "unaccounted_files": unknown,
    })
}

fn write_plan(days: &[DayPlan], believed: Option<Believed>, out: &mut impl Write) -> io::Result<()> {
    if days.is_empty() {
        writeln!(out, "Nothing is due.")?;
    }
    for DayPlan { date, due, files, rows, bytes, held_rows, unknown } in days {
        write!(out, "{date}  {:<8} {files} files, {rows} rows, {bytes} bytes", due.code())?;
        if *held_rows > 0 {
            write!(out, "; {held_rows} rows are held and stay")?;
        }
        writeln!(out)?;
        for path in unknown {
            writeln!(out, "            stays: no entry accounts for audit/{}", path.escape_debug())?;
        }
    }
    write_clock(believed, out)
}

fn write_clock(believed: Option<Believed>, out: &mut impl Write) -> io::Result<()> {
    let Some(believed) = believed.filter(|believed| !believed.wall) else { return Ok(()) };
    writeln!(
        out,
        "The clock is ahead of what the chain bears out; for removing rows it is taken to be {}. If the clock is right, \
         `tollgate retention apply --yes` believes it.",
        time_text(believed.now_us)
    )
}

fn apply(args: &RetentionApplyArgs, out: &mut impl Write) -> Result<(), CliError> {
    let (data_dir, rules) = load(&args.place)?;
    let _claim = Claim::take(&data_dir)?;
    let settings = Settings::new(data_dir.root());
    seal::prepare(&settings).map_err(maintenance::RewriteError::from)?;
    rotation::finish(&settings, &data_dir.keys(), now_us())?;
    let signer = Signer::load_or_create(&data_dir.keys())?;
    let key = signer.public().clone();
    let mut chain = Chain::open(settings.clone(), signer).map_err(maintenance::RewriteError::from)?;
    let progress = Progress::on_stderr("days");
    let round = Round {
        settings: &settings,
        journal_dir: &data_dir.journal(),
        rules: &rules,
        key: &key,
        lock: &Mutex::new(()),
        expect: &|_| {},
        progress: &|done, all| progress.show(done, all),
        trust_clock: args.yes,
    };
    let report = round.run(now_us(), &mut chain, &mut Pace::foreground(), &mut Settled::default());
    drop(progress);
    write_report(&report, args.place.json, out)?;
    out.flush()?;
    if report.problems.is_empty() { Ok(()) } else { Err(CliError::RetentionIncomplete(report.problems)) }
}

fn write_report(report: &RoundReport, as_json: bool, out: &mut impl Write) -> io::Result<()> {
    let RoundReport { rewrites, rows_removed, files_gone, unknown, .. } = report;
    if as_json {
        let report = json!({
            "rewrites": rewrites,
            "rows_removed": rows_removed,
            "files_gone": files_gone,
            "unaccounted_files": unknown,
            "believed_time": report.believed.map(|believed| time_text(believed.now_us)),
        });
        return writeln!(out, "{report:#}");
    }
    writeln!(out, "Rewrites   {rewrites}")?;
    writeln!(out, "Removed    {rows_removed} rows")?;
    writeln!(out, "Files      {files_gone} fewer")?;
    for path in unknown {
        writeln!(out, "Stays      {}: no entry accounts for it", path.display().to_string().escape_debug())?;
    }
    write_clock(report.believed, out)
}
