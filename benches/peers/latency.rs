//! What Kibana notices: the time of one call, as it makes them, to an origin that is 20 ms away in each direction.

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::args::LatencyArgs;
use crate::compare::{Stage, directory};
use crate::delay::{self, Delay};
use crate::load::{Call, Flow, Job, Latencies, Load, Tls, Way};
use crate::proxies::{Kind, WARM, WITHOUT_REUSE, count_rows};
use crate::scenario::Handling;

/// Calls at once: a Kibana that is not busy.
const CLIENTS: usize = 4;

/// One way to the origin.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Timed {
    pub(crate) tls: Tls,
    pub(crate) direct: Latencies,
    /// Through Tollgate, which has a warm connection to the origin.
    pub(crate) warm: Latencies,
    /// Through Tollgate, which has to connect.
    pub(crate) cold: Latencies,
}

/// Results of this mode.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Latency {
    pub(crate) delay_ms: u64,
    pub(crate) timed: Vec<Timed>,
}

pub(crate) fn run(stage: &Stage, args: &LatencyArgs) -> Result<Latency> {
    let (cpus, origin_port) = (stage.cpus.load.clone(), stage.origin.ports.tls);
    let relay = Delay::start(&delay::Settings { cpus, origin_port, delay_ms: args.delay_ms })?;
    let timed = [Tls::Tls12, Tls::Tls13].into_iter().map(|tls| {
        eprintln!("{tls:?}: direct, through Tollgate with a warm connection, and without");
        Ok(Timed {
            tls,
            direct: time(stage, args, None, relay.port, tls).context("direct")?,
            warm: time(stage, args, Some(&WARM), relay.port, tls).context("warm")?,
            cold: time(stage, args, Some(&WITHOUT_REUSE), relay.port, tls).context("cold")?,
        })
    });
    Ok(Latency { delay_ms: args.delay_ms, timed: timed.collect::<Result<_>>()? })
}

fn time(
    stage: &Stage,
    args: &LatencyArgs,
    kind: Option<&'static Kind>,
    origin_port: u16,
    tls: Tls,
) -> Result<Latencies> {
    let dir = directory("latency-", stage.dir.path())?;
    let peer = kind.map(Kind::find).transpose()?.flatten();
    let start = |peer| stage.start(peer, Handling::Intercept, origin_port, dir.path());
    let running = peer.as_ref().map(start).transpose()?;
    let flow = Flow {
        way: Way::Tls,
        call: Call::Post,
        keep_alive: false,
        proxy: running.as_ref().map(|running| running.address),
        origin_port,
        clients: CLIENTS,
        rate: None,
    };
    let job = Job {
        warm_up: 3,
        seconds: f64::MAX.min(3600.0),
        requests_max: args.calls,
        tls_max: tls,
        ..stage.job(flow, running.as_ref())
    };
    let (mut load, _) = Load::start(&job)?;
    load.begin()?;
    let done = load.finish(|_, _| Ok(()))?;
    ensure!(done.totals.failures == 0, "{:?}", done.totals.first_failure);
    drop(load);
    if let (Some(running), Some(peer)) = (running, peer) {
        running.tree.stop()?;
        let rows = count_rows(&peer.program, dir.path())?;
        ensure!(rows == done.totals.calls, "{rows} rows of {} calls", done.totals.calls);
    }
    Ok(done.latencies)
}

impl Latency {
    pub(crate) fn markdown(&self) -> String {
        let line = |timed: &Timed| {
            let ms = |latencies: &Latencies| latencies.p50_us / 1e3;
            let (direct, warm, cold) = (ms(&timed.direct), ms(&timed.warm), ms(&timed.cold));
            let version = match timed.tls {
                Tls::Tls12 => "1.2",
                Tls::Tls13 => "1.3",
            };
            let (warm_ratio, cold_ratio) = (warm / direct, cold / direct);
            format!("| {version} | {direct:.1} | {warm:.1} | {warm_ratio:.2} | {cold:.1} | {cold_ratio:.2} |\n")
        };
        format!(
            "A POST with its own connection, CONNECT and TLS handshake, to an origin {} ms away in each direction; median in \
             ms.\n\n| TLS | direct | warm | of direct | cold | of direct |\n|---|---:|---:|---:|---:|---:|\n{}",
            self.delay_ms,
            self.timed.iter().map(line).collect::<String>()
        )
    }
}
