//! The certificate Tollgate shows to an upstream that asks who is calling, in place of the connector.
//!
//! Read once, when the configuration is checked: the key file must be its owner's alone, and the two must belong together.
//! Whether the upstream likes it is the upstream's business. The key is never printed.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// More than any chain or key needs; a larger file is something else.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Why a client certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientCertificateError {
    #[error("{}: cannot be read: {source}; name an existing, readable file", file.display())]
    Read { file: PathBuf, source: io::Error },
    #[error("{}: larger than {FILE_BYTES_MAX} bytes; this is not a certificate or key", .0.display())]
    TooLarge(PathBuf),
    #[error("{file}: the private key's mode is {mode:04o}, so others can read it; run `chmod 600 {file}`", file = .file.display())]
    Exposed { file: PathBuf, mode: u32 },
    #[error("{}: holds no certificate; give the certificate and its intermediates in PEM", .0.display())]
    NoCertificate(PathBuf),
    #[error("{}: the certificate cannot be read ({reason}); give it and its intermediates in PEM", file.display())]
    Certificate { file: PathBuf, reason: String },
    #[error("{}: no private key could be read ({reason}); give one in PEM, without a password", file.display())]
    Key { file: PathBuf, reason: String },
    #[error(
        "the key in {} is not that of the certificate in {}; give two files that belong together",
        key_file.display(), cert_file.display()
    )]
    Mismatch { cert_file: PathBuf, key_file: PathBuf },
}

/// A certificate with its intermediates and its key.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    file: PathBuf,
    key: Arc<CertifiedKey>,
    not_after: SystemTime,
}

impl PartialEq for ClientCertificate {
    /// The key follows from the certificate.
    fn eq(&self, other: &Self) -> bool {
        self.file == other.file && self.key.cert == other.key.cert
    }
}

impl Eq for ClientCertificate {}

impl ClientCertificate {
    /// Reads both files, which are PEM.
    pub fn load(cert_file: &Path, key_file: &Path) -> Result<Self, ClientCertificateError> {
        let chain = chain(cert_file)?;
        let leaf = chain.first().ok_or_else(|| ClientCertificateError::NoCertificate(cert_file.to_owned()))?;
        let not_after = not_after(leaf, cert_file)?;
        let failed = |reason: String| ClientCertificateError::Key { file: key_file.to_owned(), reason };
        let pem = read(key_file, true)?;
        let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| failed(error.to_string()))?;
        let provider = crate::tls::provider();
        let key = CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                ClientCertificateError::Mismatch { cert_file: cert_file.to_owned(), key_file: key_file.to_owned() }
            }
            other => failed(other.to_string()),
        })?;
        Ok(Self { file: cert_file.to_owned(), key: Arc::new(key), not_after })
    }

    /// Where the certificate was read.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The last moment at which it is valid.
    pub const fn not_after(&self) -> SystemTime {
        self.not_after
    }

    pub(super) fn key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.key)
    }
}

fn chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, ClientCertificateError> {
    let pem = read(file, false)?;
    let unreadable = |error: String| ClientCertificateError::Certificate { file: file.to_owned(), reason: error };
    CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().map_err(|error| unreadable(error.to_string()))
}

fn not_after(certificate: &CertificateDer<'_>, file: &Path) -> Result<SystemTime, ClientCertificateError> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|error| ClientCertificateError::Certificate { file: file.to_owned(), reason: error.to_string() })?;
    let seconds = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or_default();
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

/// Reads the whole file. Permissions are checked on the opened file, so that it cannot be swapped in between.
fn read(path: &Path, secret: bool) -> Result<Vec<u8>, ClientCertificateError> {
    let failed = |source| ClientCertificateError::Read { file: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
    if secret && mode & 0o077 != 0 {
        return Err(ClientCertificateError::Exposed { file: path.to_owned(), mode });
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(ClientCertificateError::TooLarge(path.to_owned()));
    }
    Ok(bytes)
}
