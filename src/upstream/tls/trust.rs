//! What makes an upstream's certificate good: roots of the system, roots of the operator, or nothing at all.
//!
//! Reads the files of roots; does not decide which destination they are for.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};

use super::TlsOptions;
use super::pinned::WebPkiOrPinned;
use super::unverified::AnyCertificate;

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

/// The system's trust store, read once for all profiles; empty when none of them wants it.
pub(super) fn system_roots(wanted: bool) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    if wanted {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "part of the system's trust store could not be read");
        }
        roots.add_parsable_certificates(found.certs);
    }
    roots
}

/// What judges the certificates of upstreams with these options.
pub(super) fn verifier(
    options: &TlsOptions,
    system: &RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsConfigError> {
    if options.danger_skip_verify {
        return Ok(Arc::new(AnyCertificate::new(provider)));
    }
    let own = own_roots(&options.ca_files)?;
    let mut roots = if options.system_roots { system.clone() } else { RootCertStore::empty() };
    for certificate in &own {
        roots.add(certificate.clone())?;
    }
    if roots.is_empty() {
        return Err(TlsConfigError::NoRoots);
    }
    let webpki = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|_| TlsConfigError::NoRoots)?;
    Ok(Arc::new(WebPkiOrPinned::new(webpki, own)))
}

/// The operator's own roots, from PEM files.
fn own_roots(files: &[PathBuf]) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let mut own = Vec::new();
    for file in files {
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
