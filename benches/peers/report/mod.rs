//! What is shown: tables for the terminal and for docs/benchmarks.md, the goals, and charts. Nothing here measures.

mod bars;
mod comparison;
mod docs;
mod goals;
mod lines;

use std::path::Path;

use anyhow::Result;

use crate::compare::Stage;
use crate::idle::{self, Idle};
use crate::latency::Latency;
use crate::price;
use crate::results::{Entry, Run};
use crate::scale::Scale;
use crate::soak::Soak;

pub(crate) use docs::write as write_docs;

/// The last results of every mode.
#[derive(Debug, Default, serde::Serialize)]
pub(crate) struct Results {
    pub(crate) compare: Option<Run<Vec<Entry>>>,
    /// What evidence costs.
    pub(crate) evidence: Option<Run<Vec<Entry>>>,
    pub(crate) latency: Option<Run<Latency>>,
    pub(crate) idle: Option<Run<Vec<Idle>>>,
    pub(crate) scale: Option<Run<Scale>>,
    pub(crate) soak: Option<Run<Soak>>,
}

impl Results {
    pub(crate) fn last(work_dir: &Path) -> Result<Self> {
        Ok(Self {
            compare: Run::last(work_dir, "compare")?,
            evidence: Run::last(work_dir, "evidence")?,
            latency: Run::last(work_dir, "latency")?,
            idle: Run::last(work_dir, "idle")?,
            scale: Run::last(work_dir, "scale")?,
            soak: Run::last(work_dir, "soak")?,
        })
    }

    /// Title and text of every mode there are results of.
    pub(crate) fn sections(&self) -> Vec<(&'static str, String)> {
        let compare = self.compare.as_ref().map(|run| ("Side by side", comparison::markdown(&run.results)));
        let evidence = self.evidence.as_ref().map(|run| ("What evidence costs", price::markdown(&run.results)));
        let goals = Some(("Goals", goals::markdown(self)));
        let latency = self.latency.as_ref().map(|run| ("A call to a distant origin", run.results.markdown()));
        let idle = self.idle.as_ref().map(|run| ("Idle connections", idle::markdown(&run.results)));
        let scale = self.scale.as_ref().map(|run| ("Scaling", run.results.markdown()));
        let soak = self.soak.as_ref().map(|run| ("Soak", run.results.markdown()));
        [compare, goals, evidence, latency, idle, scale, soak].into_iter().flatten().collect()
    }
}

/// What was just measured, on stdout.
pub(crate) fn print<T: serde::Serialize>(stage: &Stage, run: &Run<T>, markdown: &str) -> Result<()> {
    if stage.common.output.json {
        println!("{}", serde_json::to_string_pretty(run)?);
    } else {
        println!("{markdown}");
    }
    Ok(())
}

pub(crate) use comparison::markdown as comparison_markdown;
