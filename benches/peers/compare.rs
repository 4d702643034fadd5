//! The comparison: rounds over scenarios and proxies, each measurement with a freshly started proxy.
//!
//! Rounds are interleaved and the order of proxies rotates, so that a machine that gets slower meanwhile is not to
//! anyone's disadvantage.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::args::{Common, Extent};
use crate::load::{Flow, Job, Load, Tls, Way};
use crate::machine::Cpus;
use crate::origin::{self, Origin};
use crate::process::Held;
use crate::proxies::{Peer, Running, Setup, count_rows, free_port};
use crate::scenario::{Handling, Scenario};

/// One measurement, or the medians of several.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Measured {
    /// CPU time of the proxy's whole process tree for each call.
    pub(crate) cpu_us: f64,
    pub(crate) requests_per_s: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// Share of its CPUs that the proxy used: well below 1, the load could not drive it to saturation.
    pub(crate) busy: f64,
    /// Calls for each connection that clients made.
    pub(crate) calls_per_connection: f64,
    pub(crate) held: Held,
    /// Calls that got no answer, or another one than they should. Summed over rounds.
    pub(crate) failures: u64,
    pub(crate) first_failure: Option<String>,
    /// Ours only: rows of evidence, exactly as many as there were calls. Summed over rounds.
    pub(crate) rows: Option<u64>,
}

/// Results of all proxies in all scenarios, round by round.
pub(crate) type Rounds = BTreeMap<(Scenario, String), Vec<Measured>>;

/// What stays the same between measurements.
pub(crate) struct Stage {
    pub(crate) common: Common,
    pub(crate) cpus: Cpus,
    pub(crate) origin: Origin,
    /// Holds the origin's CA, and a directory for each proxy started.
    pub(crate) dir: tempfile::TempDir,
}

impl Stage {
    pub(crate) fn prepare(common: &Common) -> Result<Self> {
        let cpus = Cpus::choose(common.load_cpus.clone(), common.proxy_cpus.clone())?;
        let dir = directory("peers-", &common.output.work_dir)?;
        let ca_file = dir.path().join("origin-ca.pem");
        let settings = origin::Settings { cpus: cpus.load.clone(), ca_file, tickets: !common.no_origin_tickets };
        Ok(Self { common: common.clone(), cpus, origin: Origin::start(&settings)?, dir })
    }

    pub(crate) fn origin_ca(&self) -> std::path::PathBuf {
        self.dir.path().join("origin-ca.pem")
    }

    pub(crate) fn origin_port(&self, way: Way) -> u16 {
        match way {
            Way::Tls => self.origin.ports.tls,
            Way::Http | Way::TunnelPlain => self.origin.ports.plain,
        }
    }

    /// Starts a proxy in `dir`.
    pub(crate) fn start(&self, peer: &Peer, handling: Handling, origin_port: u16, dir: &Path) -> Result<Running> {
        let setup = Setup {
            program: &peer.program,
            dir,
            port: free_port()?,
            handling,
            origin_port,
            origin_ca: &self.origin_ca(),
            threads: self.cpus.proxy.len(),
        };
        peer.start(&setup, &self.cpus.proxy)
    }

    /// A job of one flow through this proxy.
    pub(crate) fn job(&self, flow: Flow, running: Option<&Running>) -> Job {
        let mut ca_files = vec![self.origin_ca()];
        ca_files.extend(running.and_then(|running| running.ca.clone()));
        Job {
            cpus: self.cpus.load.clone(),
            flows: vec![flow],
            ca_files,
            tls_max: Tls::Tls13,
            resume: self.common.resume,
            warm_up: 0,
            seconds: 0.0,
            requests_max: u64::MAX,
            window_s: None,
            hold: false,
        }
    }
}

/// A new directory, readable for proxies that run as another user.
pub(crate) fn directory(prefix: &str, parent: &Path) -> Result<tempfile::TempDir> {
    let permissions = std::fs::Permissions::from_mode(0o755);
    Ok(tempfile::Builder::new().prefix(prefix).permissions(permissions).tempdir_in(parent)?)
}

/// Runs all rounds; what happens is told on stderr.
pub(crate) fn run(stage: &Stage, extent: &Extent, scenarios: &[Scenario], peers: &[Peer]) -> Result<Rounds> {
    let mut rounds = Rounds::new();
    for round in 0..extent.rounds {
        for scenario in scenarios {
            let able: Vec<&Peer> = peers.iter().filter(|peer| peer.kind.handles(scenario.handling())).collect();
            let (first, rest) = able.split_at(round % able.len().max(1));
            for peer in rest.iter().chain(first) {
                let name = peer.kind.name;
                let measured = match measure(stage, extent, peer, *scenario) {
                    Ok(measured) => measured,
                    Err(error) if peer.kind.is_ours() => {
                        return Err(error.context(format!("{name}, {}", scenario.title())));
                    }
                    Err(error) => {
                        eprintln!("{name}, {}: not measured: {error:#}", scenario.title());
                        continue;
                    }
                };
                eprintln!(
                    "round {}/{}: {:<32}{name:<20}{}",
                    round + 1,
                    extent.rounds,
                    scenario.title(),
                    measured.line()
                );
                rounds.entry((*scenario, name.to_owned())).or_default().push(measured);
            }
        }
    }
    Ok(rounds)
}

