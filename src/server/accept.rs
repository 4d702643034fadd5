//! The accept loops: permits for connections, what to do when accepting fails, and draining.

use std::any::Any;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use crate::client_stream::ClientStream;
use crate::connection::serve;
use crate::gate::Gate;
use crate::record::OutcomeKind;
use crate::scope::Scope;
use crate::telemetry::Metrics;

use super::listener::Bound;

/// Connections beyond the limit that are told so at once; more than these wait in the kernel's queue.
const TURNED_AWAY_MAX: usize = 256;
/// Pause after the process ran out of file descriptors or memory.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// The running accept loops.
pub(super) struct Accepting {
    loops: Vec<JoinHandle<()>>,
    door: Arc<Door>,
}

/// Who may come in.
struct Door {
    gate: Arc<Gate>,
    metrics: Arc<Metrics>,
    served: Arc<Semaphore>,
    turned_away: Arc<Semaphore>,
    per_client: Mutex<HashMap<IpAddr, usize>>,
}

/// Held as long as a connection, and all tunnels through it, are open.
struct Pass {
    door: Arc<Door>,
    client: IpAddr,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.door.metrics.connections.dec();
        let mut per_client = self.door.per_client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = per_client.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                per_client.remove(&self.client);
            }
        }
    }
}

impl Accepting {
    pub(super) fn start(gate: &Arc<Gate>, listeners: Vec<Bound>, metrics: Arc<Metrics>) -> Self {
        let door = Arc::new(Door {
            gate: Arc::clone(gate),
            metrics,
            served: Arc::new(Semaphore::new(gate.limits.connections_max)),
            turned_away: Arc::new(Semaphore::new(TURNED_AWAY_MAX)),
            per_client: Mutex::default(),
        });
        let loops =
            listeners.into_iter().map(|listener| tokio::spawn(accept_loop(Arc::clone(&door), listener))).collect();
        Self { loops, door }
    }

    /// Goes on accepting, because whoever is queued must be answered (with 503), until nobody is left or time is up.
    pub(super) async fn drain(self, timeout: Duration) {
        let everyone = u32::try_from(self.door.gate.limits.connections_max).unwrap_or(u32::MAX);
        let turned_away = u32::try_from(TURNED_AWAY_MAX).unwrap_or(u32::MAX);
        let all_gone = async {
            // Lets the loops take what the kernel has queued already.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let _served = self.door.served.acquire_many(everyone).await;
            let _turned_away = self.door.turned_away.acquire_many(turned_away).await;
        };
        if tokio::time::timeout(timeout, all_gone).await.is_err() {
            let left = self.door.gate.limits.connections_max - self.door.served.available_permits();
            tracing::warn!(left, "connections are still open after limits.drain_timeout_s and are cut");
        }
        for accepting in &self.loops {
            accepting.abort();
        }
    }
}

async fn accept_loop(door: Arc<Door>, listener: Bound) {
    loop {
        match listener.listener.accept().await {
            Ok((stream, client)) => {
                let (pass, turned_away) = door.admit(client.ip()).await;
                let scope = Scope::accepted(
                    Arc::clone(&door.gate),
                    client,
                    Arc::clone(&listener.name),
                    turned_away,
                    Arc::new(pass) as Arc<dyn Any + Send + Sync>,
                );
                tokio::spawn(welcome(scope, stream, listener.tls.clone()));
            }
            Err(error) => after_accept_error(&error, listener.address).await,
        }
    }
}

impl Door {
    /// A pass for everyone; beyond a limit with the name of that limit, so that the connection is answered and recorded.
    async fn admit(self: &Arc<Self>, client: IpAddr) -> (Pass, Option<&'static str>) {
        let client = client.to_canonical();
        let crowded = {
            let mut per_client = self.per_client.lock().unwrap_or_else(PoisonError::into_inner);
            let count = per_client.entry(client).or_default();
            *count += 1;
            *count > self.gate.limits.connections_per_client_max
        };
        let served = Arc::clone(&self.served).try_acquire_owned().ok().filter(|_| !crowded);
        let (permit, turned_away) = match (served, crowded) {
            (Some(permit), _) => (Some(permit), None),
            (None, true) => (self.turn_away().await, Some("limits.connections_per_client_max")),
            (None, false) => (self.turn_away().await, Some("limits.connections_max")),
        };
        self.metrics.connections.inc();
        (Pass { door: Arc::clone(self), client, _permit: permit }, turned_away)
    }

    async fn turn_away(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.turned_away).acquire_owned().await.ok()
    }
}

/// TLS on the listener itself, where configured, then HTTP.
async fn welcome(scope: Scope, stream: TcpStream, tls: Option<tokio_rustls::TlsAcceptor>) {
    let Some(tls) = tls else {
        return serve(scope, ClientStream::Plain(stream)).await;
    };
    let timeout = scope.gate.limits.handshake_timeout;
    let accepted = Box::pin(tokio::time::timeout(timeout, tls.accept(stream))).await;
    let (outcome, text) = match accepted {
        Ok(Ok(stream)) => return serve(scope, ClientStream::Tls(Box::new(stream))).await,
        Ok(Err(error)) => (OutcomeKind::ClientAborted, format!("the TLS handshake with the listener failed: {error}")),
        Err(_) => (
            OutcomeKind::TimedOut,
            "the TLS handshake with the listener took too long (limits.handshake_timeout_s)".to_owned(),
        ),
    };
    if let Some(opening) = scope.take_opening() {
        drop(opening.settle(outcome, Some(text)));
    }
}

/// A connection that died in the queue is nothing; running out of something is waited for; the rest is logged.
async fn after_accept_error(error: &io::Error, listener: SocketAddr) {
    match error.kind() {
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted => {
            tracing::debug!(%error, %listener, "a connection was gone before it was accepted");
        }
        _ => {
            tracing::error!(%error, %listener, "accepting failed; trying again");
            tokio::time::sleep(EXHAUSTED_PAUSE).await;
        }
    }
}
