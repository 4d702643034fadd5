//! A long run of mixed traffic below saturation: does anything grow, and does latency stay?
//!
//! Saturation is measured first, with the same mix in a closed loop. In the run calls are due at fixed times, so that a
//! stall shows in the latency of every call that it delays.

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::args::SoakArgs;
use crate::compare::{Stage, directory};
use crate::load::{Call, Flow, Job, Latencies, Load, Way};
use crate::process::Held;
use crate::proxies::{Kind, Rules, Running, Setup, WARM, count_rows, free_port, start_with, verify};
use crate::scenario::Handling;
use crate::wire::HOST;

const SATURATION_SECONDS: f64 = 5.0;
/// Clients of each flow in [`flows`].
const CLIENTS: [usize; 5] = [16, 16, 24, 6, 2];
/// Clients wait for their time in the run, so it takes more of them to be on time.
const CLIENTS_FACTOR: usize = 4;

/// One window of the run.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Window {
    pub(crate) at_s: f64,
    pub(crate) latencies: Latencies,
    pub(crate) held: Held,
}

/// Results of this mode.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Soak {
    pub(crate) seconds: f64,
    /// Calls a second in the closed loop, and its share that the run was to make.
    pub(crate) saturation_per_s: f64,
    pub(crate) load: f64,
    pub(crate) calls: u64,
    pub(crate) rows: u64,
    pub(crate) latencies: Latencies,
    pub(crate) cpu_us: f64,
    pub(crate) windows: Vec<Window>,
}

pub(crate) fn run(stage: &Stage, args: &SoakArgs) -> Result<Soak> {
    let (saturation_per_s, rates) = saturate(stage)?;
    eprintln!("saturation: {saturation_per_s:.0} calls/s; now {:.0} s at {} of it", args.seconds, args.load);
    let dir = directory("soak-", stage.dir.path())?;
    let running = start(stage, dir.path())?;
    let flows = flows(stage, &running).into_iter().zip(rates).map(|(flow, rate)| Flow {
        rate: Some(rate * args.load),
        clients: flow.clients * CLIENTS_FACTOR,
        ..flow
    });
    let job = Job { seconds: args.seconds, window_s: Some(args.window), ..job(stage, flows.collect(), &running)? };
    let (mut load, warm) = Load::start(&job)?;
    let before = running.tree.cpu()?;
    let mut windows = Vec::new();
    load.begin()?;
    let done = load.finish(|at_s, latencies| {
        let window = Window { at_s, latencies, held: running.tree.held()? };
        eprintln!("{}", line(&window));
        windows.push(window);
        Ok(())
    })?;
    let cpu_s = running.tree.cpu()?.saturating_sub(before).as_secs_f64();
    let totals = done.totals;
    ensure!(totals.failures == 0, "{} calls failed: {:?}", totals.failures, totals.first_failure);
    drop(load);
    running.tree.stop()?;
    let program = Kind::find(&WARM)?.context("no binary")?.program;
    let rows = count_rows(&program, dir.path())?;
    ensure!(rows == totals.calls, "{rows} rows of {} calls", totals.calls);
    verify(&program, dir.path())?;
    let (seconds, load, calls) = (done.elapsed_s, args.load, totals.calls);
    let cpu_us = cpu_s * 1e6 / (calls - warm.calls) as f64;
    Ok(Soak { seconds, saturation_per_s, load, calls, rows, latencies: done.latencies, cpu_us, windows })
}

/// Calls a second of all flows, and of each, when nobody waits.
fn saturate(stage: &Stage) -> Result<(f64, Vec<f64>)> {
    let dir = directory("saturation-", stage.dir.path())?;
    let running = start(stage, dir.path())?;
    let job = Job { seconds: SATURATION_SECONDS, ..job(stage, flows(stage, &running), &running)? };
    let (mut load, _) = Load::start(&job)?;
    load.begin()?;
    let done = load.finish(|_, _| Ok(()))?;
    ensure!(done.totals.failures == 0, "{:?}", done.totals.first_failure);
    let rates: Vec<f64> = done.answered_by_flow.iter().map(|calls| *calls as f64 / done.elapsed_s).collect();
    Ok((rates.iter().sum(), rates))
}

fn start(stage: &Stage, dir: &std::path::Path) -> Result<Running> {
    let peer = Kind::find(&WARM)?.context("no binary")?;
    let setup = Setup {
        program: &peer.program,
        dir,
        port: free_port()?,
        handling: Handling::Intercept,
        origin_port: stage.origin.ports.tls,
        origin_ca: &stage.origin_ca(),
        threads: stage.cpus.proxy.len(),
    };
    // The tunnels of the mix lead to the plain port, everything intercepted to the other.
    let tunnels = vec![format!("{HOST}:{}", stage.origin.ports.plain)];
    start_with(&setup, &Rules { tunnels, ..Rules::default() }, &stage.cpus.proxy)
}

fn job(stage: &Stage, flows: Vec<Flow>, running: &Running) -> Result<Job> {
    let first = flows.first().context("no flows")?.clone();
    Ok(Job { flows, warm_up: 3, ..stage.job(first, Some(running)) })
}

/// The mix: kept and new connections, plain and intercepted, tunnels, and downloads.
fn flows(stage: &Stage, running: &Running) -> Vec<Flow> {
    let kinds = [
        (Way::Http, Call::Post, true),
        (Way::Tls, Call::Post, true),
        (Way::Tls, Call::Post, false),
        (Way::TunnelPlain, Call::Post, false),
        (Way::Http, Call::Bulk, true),
    ];
    let flows = kinds.into_iter().zip(CLIENTS).map(|((way, call, keep_alive), clients)| Flow {
        way,
        call,
        keep_alive,
        proxy: Some(running.address),
        origin_port: stage.origin_port(way),
        clients,
        rate: None,
    });
    flows.collect()
}

fn line(window: &Window) -> String {
    let Window { at_s, latencies, held } = window;
    format!(
        "| {at_s:.0} | {} | {:.0} | {:.0} | {:.0} | {:.1} | {} |",
        latencies.count,
        latencies.p50_us,
        latencies.p99_us,
        latencies.p999_us,
        held.pss_kib as f64 / 1024.0,
        held.descriptors
    )
}

impl Soak {
    pub(crate) fn markdown(&self) -> String {
        let Self { seconds, saturation_per_s, load, calls, rows, latencies, cpu_us, windows } = self;
        let Latencies { p50_us, p99_us, p999_us, max_us, .. } = latencies;
        let pss = |window: Option<&Window>| window.map_or(0.0, |window| window.held.pss_kib as f64 / 1024.0);
        // The first tenth fills caches and pools.
        let settled = windows.get(windows.len() / 10..).unwrap_or_default();
        let largest = settled.iter().map(|window| window.held.descriptors).max().unwrap_or(0);
        format!(
            "{seconds:.0} s at {load} of saturation ({saturation_per_s:.0} calls/s): {calls} calls, {rows} rows, `tollgate verify` \
             intact, {cpu_us:.1} µs of CPU a call.\nLatency: p50 {p50_us:.0} µs, p99 {p99_us:.0} µs, p99.9 {p999_us:.0} µs, longest \
             {max_us:.0} µs.\nMemory (PSS): {:.1} MiB after a tenth of the run, {:.1} MiB at its end. Descriptors: at most \
             {largest}.\n",
            pss(settled.first()),
            pss(settled.last()),
        )
    }
}
