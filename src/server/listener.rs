//! Binding listeners, and terminating TLS on those that have it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpSocket};
use tokio_rustls::TlsAcceptor;

use crate::config::{Listener, ListenerTls};
use crate::tls;

/// Connections the kernel queues before they are accepted.
const BACKLOG: u32 = 4096;

/// Why a listener could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("cannot listen on {address}: {error}; choose another address with --listen, or stop what uses it")]
    Bind { address: SocketAddr, error: std::io::Error },
    #[error("{}: {reason}; a TLS listener needs a PEM certificate chain and its private key", file.display())]
    Tls { file: PathBuf, reason: String },
}

/// A listener that accepts connections.
pub(super) struct Bound {
    pub(super) name: Arc<str>,
    pub(super) address: SocketAddr,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) listener: TcpListener,
}

pub(super) async fn bind_all(listeners: &[Listener]) -> Result<Vec<Bound>, ListenError> {
    let mut bound = Vec::with_capacity(listeners.len());
    for wanted in listeners {
        let tls = wanted.tls.as_ref().map(acceptor).transpose()?;
        let listener = bind(wanted.address).await?;
        let address = listener.local_addr().map_err(|error| ListenError::Bind { address: wanted.address, error })?;
        bound.push(Bound { name: Arc::clone(&wanted.name), address, tls, listener });
    }
    Ok(bound)
}

/// Accepted connections inherit `TCP_NODELAY`, which spares each of them the system call.
#[expect(clippy::unused_async, reason = "a tokio socket can only be opened inside the runtime")]
pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let open = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.set_nodelay(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    open().map_err(|error| ListenError::Bind { address, error })
}

/// No ALPN is offered: https-proxy-agent 5.0.1 asks for the identifier `http 1.1`, which exists nowhere, and a server
/// that negotiates would have to refuse it. The one certificate is presented with and without SNI.
fn acceptor(tls: &ListenerTls) -> Result<TlsAcceptor, ListenError> {
    let wrong = |file: &PathBuf, reason: String| ListenError::Tls { file: file.clone(), reason };
    let chain = CertificateDer::pem_file_iter(&tls.cert_file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(&tls.cert_file, error.to_string()))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key_file).map_err(|error| wrong(&tls.key_file, error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| wrong(&tls.cert_file, error.to_string()))?;
    tls::tune(&mut config);
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "the client that is accepted")]
    #[tokio::test]
    async fn an_accepted_connection_sends_small_packets_at_once() {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        assert!(accepted.nodelay().unwrap());
    }
}
