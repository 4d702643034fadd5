//! TLS to upstreams: which options hold for a destination, the handshake, and what a row says about it.
//!
//! Certificates are verified, against the system's roots and the operator's own, except where `danger_skip_verify` is set
//! for a host. What is trusted is built in `trust`; certificates that Tollgate shows of itself are read in
//! `client_certificate`. Which destinations share a connection is decided in `pool`, by [`ProfileId`].

mod client_certificate;
mod pinned;
mod trust;
mod unverified;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{AlertDescription, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub use client_certificate::{ClientCertificate, ClientCertificateError};
pub use trust::TlsConfigError;

use crate::destination::{Destination, Host};
use crate::policy::HostPattern;

use super::UpstreamError;
use super::socket::{Pulse, Socket};

static TLS13_ONLY: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// The oldest TLS version that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    Tls12,
    Tls13,
}

impl TlsVersion {
    /// The spelling in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        }
    }

    const fn and_newer(self) -> &'static [&'static rustls::SupportedProtocolVersion] {
        match self {
            Self::Tls12 => rustls::ALL_VERSIONS,
            Self::Tls13 => TLS13_ONLY,
        }
    }
}

/// How TLS is spoken with some destinations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    /// Whether the system's trust store is used.
    pub system_roots: bool,
    /// PEM files of further roots.
    pub ca_files: Vec<PathBuf>,
    pub version_min: TlsVersion,
    /// Shown to an upstream that asks for one.
    pub client_certificate: Option<ClientCertificate>,
    /// Any certificate is accepted. Rows say so.
    pub danger_skip_verify: bool,
}

/// Options for these destinations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostTls {
    pub hosts: Vec<HostPattern>,
    pub options: TlsOptions,
}

/// Options for all destinations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// For destinations that no entry names.
    pub default: TlsOptions,
    /// The first entry that names a destination is used.
    pub hosts: Vec<HostTls>,
}

/// What the row says about the TLS session with an upstream.
#[derive(Clone, Debug)]
pub(super) struct TlsFacts {
    pub(super) version: &'static str,
    pub(super) cipher: String,
    pub(super) certificate_sha256: Option<String>,
    pub(super) verified: bool,
    /// Whether a client certificate is there to be shown.
    pub(super) has_client_certificate: bool,
}

/// A TLS session and the handle that tells whether its socket is still quiet.
pub(super) struct Secured {
    pub(super) stream: TlsStream<Socket>,
    pub(super) pulse: Pulse,
    pub(super) facts: TlsFacts,
    pub(super) peer: std::net::SocketAddr,
}

/// Tells the options of one profile from those of every other, also of those loaded later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ProfileId(u64);

impl ProfileId {
    fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed))
    }
}

/// Options ready to be used. Sessions are resumed within one profile only, so that what was accepted under other options
/// never counts.
pub(super) struct Profile {
    id: ProfileId,
    connector: TlsConnector,
    version_min: TlsVersion,
    verified: bool,
    has_client_certificate: bool,
}

/// The profiles of all destinations.
pub(super) struct Profiles {
    default: Arc<Profile>,
    hosts: Vec<(Vec<HostPattern>, Arc<Profile>)>,
}

impl Profiles {
    pub(super) fn new(settings: &TlsSettings) -> Result<Self, TlsConfigError> {
        let all = settings.hosts.iter().map(|entry| &entry.options).chain([&settings.default]);
        let system = trust::system_roots(all.into_iter().any(|options| options.system_roots));
        let entries = settings.hosts.iter();
        let hosts = entries.map(|entry| Ok((entry.hosts.clone(), Arc::new(Profile::new(&entry.options, &system)?))));
        Ok(Self {
            default: Arc::new(Profile::new(&settings.default, &system)?),
            hosts: hosts.collect::<Result<_, TlsConfigError>>()?,
        })
    }

    /// The profile of the first entry that names the destination.
    pub(super) fn of(&self, destination: &Destination) -> &Arc<Profile> {
        let named = |(hosts, _): &&(Vec<HostPattern>, _)| hosts.iter().any(|pattern| pattern.matches(destination));
        self.hosts.iter().find(named).map_or(&self.default, |(_, profile)| profile)
    }
}

impl Profile {
    fn new(options: &TlsOptions, system: &RootCertStore) -> Result<Self, TlsConfigError> {
        let provider = crate::tls::provider();
        let verifier = trust::verifier(options, system, &provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(options.version_min.and_newer())?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &options.client_certificate {
            Some(shown) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(shown.key()))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            id: ProfileId::next(),
            connector: TlsConnector::from(Arc::new(config)),
            version_min: options.version_min,
            verified: !options.danger_skip_verify,
            has_client_certificate: options.client_certificate.is_some(),
        })
    }

    pub(super) const fn id(&self) -> ProfileId {
        self.id
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
        let stream = self.connector.connect(name, socket).await.map_err(|error| self.blame(&error, host))?;
        let facts = self.facts(stream.get_ref().1);
        Ok(Secured { stream, pulse, facts, peer })
    }

    /// Why a handshake failed, with the option that would change it.
    fn blame(&self, error: &std::io::Error, host: &Host) -> UpstreamError {
        if let Some(refused) = refused_client_certificate(error, self.has_client_certificate) {
            return refused;
        }
        let hint = match (self.version_min, rustls_error(error)) {
            (
                TlsVersion::Tls13,
                Some(
                    rustls::Error::AlertReceived(AlertDescription::ProtocolVersion)
                    | rustls::Error::PeerIncompatible(_),
                ),
            ) => " (tls_min asks for TLS 1.3)",
            _ => "",
        };
        UpstreamError::Tls { destination: host.to_string(), reason: format!("{error}{hint}") }
    }

    fn facts(&self, session: &rustls::ClientConnection) -> TlsFacts {
        let leaf = session.peer_certificates().and_then(|chain| chain.first());
        TlsFacts {
            version: match session.protocol_version() {
                Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
                Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
                _ => "unknown",
            },
            cipher: session.negotiated_cipher_suite().map_or_else(String::new, |suite| format!("{:?}", suite.suite())),
            certificate_sha256: leaf.map(|leaf| hex(digest::digest(&digest::SHA256, leaf).as_ref())),
            verified: self.verified,
            has_client_certificate: self.has_client_certificate,
        }
    }
}

/// What an upstream's alert says about our certificate, if that is what it is about. In TLS 1.3 it arrives after the
/// handshake, where the response is awaited (RFC 8446 section 4.4.2.4).
pub(super) fn refused_client_certificate(error: &std::io::Error, shown: bool) -> Option<UpstreamError> {
    let Some(rustls::Error::AlertReceived(alert)) = rustls_error(error) else {
        return None;
    };
    let about_certificate = matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
    );
    let alert = format!("{alert:?}");
    about_certificate.then_some(if shown {
        UpstreamError::ClientCertificateRefused { alert }
    } else {
        UpstreamError::ClientCertificateWanted { alert }
    })
}

fn rustls_error(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
