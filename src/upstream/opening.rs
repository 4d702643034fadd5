//! Opening one connection to a permitted destination: TCP, TLS, HTTP. For a call that waits for it, or as a spare.

use std::sync::Arc;
use std::time::Instant;

use tokio::net::TcpStream;

use super::connection::{Connection, HeadLimits};
use super::pool::{Lease, Warming};
use super::{Route, UpstreamError, dial, tls};
use crate::observe::exchange::micros;
use crate::record::{Outcome, OutcomeKind};

/// What connections to one destination are opened with.
pub(super) struct Opening {
    /// `None` for plain HTTP.
    pub(super) channel: Option<Arc<tls::Profile>>,
    pub(super) limits: HeadLimits,
}

impl Opening {
    /// Opens a connection. What was learned on the way is noted also when it fails.
    pub(super) async fn open(
        &self,
        route: &Route,
        lease: Lease,
        learned: &mut Outcome,
    ) -> Result<Connection, UpstreamError> {
        let stream = tcp(route, learned).await?;
        let connection = match &self.channel {
            None => Connection::plain(stream, self.limits, lease).await?,
            Some(profile) => {
                let started = Instant::now();
                let handshake = profile.connect(stream, &route.destination().host);
                let secured = tokio::time::timeout_at(route.dial_deadline.into(), handshake).await;
                learned.tls_us = Some(micros(started));
                let secured = secured.map_err(|_| UpstreamError::TlsTimedOut(route.destination().clone()))??;
                Connection::secured(secured, self.limits, lease).await?
            }
        };
        connection.facts().note(false, learned);
        Ok(connection)
    }

    /// Opens a spare connection beside the call that found none left. It carries nothing until a call takes it, whose row
    /// then names it; that it cannot be opened is for that call to find out.
    pub(super) async fn warm(self, route: Route, warming: Warming) {
        let mut learned = Outcome::new(0, OutcomeKind::Completed);
        match self.open(&route, warming.lease(), &mut learned).await {
            Ok(connection) => warming.done(connection),
            Err(error) => tracing::debug!(%error, "a spare upstream connection could not be opened"),
        }
    }
}

/// Opens a TCP connection to one of the route's addresses.
pub(super) async fn tcp(route: &Route, learned: &mut Outcome) -> Result<TcpStream, UpstreamError> {
    let started = Instant::now();
    let dialled = dial::dial(&route.addresses, route.destination(), route.dial_deadline).await;
    learned.connect_us = Some(micros(started));
    let (stream, peer) = dialled?;
    learned.upstream_ip = Some(peer.ip().to_canonical());
    learned.upstream_port = Some(peer.port());
    Ok(stream)
}
