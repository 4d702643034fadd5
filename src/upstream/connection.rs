//! One HTTP/1.1 connection to an upstream, plain or TLS, and what its rows say about it.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::observe::CountedRequest;
use crate::observe::Traffic;
use crate::record::Outcome;
use crate::wire::HYPER_FIELDS_MAX;

use super::UpstreamError;
use super::pool::Lease;
use super::received::Received;
use super::socket::{Pulse, Socket};
use super::tls::{Secured, TlsFacts, refused_client_certificate};

/// How long a failed request waits for its connection's driver to say why it ended. hyper takes no more requests just before the
/// driver ends, so there is hardly ever a wait; it must not delay a request that is about to be sent on another connection.
const DRIVER_END_WAIT: Duration = Duration::from_millis(20);

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

    /// hyper's own words name the layer, its sources name the cause: one behind the other when the connection ended before
    /// the request was given to it.
    fn describe(&self, error: &hyper::Error, traffic: &Traffic) -> UpstreamError {
        let shown = self.tls.as_ref().map(|tls| tls.has_client_certificate);
        let sources = || std::iter::successors(error.source(), |&source| source.source());
        let cause = sources().find_map(|source| source.downcast_ref::<std::io::Error>());
        if let Some(refused) = cause.zip(shown).and_then(|(cause, shown)| refused_client_certificate(cause, shown)) {
            return refused;
        }
        let text = sources().fold(error.to_string(), |text, source| format!("{text}: {source}"));
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
    /// Yields why the connection ended, when it was not in order.
    driver: JoinHandle<Option<hyper::Error>>,
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
            let ended = driver.with_upgrades().await.err();
            if let Some(error) = &ended {
                tracing::debug!(%error, "an upstream connection ended");
            }
            ended
        });
        Ok(Self { sender, pulse, driver, facts: Arc::new(facts), received, _lease: lease })
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
        match self.answered(request, traffic, silence_max).await.map_err(SendError::answered)? {
            Ok(response) => Ok(response),
            Err(mut failed) => Err(SendError {
                unsent: failed.take_message().map(Box::new),
                unanswered: self.received.load(Ordering::Relaxed) == received,
                error: self.why(&failed.into_error(), traffic).await,
            }),
        }
    }

    /// What hyper answers; an error when nothing moves for too long.
    async fn answered(
        &mut self,
        request: Box<Request<CountedRequest>>,
        traffic: &Traffic,
        silence_max: Duration,
    ) -> Result<Answered, UpstreamError> {
        let mut sending = std::pin::pin!(self.sender.try_send_request(*request));
        let mut silent_since = Instant::now();
        loop {
            if let Ok(sent) = tokio::time::timeout_at((silent_since + silence_max).into(), sending.as_mut()).await {
                return Ok(sent);
            }
            match traffic.uploaded_at().filter(|moved| *moved > silent_since) {
                Some(moved) => silent_since = moved,
                None => return Err(UpstreamError::ResponseTimedOut(silence_max)),
            }
        }
    }

    /// Why a request failed. One that came when the connection had ended only learns that much: why is for the driver to say.
    async fn why(&mut self, error: &hyper::Error, traffic: &Traffic) -> UpstreamError {
        if error.is_canceled() && error.source().is_none_or(|source| source.source().is_none()) {
            let ended = tokio::time::timeout(DRIVER_END_WAIT, &mut self.driver).await;
            if let Some(error) = ended.ok().and_then(Result::ok).flatten() {
                return self.facts.describe(&error, traffic);
            }
        }
        self.facts.describe(error, traffic)
    }
}

/// A response head, or why there is none and the request if it was not sent.
type Answered = Result<Response<Incoming>, TrySendError<Request<CountedRequest>>>;

#[cfg(test)]
mod tests {
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::ReadBuf;

    use super::*;

    /// A TLS stream on which nothing comes but the alert that refuses our certificate.
    struct Refuses;

    impl AsyncRead for Refuses {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            let alert = rustls::Error::AlertReceived(rustls::AlertDescription::UnknownCA);
            Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, alert)))
        }
    }

    impl AsyncWrite for Refuses {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the socket of a test, which carries nothing")]
    async fn connection() -> Connection {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let facts = TlsFacts {
            version: "TLSv1.3",
            cipher: String::new(),
            certificate_sha256: None,
            verified: true,
            has_client_certificate: true,
        };
        let facts = Facts { peer: stream.peer_addr().unwrap(), tls: Some(facts) };
        let limits = HeadLimits { fields_max: 100, bytes_max: 64 * 1024 };
        Connection::handshake(Refuses, Socket::new(stream).1, facts, limits, Lease::default()).await.unwrap()
    }

    /// A request to be sent, to a connection whose end its driver has (`seen`) or has not noticed.
    async fn refusal(seen: bool) -> UpstreamError {
        let (mut connection, traffic) = (connection().await, Arc::new(Traffic::default()));
        while seen && !connection.sender.is_closed() {
            tokio::task::yield_now().await;
        }
        let request = Box::new(Request::new(CountedRequest::empty(Arc::clone(&traffic))));
        let failed = connection.send(request, &traffic, Duration::from_secs(20)).await;
        failed.map(drop).expect_err("nobody answers").error
    }

    #[tokio::test]
    async fn a_certificate_refused_before_the_request_is_sent_is_said_to_be_refused() {
        for seen in [false, true] {
            let error = refusal(seen).await;
            let UpstreamError::ClientCertificateRefused { alert } = &error else { panic!("{seen}: {error}") };
            assert_eq!(alert, "UnknownCA");
        }
    }
}
