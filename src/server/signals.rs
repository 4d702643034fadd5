//! What the process does when it is signalled. Registered before anything listens, so that no signal finds the default.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

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

    /// Waits for SIGTERM or SIGINT. SIGHUP reloads policy and connectors and goes on; if either does not load, neither changes.
    pub(super) async fn until_told_to_stop(&mut self, gate: &Gate, reload: &Reload) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => reload_all(gate, reload),
            }
        }
    }
}

fn reload_all(gate: &Gate, reload: &Reload) {
    match reload() {
        Ok(Reloaded { policy, connectors }) => {
            gate.recorder.replace_connectors(connectors);
            let old = gate.policy.swap(Arc::clone(&policy));
            tracing::info!(old = %old.hash(), new = %policy.hash(), "policy reloaded, and the connectors");
        }
        Err(error) => tracing::error!(%error, "policy not reloaded, nor the connectors; those in force stay"),
    }
}
