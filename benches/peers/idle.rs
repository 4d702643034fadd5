//! Memory of a connection on which nothing happens: open many, and divide what the process tree grew by. It is looked at before
//! and after in a rest, when what calls leave to do, as Tollgate's sealing, has been done.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::args::IdleArgs;
use crate::compare::{Stage, directory};
use crate::load::{Call, Flow, Job, Load, Way};
use crate::process::Held;
use crate::proxies::{Peer, Running};
use crate::scenario::Handling;

/// Connections made and closed before, so that what is allocated once is not counted.
const BEFORE: usize = 64;
/// Longer than `audit.seal_after_s`.
const REST: Duration = Duration::from_secs(12);

/// What idle connections of one proxy hold.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Idle {
    pub(crate) peer: String,
    pub(crate) connections: usize,
    /// KiB a connection: TLS in a tunnel that is relayed, after one POST.
    pub(crate) tunnel_kib: Option<f64>,
    /// KiB a connection: intercepted, after one POST.
    pub(crate) intercepted_kib: Option<f64>,
    /// Why one of them could not be measured.
    pub(crate) failure: Option<String>,
}

pub(crate) fn run(stage: &Stage, args: &IdleArgs, peers: &[Peer]) -> Result<Vec<Idle>> {
    let mut measured = Vec::new();
    let tunnels = peers.iter().filter(|peer| peer.kind.handles(Handling::Tunnel));
    for peer in tunnels {
        let mut idle = Idle {
            peer: peer.kind.name.to_owned(),
            connections: args.connections,
            tunnel_kib: None,
            intercepted_kib: None,
            failure: None,
        };
        for (handling, kib) in
            [(Handling::Tunnel, &mut idle.tunnel_kib), (Handling::Intercept, &mut idle.intercepted_kib)]
        {
            if !peer.kind.handles(handling) {
                continue;
            }
            match measure(stage, args, peer, handling) {
                Ok(measured) => *kib = Some(measured),
                Err(error) if peer.kind.is_ours() => return Err(error),
                Err(error) => idle.failure = Some(format!("{error:#}")),
            }
        }
        eprintln!("{:<20}tunnel {:?} KiB, intercepted {:?} KiB", idle.peer, idle.tunnel_kib, idle.intercepted_kib);
        measured.push(idle);
    }
    Ok(measured)
}

fn measure(stage: &Stage, args: &IdleArgs, peer: &Peer, handling: Handling) -> Result<f64> {
    let dir = directory("idle-", stage.dir.path())?;
    let running = stage.start(peer, handling, stage.origin.ports.tls, dir.path())?;
    drop(open(stage, &running, BEFORE)?);
    thread::sleep(REST);
    let before = running.tree.held()?;
    let load = open(stage, &running, args.connections).context("opening idle connections")?;
    thread::sleep(REST);
    let after: Held = running.tree.held()?;
    drop(load);
    Ok((after.pss_kib as f64 - before.pss_kib as f64) / args.connections as f64)
}

/// Connections that have made one call each, and stay open until this is dropped.
fn open(stage: &Stage, running: &Running, connections: usize) -> Result<Load> {
    let flow = Flow {
        way: Way::Tls,
        call: Call::Post,
        keep_alive: true,
        proxy: Some(running.address),
        origin_port: stage.origin.ports.tls,
        clients: connections,
        rate: None,
    };
    let job = Job { warm_up: 1, hold: true, ..stage.job(flow, Some(running)) };
    let (load, warm) = Load::start(&job)?;
    anyhow::ensure!(warm.failures == 0, "{} calls failed: {:?}", warm.failures, warm.first_failure);
    Ok(load)
}

/// A table for people.
pub(crate) fn markdown(idle: &[Idle]) -> String {
    let kib = |kib: Option<f64>| kib.map_or("-".to_owned(), |kib| format!("{kib:.1}"));
    let line = |idle: &Idle| {
        let failure = idle.failure.as_deref().unwrap_or_default();
        format!("| {} | {} | {} | {failure} |\n", idle.peer, kib(idle.tunnel_kib), kib(idle.intercepted_kib))
    };
    let connections = idle.first().map_or(0, |idle| idle.connections);
    format!(
        "Growth of the process tree's PSS with {connections} connections that made one POST and fell silent, in KiB a \
         connection. What the kernel holds for sockets is not in it.\n\n| proxy | tunnel | intercepted | |\n|---|---:|---:|---|\n{}",
        idle.iter().map(line).collect::<String>()
    )
}
