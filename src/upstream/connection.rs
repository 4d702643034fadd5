//! One HTTP/1.1 connection to an upstream, plain or TLS, and what its rows say about it.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use crate::observe::CountedRequest;
use crate::observe::Traffic;
use crate::record::Outcome;
use crate::wire::HYPER_FIELDS_MAX;

use super::UpstreamError;
use super::pool::Lease;
use super::received::Received;
use super::socket::{Pulse, Socket};
use super::tls::{Secured, TlsFacts, refused_client_certificate};

/// Limits on response heads.
#[derive(Clone, Copy)]
pub(super) struct HeadLimits {
    pub(super) fields_max: usize,
    pub(super) bytes_max: usize,
}

/// What every row of a connection repeats.
pub(super) struct Facts {
    peer: std::net::SocketAddr,
    tls: Option<TlsFacts>,
}

impl Facts {
    /// Fills in the upstream columns.
    pub(super) fn note(&self, reused: bool, learned: &mut Outcome) {
        learned.upstream_ip = Some(self.peer.ip().to_canonical());
        learned.upstream_port = Some(self.peer.port());
        learned.upstream_reused = Some(reused);
        if let Some(tls) = &self.tls {
            learned.tls_version = Some(tls.version.to_owned());
            learned.tls_cipher = Some(tls.cipher.clone());
            learned.upstream_cert_sha256.clone_from(&tls.certificate_sha256);
            learned.upstream_verified = Some(tls.verified);
        }
    }

    /// hyper's own words name the layer, its source names the cause.
    fn describe(&self, error: &hyper::Error, traffic: &Traffic) -> UpstreamError {
        let shown = self.tls.as_ref().map(|tls| tls.has_client_certificate);
        let cause = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
        if let Some(refused) = cause.zip(shown).and_then(|(cause, shown)| refused_client_certificate(cause, shown)) {
            return refused;
        }
        let text = error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
        if traffic.client_broke.load(Ordering::Acquire) {
            UpstreamError::ClientBroke(text)
        } else {
            UpstreamError::Exchange(text)
        }
    }
}

/// A request that failed, and the request itself if not one byte of it was written.
pub(super) struct SendError {
    pub(super) error: UpstreamError,
    pub(super) unsent: Option<Box<Request<CountedRequest>>>,
    /// Whether the connection ended before one byte of a response came.
    pub(super) unanswered: bool,
}

impl SendError {
    /// One after which it is not known what the upstream does.
    const fn answered(error: UpstreamError) -> Self {
        Self { error, unsent: None, unanswered: false }
    }
}

pub(super) struct Connection {
    sender: SendRequest<CountedRequest>,
    pulse: Pulse,
    driver: AbortHandle,
    facts: Arc<Facts>,
    /// Bytes of responses so far.
    received: Arc<AtomicU64>,
    /// Counts it among those of its key.
    _lease: Lease,
}

impl Connection {
    pub(super) async fn plain(stream: TcpStream, limits: HeadLimits, lease: Lease) -> Result<Self, UpstreamError> {
        let peer = stream.peer_addr().map_err(|error| UpstreamError::Exchange(error.to_string()))?;
        let (socket, pulse) = Socket::new(stream);
        Self::handshake(socket, pulse, Facts { peer, tls: None }, limits, lease).await
    }

    pub(super) async fn secured(secured: Secured, limits: HeadLimits, lease: Lease) -> Result<Self, UpstreamError> {
        let facts = Facts { peer: secured.peer, tls: Some(secured.facts) };
        Self::handshake(secured.stream, secured.pulse, facts, limits, lease).await
    }

    async fn handshake<IO>(
        io: IO,
        pulse: Pulse,
        facts: Facts,
        limits: HeadLimits,
        lease: Lease,
    ) -> Result<Self, UpstreamError>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let received = Arc::new(AtomicU64::new(0));
        let io = Received::new(io, Arc::clone(&received));
        let mut builder = http1::Builder::new();
        builder.preserve_header_case(true).max_header_size(limits.bytes_max);
        if limits.fields_max != HYPER_FIELDS_MAX {
            builder.max_headers(limits.fields_max);
        }
        let (sender, driver) =
            builder.handshake(TokioIo::new(io)).await.map_err(|error| UpstreamError::Exchange(error.to_string()))?;
        let driver = tokio::spawn(async move {
            if let Err(error) = driver.with_upgrades().await {
                tracing::debug!(%error, "an upstream connection ended");
            }
        });
        Ok(Self { sender, pulse, driver: driver.abort_handle(), facts: Arc::new(facts), received, _lease: lease })
    }

    pub(super) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Whether another request can be sent on it now.
    pub(super) fn is_reusable(&self) -> bool {
        self.sender.is_ready() && self.pulse.is_quiet()
    }

    /// Whether its exchange is over.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Waits until the exchange in progress is over; `None` when the connection ended with it. A request body that goes on for
    /// longer than `upload_max` after the response has ended is cut off, with both connections that carry it.
    pub(super) async fn finished(mut self, traffic: &Traffic, upload_max: Duration) -> Option<Self> {
        let outlasted = async {
            traffic.over().await;
            tokio::time::sleep(upload_max).await;
        };
        let ready = tokio::select! {
            ready = self.sender.ready() => ready.is_ok(),
            () = outlasted => {
                tracing::debug!(?upload_max, "a request body outlasted its response and was cut off");
                self.driver.abort();
                false
            }
        };
        ready.then_some(self)
    }

    /// Sends a request and waits for the response head, as long as something moves.
    pub(super) async fn send(
        &mut self,
        request: Box<Request<CountedRequest>>,
        traffic: &Traffic,
        silence_max: Duration,
    ) -> Result<Response<Incoming>, SendError> {
        let received = self.received.load(Ordering::Relaxed);
        let mut sending = std::pin::pin!(self.sender.try_send_request(*request));
        let mut silent_since = Instant::now();
        loop {
            let Ok(sent) = tokio::time::timeout_at((silent_since + silence_max).into(), sending.as_mut()).await else {
                match traffic.uploaded_at().filter(|moved| *moved > silent_since) {
                    Some(moved) => silent_since = moved,
                    None => return Err(SendError::answered(UpstreamError::ResponseTimedOut(silence_max))),
                }
                continue;
            };
            return sent.map_err(|mut failed| SendError {
                error: self.facts.describe(failed.error(), traffic),
                unsent: failed.take_message().map(Box::new),
                unanswered: self.received.load(Ordering::Relaxed) == received,
            });
        }
    }
}
