//! TLS to upstreams: always verified, against the system's roots and the operator's own.

use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::destination::Host;

use super::UpstreamError;
use super::pinned::WebPkiOrPinned;
use super::socket::{Pulse, Socket};

/// Where trust in upstreams comes from.
pub struct TlsSettings {
    /// Whether the system's trust store is used.
    pub system_roots: bool,
    /// PEM files of further roots.
    pub ca_files: Vec<PathBuf>,
}

/// Why upstreams could not be verified at all.
#[derive(Debug, thiserror::Error)]
pub enum TlsConfigError {
    #[error("{}: no certificate could be read ({reason}); give a PEM file of CA certificates", file.display())]
    CaFile { file: PathBuf, reason: String },
    #[error("{}: holds no certificate; give a PEM file of CA certificates", file.display())]
    Empty { file: PathBuf },
    #[error("no trusted root: the system's store is empty; install ca-certificates or give upstream.ca_files")]
    NoRoots,
    #[error("TLS could not be set up: {0}")]
    Rustls(#[from] rustls::Error),
}

/// What the row says about the TLS session with an upstream.
#[derive(Clone, Debug)]
pub(super) struct TlsFacts {
    pub(super) version: &'static str,
    pub(super) cipher: String,
    pub(super) certificate_sha256: Option<String>,
}

pub(super) struct Connector(TlsConnector);

/// A verified TLS session and the handle that tells whether its socket is still quiet.
pub(super) struct Secured {
    pub(super) stream: TlsStream<Socket>,
    pub(super) pulse: Pulse,
    pub(super) facts: TlsFacts,
    pub(super) peer: std::net::SocketAddr,
}

impl Connector {
    pub(super) fn new(settings: &TlsSettings) -> Result<Self, TlsConfigError> {
        let own = own_roots(settings)?;
        let roots = Arc::new(roots(settings, &own)?);
        let provider = crate::tls::provider();
        let webpki = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .build()
            .map_err(|_| TlsConfigError::NoRoots)?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(WebPkiOrPinned::new(webpki, own)))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    pub(super) async fn connect(&self, stream: TcpStream, host: &Host) -> Result<Secured, UpstreamError> {
        let failed = |reason: String| UpstreamError::Tls { destination: host.to_string(), reason };
        let name = match host {
            Host::Name(name) => {
                ServerName::try_from(name.as_str().to_owned()).map_err(|error| failed(error.to_string()))?
            }
            Host::Ip(address) => ServerName::from(*address),
        };
        let peer = stream.peer_addr().map_err(|error| failed(error.to_string()))?;
        let (socket, pulse) = Socket::new(stream);
        let stream = self.0.connect(name, socket).await.map_err(|error| failed(error.to_string()))?;
        let facts = facts(stream.get_ref().1);
        Ok(Secured { stream, pulse, facts, peer })
    }
}

/// The operator's own roots, from PEM files.
fn own_roots(settings: &TlsSettings) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let mut own = Vec::new();
    for file in &settings.ca_files {
        let unreadable = |error: pem::Error| TlsConfigError::CaFile { file: file.clone(), reason: error.to_string() };
        let before = own.len();
        for certificate in CertificateDer::pem_file_iter(file).map_err(unreadable)? {
            own.push(certificate.map_err(unreadable)?);
        }
        if own.len() == before {
            return Err(TlsConfigError::Empty { file: file.clone() });
        }
    }
    Ok(own)
}

fn roots(settings: &TlsSettings, own: &[CertificateDer<'static>]) -> Result<RootCertStore, TlsConfigError> {
    let mut roots = RootCertStore::empty();
    if settings.system_roots {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "part of the system's trust store could not be read");
        }
        roots.add_parsable_certificates(found.certs);
    }
    for certificate in own {
        roots.add(certificate.clone())?;
    }
    if roots.is_empty() { Err(TlsConfigError::NoRoots) } else { Ok(roots) }
}

fn facts(session: &rustls::ClientConnection) -> TlsFacts {
    let leaf = session.peer_certificates().and_then(|chain| chain.first());
    TlsFacts {
        version: match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "unknown",
        },
        cipher: session.negotiated_cipher_suite().map_or_else(String::new, |suite| format!("{:?}", suite.suite())),
        certificate_sha256: leaf.map(|leaf| hex(digest::digest(&digest::SHA256, leaf).as_ref())),
    }
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