fn measure(stage: &Stage, extent: &Extent, peer: &Peer, scenario: Scenario) -> Result<Measured> {
    let dir = directory(peer.kind.name, stage.dir.path())?;
    let origin_port = stage.origin_port(scenario.way());
    let running = stage.start(peer, scenario.handling(), origin_port, dir.path())?;
    let flow = Flow {
        way: scenario.way(),
        call: scenario.call(),
        keep_alive: scenario.keep_alive(),
        proxy: Some(running.address),
        origin_port,
        clients: scenario.clients(),
        rate: None,
    };
    let job = Job {
        warm_up: scenario.warm_up(),
        seconds: extent.seconds,
        requests_max: extent.requests,
        ..stage.job(flow, Some(&running))
    };
    let (mut load, warm) = Load::start(&job)?;
    let before = running.tree.cpu()?;
    load.begin()?;
    let done = load.finish(|_, _| Ok(()))?;
    let cpu_s = running.tree.cpu()?.saturating_sub(before).as_secs_f64();
    let held = running.tree.held()?;
    drop(load);
    let status = running.tree.stop()?;
    let rows = if peer.kind.is_ours() {
        ensure!(status.success(), "it ended with {status}");
        let totals = &done.totals;
        ensure!(totals.failures == 0, "{} calls failed: {:?}", totals.failures, totals.first_failure);
        let rows = count_rows(peer.reader(), dir.path())?;
        let expected = if peer.kind.keeps_evidence() { totals.calls } else { 0 };
        ensure!(rows == expected, "{rows} rows of {} calls, there should be {expected}", totals.calls);
        Some(rows)
    } else {
        None
    };
    let calls = (done.totals.calls - warm.calls) as f64;
    let (latencies, failures) = (done.latencies, done.totals.failures - warm.failures);
    Ok(Measured {
        cpu_us: cpu_s * 1e6 / calls,
        requests_per_s: latencies.count as f64 / done.elapsed_s,
        p50_us: latencies.p50_us,
        p99_us: latencies.p99_us,
        busy: cpu_s / done.elapsed_s / stage.cpus.proxy.len() as f64,
        calls_per_connection: done.totals.calls as f64 / done.totals.connections.max(1) as f64,
        held,
        failures,
        first_failure: done.totals.first_failure.filter(|_| failures > 0),
        rows,
    })
}

impl Measured {
    /// For the terminal, while it runs.
    fn line(&self) -> String {
        let failure =
            self.first_failure.as_ref().map_or(String::new(), |text| format!("; {} failed: {text}", self.failures));
        format!(
            "{:>9.1} us CPU {:>9.0}/s p50 {:>8.0} us p99 {:>8.0} us, {:>3.0} % busy, {} KiB{failure}",
            self.cpu_us,
            self.requests_per_s,
            self.p50_us,
            self.p99_us,
            self.busy * 100.0,
            self.held.pss_kib
        )
    }

    /// Medians of the figures, each on its own; sums of what is counted.
    pub(crate) fn median(rounds: &[Self]) -> Result<Self> {
        let first = rounds.first().context("no rounds")?;
        let median = |figure: fn(&Self) -> f64| {
            let mut all: Vec<f64> = rounds.iter().map(figure).collect();
            all.sort_unstable_by(f64::total_cmp);
            let (low, high) = (all.get((all.len() - 1) / 2), all.get(all.len() / 2));
            f64::midpoint(low.copied().unwrap_or(0.0), high.copied().unwrap_or(0.0))
        };
        Ok(Self {
            cpu_us: median(|one| one.cpu_us),
            requests_per_s: median(|one| one.requests_per_s),
            p50_us: median(|one| one.p50_us),
            p99_us: median(|one| one.p99_us),
            busy: median(|one| one.busy),
            calls_per_connection: median(|one| one.calls_per_connection),
            held: Held {
                pss_kib: median(|one| one.held.pss_kib as f64) as u64,
                rss_kib: median(|one| one.held.rss_kib as f64) as u64,
                descriptors: median(|one| one.held.descriptors as f64) as usize,
                processes: first.held.processes,
            },
            failures: rounds.iter().map(|one| one.failures).sum(),
            first_failure: rounds.iter().find_map(|one| one.first_failure.clone()),
            rows: first.rows.map(|_| rounds.iter().filter_map(|one| one.rows).sum()),
        })
    }
}
