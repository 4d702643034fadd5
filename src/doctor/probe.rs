//! Connecting to the proxy's own listeners, as a client of it would. Nothing is sent beyond them: what is asked for is the
//! listener's own address, which the proxy refuses in every mode, and records.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
};

/// For connecting, and for each answer. The proxy answers a CONNECT to itself at once.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer that is read, head and beginning of the body.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// Who asks, in the row that the proxy writes.
pub(super) const USER_AGENT: &str = concat!("tollgate-doctor/", env!("CARGO_PKG_VERSION"));
/// What `https-proxy-agent` 5 offers; it exists nowhere, and a listener that negotiates ALPN refuses it.
const ALPN_OF_KIBANA: &[u8] = b"http 1.1";

/// Why a probe did not come to an answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeError {
    #[error("cannot be connected to: {0}")]
    Connect(io::Error),
    #[error("does not answer: {0}")]
    Answer(io::Error),
    #[error("does not answer as an HTTP proxy does")]
    NotHttp,
    #[error("the TLS handshake fails: {0}")]
    Tls(String),
    #[error("it answers with ALPN, which some clients of Kibana refuse")]
    Alpn,
}

/// How a probe through a listener ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// To the CONNECT, with this status.
    Outside(u16),
    /// Inside the tunnel, after a handshake with a certificate of the CA, with this status.
    Inside(u16),
}

/// A connection of either kind.
trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

/// An address that can be connected to: the unspecified address only means "all of mine".
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    address
}

/// Asks a listener for a tunnel to itself and, when it is opened, for a page inside.
///
/// `listener` is the certificate it must show when it speaks TLS; `inside` is the client's configuration in the tunnel.
pub(super) fn through(
    address: SocketAddr,
    listener: Option<CertificateDer<'static>>,
    inside: Arc<ClientConfig>,
) -> Result<Answer, ProbeError> {
    let tcp = connect(address)?;
    let mut stream: Box<dyn Stream> = match listener {
        Some(certificate) => Box::new(secured(tcp, address, certificate)?),
        None => Box::new(tcp),
    };
    let connect = format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: {USER_AGENT}\r\n\r\n");
    let status = ask(&mut stream, &connect)?;
    if status != 200 {
        return Ok(Answer::Outside(status));
    }
    let session = ClientConnection::new(inside, ServerName::IpAddress(address.ip().into()))?;
    let mut stream = StreamOwned::new(session, stream);
    let get = format!("GET / HTTP/1.1\r\nHost: {address}\r\nUser-Agent: {USER_AGENT}\r\nConnection: close\r\n\r\n");
    stream.conn.complete_io(&mut stream.sock).map_err(|error| ProbeError::Tls(error.to_string()))?;
    Ok(Answer::Inside(ask(&mut stream, &get)?))
}

/// The status and the text of a plain GET.
pub(super) fn get(address: SocketAddr, path: &str) -> Result<(u16, String), ProbeError> {
    let mut stream = connect(address)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(ProbeError::Answer)?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_BYTES_MAX as u64).read_to_end(&mut bytes).map_err(ProbeError::Answer)?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").ok_or(ProbeError::NotHttp)?;
    Ok((status(head)?, body.trim().to_owned()))
}

#[expect(
    clippy::disallowed_methods,
    reason = "only to listeners of the proxy itself, at addresses of its configuration"
)]
fn connect(address: SocketAddr) -> Result<TcpStream, ProbeError> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(ProbeError::Connect)?;
    let patient = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
    patient.map_err(ProbeError::Connect)?;
    Ok(stream)
}

/// Speaks TLS to a listener as Kibana does: without a name, and with an ALPN identifier that does not exist.
fn secured(
    tcp: TcpStream,
    address: SocketAddr,
    certificate: CertificateDer<'static>,
) -> Result<StreamOwned<ClientConnection, TcpStream>, ProbeError> {
    let provider = crate::tls::provider();
    let verifier = Arc::new(Exactly { certificate, provider: Arc::clone(&provider) });
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.alpn_protocols = vec![ALPN_OF_KIBANA.to_vec()];
    let session = ClientConnection::new(Arc::new(config), ServerName::IpAddress(address.ip().into()))?;
    let mut stream = StreamOwned::new(session, tcp);
    stream.conn.complete_io(&mut stream.sock).map_err(|error| ProbeError::Tls(error.to_string()))?;
    if stream.conn.alpn_protocol().is_some() { Err(ProbeError::Alpn) } else { Ok(stream) }
}

impl From<Error> for ProbeError {
    fn from(error: Error) -> Self {
        Self::Tls(error.to_string())
    }
}

/// Sends a request and returns the status of the answer, whose head is read to its end and no byte further.
fn ask(stream: &mut (impl Read + Write), request: &str) -> Result<u16, ProbeError> {
    stream.write_all(request.as_bytes()).and_then(|()| stream.flush()).map_err(ProbeError::Answer)?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == ANSWER_BYTES_MAX {
            return Err(ProbeError::NotHttp);
        }
        stream.read_exact(&mut byte).map_err(ProbeError::Answer)?;
        head.extend_from_slice(&byte);
    }
    status(&String::from_utf8_lossy(&head))
}

/// The status code of a status line (RFC 9112 section 4).
fn status(head: &str) -> Result<u16, ProbeError> {
    let code = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    code.and_then(|code| code.parse().ok()).ok_or(ProbeError::NotHttp)
}

/// Accepts the one certificate that the listener's file holds, whatever name it is for.
#[derive(Debug)]
struct Exactly {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Exactly {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if end_entity.as_ref() == self.certificate.as_ref() {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
