//! What the process does when it is signalled. Registered before anything listens, so that no signal finds the default.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;

use crate::archive::Notes;
use crate::archive::maintenance::Rules;
use crate::archive::statement::{PolicyStatement, RefusedReloadStatement, Statement, StopReason};
use crate::gate::Gate;

use super::{Reload, Reloaded};

/// The signals of this process, from now on handled here.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    /// A file-size limit is a storage failure like any other: without a handler its signal would end the process.
    _file_size: Signal,
}

impl Signals {
    pub(super) fn register() -> io::Result<Self> {
        let file_size = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            _file_size: signal(file_size)?,
        })
    }

    /// Waits for SIGTERM or SIGINT. SIGHUP reloads policy, connectors, `audit.keep_days` and the legal holds and goes on; if
    /// any of them does not load, none changes. Either is noted for the chain. A stop does not wait for a reload.
    pub(super) async fn until_told_to_stop(
        &mut self,
        gate: &Gate,
        rules: &ArcSwap<Rules>,
        reload: &Reload,
        notes: &Notes,
    ) -> StopReason {
        loop {
            let stopped = async {
                tokio::select! {
                    _ = self.terminate.recv() => StopReason::Terminated,
                    _ = self.interrupt.recv() => StopReason::Interrupted,
                }
            };
            let reloaded = async {
                self.hang_up.recv().await;
                reload_settings(gate, rules, reload, notes).await;
            };
            tokio::select! {
                reason = stopped => return reason,
                () = reloaded => {}
            }
        }
    }
}

/// How long after a reload the policy before it is freed: far longer than any call holds one.
const RETIRED_AFTER: Duration = Duration::from_millis(100);

async fn reload_settings(gate: &Gate, rules: &ArcSwap<Rules>, reload: &Reload, notes: &Notes) {
    let before = gate.policy.load().hash().to_string();
    let load = Arc::clone(reload);
    // A policy of a million hosts takes seconds to read.
    let loaded = match spawn_blocking(move || load()).await {
        Ok(loaded) => loaded,
        Err(error) => return tracing::error!(%error, "the reload ended early; policy and connectors in force stay"),
    };
    match loaded {
        Ok(Reloaded { policy, connectors, maintenance }) => {
            let after = policy.hash().to_string();
            let reloaded =
                PolicyStatement { before: before.clone(), after: after.clone(), catalogue_sha256: connectors.sha256() };
            // Noted before it is in force, so that the chain says so before it states rows it applied to.
            notes.send(Statement::Policy(reloaded));
            rules.store(Arc::new(maintenance));
            gate.recorder.replace_connectors(connectors);
            let retired = gate.policy.swap(policy);
            tracing::info!(old = %before, new = %after, "policy reloaded, connectors and retention with it");
            // Freeing a million hosts takes a tenth of a second: no call is to be the last that holds them.
            drop(spawn_blocking(move || {
                thread::sleep(RETIRED_AFTER);
                drop(retired);
            }));
        }
        Err(error) => {
            tracing::error!(%error, "policy not reloaded, nor the connectors; those in force stay");
            notes.send(Statement::RefusedReload(RefusedReloadStatement {
                policy_hash: before,
                problems: error.problems.len() as u64,
                config_sha256: error.sources.config,
                policy_sha256: error.sources.policy,
                connectors_sha256: error.sources.connectors,
            }));
        }
    }
}
