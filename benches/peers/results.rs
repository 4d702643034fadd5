//! What was measured, kept as one JSON file a mode, so that a report can be made from runs of different days.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::args::Common;
use crate::compare::{Measured, Rounds, Stage};
use crate::machine::Machine;
use crate::proxies::Peer;
use crate::scenario::Scenario;

/// Results of a mode, and where they come from.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Run<T> {
    pub(crate) machine: Machine,
    /// The command line behind `make bench-peers ARGS=`.
    pub(crate) command: String,
    pub(crate) load_cpus: Vec<usize>,
    pub(crate) proxy_cpus: Vec<usize>,
    pub(crate) clients_resume: bool,
    pub(crate) origin_tickets: bool,
    /// Name and version of every proxy.
    pub(crate) peers: Vec<(String, String)>,
    pub(crate) results: T,
}

impl<T: Serialize + DeserializeOwned> Run<T> {
    pub(crate) fn of(stage: &Stage, machine: Machine, peers: &[Peer], results: T) -> Self {
        // Where files were kept says nothing about a result, and is nobody's business.
        let work_dir = stage.common.output.work_dir.display().to_string();
        let place = ["--bench", "--work-dir", &work_dir];
        let arguments: Vec<String> = std::env::args().skip(1).filter(|arg| !place.contains(&arg.as_str())).collect();
        Self {
            machine,
            command: arguments.join(" "),
            load_cpus: stage.cpus.load.clone(),
            proxy_cpus: stage.cpus.proxy.clone(),
            clients_resume: stage.common.resume,
            origin_tickets: !stage.common.no_origin_tickets,
            peers: peers.iter().map(|peer| (peer.kind.name.to_owned(), peer.version.clone())).collect(),
            results,
        }
    }

    pub(crate) fn keep(&self, common: &Common, mode: &str) -> Result<()> {
        let path = file(&common.output.work_dir, mode);
        fs::create_dir_all(path.parent().context("no directory")?)?;
        fs::write(&path, serde_json::to_string_pretty(self)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// The last results of this mode, if there are any.
    pub(crate) fn last(work_dir: &Path, mode: &str) -> Result<Option<Self>> {
        let path = file(work_dir, mode);
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path)?;
        serde_json::from_str(&text).with_context(|| format!("{} is of another version: remove it", path.display()))
    }
}

fn file(work_dir: &Path, mode: &str) -> PathBuf {
    work_dir.join("results").join(format!("{mode}.json"))
}

/// One proxy in one scenario.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Entry {
    pub(crate) scenario: Scenario,
    pub(crate) peer: String,
    pub(crate) rounds: usize,
    /// Medians.
    pub(crate) measured: Measured,
    /// The least and the most of all rounds.
    pub(crate) cpu_us_range: (f64, f64),
}

/// Medians of all rounds.
pub(crate) fn medians(rounds: &Rounds) -> Result<Vec<Entry>> {
    let entry = |((scenario, peer), all): (&(Scenario, String), &Vec<Measured>)| {
        let cpus_us = || all.iter().map(|one| one.cpu_us);
        Ok(Entry {
            scenario: *scenario,
            peer: peer.clone(),
            rounds: all.len(),
            measured: Measured::median(all)?,
            cpu_us_range: (cpus_us().fold(f64::INFINITY, f64::min), cpus_us().fold(0.0, f64::max)),
        })
    };
    rounds.iter().map(entry).collect()
}
