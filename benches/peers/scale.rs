//! Whether the cost of a call stays flat: more connections, more rules, more workers.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::args::ScaleArgs;
use crate::compare::{Stage, directory};
use crate::load::{Call, Flow, Job, Load, Way};
use crate::machine::available;
use crate::proxies::{Kind, Rules, Setup, WARM, count_rows, free_port, start_with};
use crate::scenario::Handling;

/// Clients where their number is not the question.
const CLIENTS: usize = 64;

/// One run of Tollgate.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Point {
    pub(crate) connections: usize,
    pub(crate) rules: usize,
    pub(crate) workers: usize,
    pub(crate) cpu_us: f64,
    pub(crate) requests_per_s: f64,
    pub(crate) start_ms: f64,
    pub(crate) pss_mib: f64,
}

/// Results of this mode.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Scale {
    pub(crate) connections: Vec<Point>,
    pub(crate) rules: Vec<Point>,
    /// Empty on machines where two workers and the load would share a CPU.
    pub(crate) workers: Vec<Point>,
}

pub(crate) fn run(stage: &Stage, args: &ScaleArgs) -> Result<Scale> {
    let one = &stage.cpus.proxy;
    let connections = args.connections.iter().map(|count| point(stage, args, *count, &Rules::default(), one));
    let rules = args.rules.iter().map(|count| {
        let rules = Rules { policy_hosts: *count, ..Rules::default() };
        point(stage, args, CLIENTS, &rules, one)
    });
    let (connections, rules) = (connections.collect::<Result<_>>()?, rules.collect::<Result<_>>()?);
    let free: Vec<usize> = available()?.into_iter().filter(|cpu| !stage.cpus.load.contains(cpu)).collect();
    let workers = match free.get(..2) {
        None => {
            eprintln!("one against two workers: not shown, it takes two CPUs besides the load's");
            Vec::new()
        }
        Some(two) => {
            let cpus = [two.get(..1).unwrap_or_default(), two];
            let points = cpus.iter().map(|cpus| point(stage, args, CLIENTS, &Rules::default(), cpus));
            points.collect::<Result<_>>()?
        }
    };
    Ok(Scale { connections, rules, workers })
}

fn point(stage: &Stage, args: &ScaleArgs, connections: usize, rules: &Rules, cpus: &[usize]) -> Result<Point> {
    let dir = directory("scale-", stage.dir.path())?;
    let peer = Kind::find(&WARM)?.context("no binary")?;
    let origin_port = stage.origin.ports.plain;
    let setup = Setup {
        program: &peer.program,
        dir: dir.path(),
        port: free_port()?,
        handling: Handling::Http,
        origin_port,
        origin_ca: &stage.origin_ca(),
        threads: cpus.len(),
    };
    let begun = Instant::now();
    let running = start_with(&setup, rules, cpus)?;
    let start_ms = begun.elapsed().as_secs_f64() * 1e3;
    let (way, call, proxy) = (Way::Http, Call::Post, Some(running.address));
    let flow = Flow { way, call, keep_alive: true, proxy, origin_port, clients: connections, rate: None };
    let job = Job { warm_up: 2, seconds: args.seconds, ..stage.job(flow, Some(&running)) };
    let (mut load, warm) = Load::start(&job)?;
    let before = running.tree.cpu()?;
    load.begin()?;
    let done = load.finish(|_, _| Ok(()))?;
    let cpu_s = running.tree.cpu()?.saturating_sub(before).as_secs_f64();
    let held = running.tree.held()?;
    ensure!(done.totals.failures == 0, "{connections} connections: {:?}", done.totals.first_failure);
    drop(load);
    running.tree.stop()?;
    let rows = count_rows(&peer.program, dir.path())?;
    ensure!(rows == done.totals.calls, "{rows} rows of {} calls", done.totals.calls);
    let point = Point {
        connections,
        rules: rules.policy_hosts,
        workers: cpus.len(),
        cpu_us: cpu_s * 1e6 / (done.totals.calls - warm.calls) as f64,
        requests_per_s: done.latencies.count as f64 / done.elapsed_s,
        start_ms,
        pss_mib: held.pss_kib as f64 / 1024.0,
    };
    eprintln!("{}", line(&point));
    Ok(point)
}

fn line(point: &Point) -> String {
    let Point { connections, rules, workers, cpu_us, requests_per_s, start_ms, pss_mib } = point;
    format!(
        "| {connections} | {rules} | {workers} | {cpu_us:.1} | {requests_per_s:.0} | {start_ms:.0} | {pss_mib:.1} |"
    )
}

impl Scale {
    pub(crate) fn markdown(&self) -> String {
        let points = self.connections.iter().chain(&self.rules).chain(&self.workers);
        let workers = if self.workers.is_empty() {
            "\nOne against two workers cannot be shown on this machine: it takes two CPUs besides the load's.\n"
        } else {
            ""
        };
        format!(
            "POST over kept connections, http.\n\n| connections | hosts in the policy | workers | CPU µs a call | calls/s | start, \
             ms | PSS, MiB |\n|---:|---:|---:|---:|---:|---:|---:|\n{}{workers}",
            points.map(|point| line(point) + "\n").collect::<String>()
        )
    }
}
