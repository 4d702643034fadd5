//! Terminating a client's TLS inside a CONNECT tunnel, with a certificate for the host the tunnel is to.
//!
//! The ClientHello is read first and must agree with the CONNECT; only then is a certificate made. What is inside is
//! not looked at here.

pub mod authority;

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::server::{Acceptor, ClientHello, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::destination::Host;
use crate::tls;
use authority::{Authority, LeafError};

/// A fatal `unrecognized_name` alert (RFC 8446 section 6, RFC 6066 section 3) as it goes on the wire before any session exists.
const ALERT_UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// Why no TLS session with the client came about.
#[derive(Debug, thiserror::Error)]
pub enum InterceptError {
    #[error("the TLS server name {sni:?} is not the CONNECT target {host}")]
    SniMismatch { sni: String, host: Host },
    #[error(
        "the client rejected Tollgate's certificate ({0}): it does not trust the interception CA; set NODE_EXTRA_CA_CERTS, as `tollgate kibana-config` prints"
    )]
    ClientRejectedCa(String),
    #[error("the TLS handshake with the client failed: {0}")]
    Handshake(io::Error),
    #[error("the client did not finish its TLS handshake within {0:?} (limits.handshake_timeout_s)")]
    TimedOut(Duration),
    #[error("no certificate could be made: {0}")]
    Leaf(#[from] LeafError),
}

/// An intercepted session.
pub struct Intercepted<IO> {
    pub stream: Box<TlsStream<IO>>,
    /// Whether HTTP/2 was negotiated.
    pub http2: bool,
}

/// Makes, keeps and presents leaf certificates.
pub struct Interceptor {
    authority: Authority,
    leaves: quick_cache::sync::Cache<Host, Leaf>,
    ticketer: Arc<dyn ProducesTickets>,
    handshake_timeout: Duration,
}

impl Interceptor {
    pub fn new(
        authority: Authority,
        leaf_cache_entries: usize,
        handshake_timeout: Duration,
    ) -> Result<Self, rustls::Error> {
        Ok(Self {
            authority,
            leaves: quick_cache::sync::Cache::new(leaf_cache_entries),
            ticketer: rustls::crypto::aws_lc_rs::Ticketer::new()?,
            handshake_timeout,
        })
    }

    /// Terminates the client's TLS. `sni` receives the server name as soon as it is known, also when this fails.
    pub async fn accept<IO>(
        &self,
        stream: IO,
        host: &Host,
        sni: &mut Option<String>,
    ) -> Result<Intercepted<IO>, InterceptError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        tokio::time::timeout(self.handshake_timeout, self.handshake(stream, host, sni))
            .await
            .map_err(|_| InterceptError::TimedOut(self.handshake_timeout))?
    }

    async fn handshake<IO>(
        &self,
        stream: IO,
        host: &Host,
        sni: &mut Option<String>,
    ) -> Result<Intercepted<IO>, InterceptError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(InterceptError::Handshake)?;
        *sni = hello.client_hello().server_name().map(str::to_owned);
        if let Err(mismatch) = agree(sni.as_deref(), host) {
            refuse(hello.io).await;
            return Err(mismatch);
        }
        let leaf = self.leaves.get_or_insert_with(host, || self.make_leaf(host))?;
        let config = if offers_alpn(&hello.client_hello()) { leaf.negotiating } else { leaf.silent };
        let stream = hello.into_stream(config).await.map_err(handshake_error)?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Intercepted { stream: Box::new(stream), http2 })
    }

    fn make_leaf(&self, host: &Host) -> Result<Leaf, InterceptError> {
        let certified = self.authority.leaf(host, SystemTime::now())?;
        let mut silent = ServerConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| InterceptError::Handshake(io::Error::other(error)))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(OneLeaf(Arc::new(certified))));
        tls::tune(&mut silent);
        silent.ticketer = Arc::clone(&self.ticketer);
        let mut negotiating = silent.clone();
        negotiating.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Leaf { silent: Arc::new(silent), negotiating: Arc::new(negotiating) })
    }
}

/// One host's certificate, for clients that negotiate a protocol and for those that must not be offered any: most of
/// Kibana's clients send no ALPN, and one sends an identifier that does not exist.
#[derive(Clone)]
struct Leaf {
    silent: Arc<ServerConfig>,
    negotiating: Arc<ServerConfig>,
}

/// Presents the same certificate whatever the client asks for: the question was settled against the CONNECT.
#[derive(Debug)]
struct OneLeaf(Arc<CertifiedKey>);

impl ResolvesServerCert for OneLeaf {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

fn offers_alpn(hello: &ClientHello<'_>) -> bool {
    hello.alpn().is_some_and(|mut offered| offered.any(|protocol| protocol == b"h2" || protocol == b"http/1.1"))
}

/// SNI may be absent (RFC 6066 forbids it for addresses); where present it names the CONNECT target.
fn agree(sni: Option<&str>, host: &Host) -> Result<(), InterceptError> {
    let Some(sni) = sni else { return Ok(()) };
    if Host::from_sni(sni).is_ok_and(|named| named == *host) {
        return Ok(());
    }
    Err(InterceptError::SniMismatch { sni: sni.to_owned(), host: host.clone() })
}

/// Tells the client why, as far as TLS can. Best effort: the connection is closed either way.
async fn refuse<IO: AsyncWrite + Unpin>(mut stream: IO) {
    let _ = stream.write_all(&ALERT_UNRECOGNIZED_NAME).await;
    let _ = stream.shutdown().await;
}

/// An alert about our certificate is the one failure an operator can mend. A client that has seen the certificate and
/// then closes or resets says the same in a shorter way: Node.js judges a certificate only after the handshake.
fn handshake_error(error: io::Error) -> InterceptError {
    use rustls::AlertDescription::{
        AccessDenied, BadCertificate, CertificateExpired, CertificateRevoked, CertificateUnknown, DecryptError,
        UnknownCA, UnsupportedCertificate,
    };
    let closed = matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    );
    let alert = match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::AlertReceived(alert)) => *alert,
        None if closed => return InterceptError::ClientRejectedCa("closed after seeing it".to_owned()),
        Some(_) | None => return InterceptError::Handshake(error),
    };
    match alert {
        UnknownCA
        | BadCertificate
        | CertificateUnknown
        | CertificateExpired
        | CertificateRevoked
        | AccessDenied
        | UnsupportedCertificate
        | DecryptError => InterceptError::ClientRejectedCa(format!("{alert:?}")),
        _ => InterceptError::Handshake(error),
    }
}
