//! The load as the bench sees it: a process that is told when to begin and says what came of it.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::{Job, Latencies, ROLE, Report, Totals};
use crate::machine::pinned;

/// A load process. Killed when dropped.
pub(crate) struct Load {
    child: Child,
    stdin: ChildStdin,
    reports: Lines<BufReader<ChildStdout>>,
}

/// What came of a measurement.
#[derive(Clone, Debug)]
pub(crate) struct Finished {
    pub(crate) elapsed_s: f64,
    pub(crate) latencies: Latencies,
    pub(crate) totals: Totals,
    /// Calls answered in the measurement, in the order of the job's flows.
    pub(crate) answered_by_flow: Vec<u64>,
}

impl Load {
    /// Starts the process and waits until its clients are warm.
    pub(crate) fn start(job: &Job) -> Result<(Self, Totals)> {
        let json = serde_json::to_string(job)?;
        let mut child = pinned(&job.cpus, || {
            let mut command = Command::new(std::env::current_exe()?);
            Ok(command.args([ROLE, &json]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?)
        })?;
        let stdin = child.stdin.take().context("no stdin")?;
        let reports = BufReader::new(child.stdout.take().context("no stdout")?).lines();
        let mut load = Self { child, stdin, reports };
        match load.next()? {
            Report::Warm(totals) => Ok((load, totals)),
            Report::Window { .. } | Report::Done { .. } => bail!("the load was not warmed up"),
        }
    }

    /// Begins the measurement.
    pub(crate) fn begin(&mut self) -> Result<()> {
        Ok(self.stdin.write_all(b"begin\n")?)
    }

    /// The next report.
    pub(crate) fn next(&mut self) -> Result<Report> {
        let line = self.reports.next().context("the load ended")??;
        serde_json::from_str(&line).with_context(|| format!("the load said {line}"))
    }

    /// Waits for the end of the measurement; `window` gets what is reported until then.
    pub(crate) fn finish(&mut self, mut window: impl FnMut(f64, Latencies) -> Result<()>) -> Result<Finished> {
        loop {
            match self.next()? {
                Report::Warm(_) => bail!("the load began again"),
                Report::Window { at_s, latencies } => window(at_s, latencies)?,
                Report::Done { elapsed_s, latencies, totals, answered_by_flow } => {
                    return Ok(Finished { elapsed_s, latencies, totals, answered_by_flow });
                }
            }
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
